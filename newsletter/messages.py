"""From a digest to the message that is handed over."""

from django.conf import settings
from django.utils import translation

from newsletter import bodies, rendering
from newsletter.models import Delivery
from subscribers import emails
from subscribers.mime import PreparedMessage


def opaque_id(delivery: Delivery) -> str:
    """Return the name by which the provider's events find the delivery; it cannot be turned into its token."""
    return emails.opaque_id(f"delivery:{delivery.token}")


def message_id(delivery: Delivery) -> str:
    """Return the delivery's Message-ID, the same for every attempt."""
    return emails.message_id(opaque_id(delivery))


def message(delivery: Delivery, of: rendering.Material | None = None) -> PreparedMessage:
    """Return the mail of a delivery that has picks; ``of`` is read once for the deliveries of a chunk."""
    of = of or rendering.material([delivery])
    with translation.override(delivery.subscriber.language):
        digest = rendering.digest(delivery, of)
        text, html = bodies.bodies(digest, of.version)
    return emails.compose(
        delivery.subscriber,
        subject=digest.subject,
        text=text,
        html=html,
        from_email=settings.DEFAULT_FROM_EMAIL,
        message_id=message_id(delivery),
        opaque_id=opaque_id(delivery),
        list_unsubscribe=True,
        date=delivery.created_at,
    )
