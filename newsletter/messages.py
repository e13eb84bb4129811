"""From a digest to the message that is handed over."""

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.utils.translation import gettext as _

from newsletter import rendering
from newsletter.models import Delivery
from subscribers import emails
from subscribers.emails import Link


def opaque_id(delivery: Delivery) -> str:
    """Return the name by which the provider's events find the delivery; it cannot be turned into its token."""
    return emails.opaque_id(f"delivery:{delivery.token}")


def message_id(delivery: Delivery) -> str:
    """Return the delivery's Message-ID, the same for every attempt."""
    return emails.message_id(opaque_id(delivery))


def message(delivery: Delivery, of: rendering.Material | None = None) -> EmailMultiAlternatives:
    """Return the mail of a delivery that has picks; ``of`` is read once for the deliveries of a chunk."""
    digest = rendering.digest(delivery, of)
    links = (Link(_("Preferences"), digest.preferences_url), Link(_("Unsubscribe"), digest.unsubscribe_url))
    frame = emails.frame(
        digest.subject, digest.preheader, links=links, footer=(*digest.checked, digest.why_you_get_this)
    )
    text, html = emails.render("emails/digest", frame | {"digest": digest, "is_sample": digest.is_sample})
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
