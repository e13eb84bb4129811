"""From a digest to the message that is handed over."""

from contextlib import nullcontext

from django.conf import settings
from django.utils import translation

from newsletter import bodies, rendering
from newsletter.models import Delivery
from subscribers import emails
from subscribers.mime import Body, PreparedMessage


def opaque_id(delivery: Delivery) -> str:
    """Return the name by which the provider's events find the delivery; it cannot be turned into its token."""
    return emails.opaque_id(f"delivery:{delivery.token}")


def message_id(delivery: Delivery) -> str:
    """Return the delivery's Message-ID, the same for every attempt."""
    return emails.message_id(opaque_id(delivery))


def message(delivery: Delivery, of: rendering.Material | None = None) -> PreparedMessage:
    """Return the mail of a delivery that has picks; ``of`` is read once for the deliveries of a chunk."""
    of = of or rendering.material([delivery])
    name = opaque_id(delivery)
    subject, text, html = _contents(delivery, of)
    return emails.compose(
        delivery.subscriber,
        subject=subject,
        text=text,
        html=html,
        from_email=settings.DEFAULT_FROM_EMAIL,
        message_id=emails.message_id(name),
        opaque_id=name,
        list_unsubscribe=True,
        date=delivery.created_at,
    )


def _contents(delivery: Delivery, of: rendering.Material) -> tuple[str, Body, Body]:
    """Return the subject, the text and the HTML, in the reader's language."""
    language = delivery.subscriber.language
    # A change of language takes as long as to join a body, and most readers of a chunk share theirs.
    is_other = language != translation.get_language()
    with translation.override(language) if is_other else nullcontext():
        digest = rendering.digest(delivery, of, language)
        return digest.subject, *bodies.bodies(digest, of.version)
