"""What a provider reports about a mail, written down once, and what follows from it."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass

from django.db import transaction
from django.db.models import F, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from newsletter.models import Delivery, DeliveryEvent
from subscribers import emails, signup
from subscribers.models import Mail, Subscriber, Suppression, hash_address, normalise_address

State = Delivery.State


@dataclass(frozen=True, slots=True)
class Event:
    """A report in Anymail's words.

    ``opaque_id`` is what we gave the provider along with the mail, ``provider_message_id`` is the
    provider's own; either may be ''. ``is_permanent`` tells a hard bounce from one that may pass.
    ``occurred_at`` is None where the provider does not say.
    """

    provider: str
    kind: str
    opaque_id: str = ""
    provider_message_id: str = ""
    event_id: str = ""
    recipient: str = ""
    reason: str = ""
    detail: str = ""
    occurred_at: dt.datetime | None = None
    is_permanent: bool = False

    @property
    def key(self) -> str:
        """SHA-256 of what makes it one event: not every provider gives its events an id."""
        if self.event_id:
            parts = [self.provider, self.kind, self.event_id]
        else:
            at = self.occurred_at.isoformat() if self.occurred_at else ""
            parts = [self.provider, self.kind, self.provider_message_id or self.opaque_id, at, self.recipient.lower()]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


# The state that an event leads to, and from where: forward only, whatever order events come in.
ON_ITS_WAY = [State.RETRY, State.SENDING, State.UNKNOWN, State.ACCEPTED]
STEPS = {
    "delivered": (State.DELIVERED, ON_ITS_WAY),
    "bounced": (State.BOUNCED, [*ON_ITS_WAY, State.DELIVERED]),
    "rejected": (State.BOUNCED, [*ON_ITS_WAY, State.DELIVERED]),
    "complained": (State.COMPLAINED, [*ON_ITS_WAY, State.DELIVERED]),
}
# Anything else that is reported about a mail proves that it went.
PROOF = (State.ACCEPTED, [State.UNKNOWN])


def record(event: Event) -> bool:
    """Write an event down and do what follows from it; False if it was known.

    An event about a mail that we did not send is kept and changes nothing; one that names another
    recipient than the mail's reader suppresses nobody.
    """
    now = timezone.now()
    delivery, mail = _find(event)
    with transaction.atomic():
        _, is_new = DeliveryEvent.objects.get_or_create(
            key=event.key,
            defaults={
                "delivery": delivery,
                "mail": mail,
                "provider": event.provider[:30],
                "kind": event.kind[:30],
                "reason": event.reason[:30],
                "provider_message_id": event.provider_message_id[:200],
                "detail": event.detail[:500],
                "occurred_at": event.occurred_at or now,
            },
        )
        if is_new and delivery:
            _move(delivery, event, now)
        if is_new and mail:
            _move_mail(mail, event, now)
        if is_new and (row := delivery or mail):
            _follow(row.subscriber, event, now)
    return is_new


def _find(event: Event) -> tuple[Delivery | None, Mail | None]:
    """Return the row the event is about: by our id, then by the provider's."""
    by_ours = Q(message_id=emails.message_id(event.opaque_id)) if event.opaque_id else None
    by_theirs = Q(provider_message_id=event.provider_message_id) if event.provider_message_id else None
    for condition in filter(None, (by_ours, by_theirs)):
        if delivery := Delivery.objects.select_related("subscriber").filter(condition).first():
            return delivery, None
        if mail := Mail.objects.select_related("subscriber").filter(condition).first():
            return None, mail
    return None, None


def _move(delivery: Delivery, event: Event, now: dt.datetime) -> None:
    state, before = STEPS.get(event.kind, PROOF)
    Delivery.objects.filter(pk=delivery.pk, state__in=before).update(
        state=state, accepted_at=Coalesce(F("accepted_at"), Value(event.occurred_at or now)), next_attempt_at=None
    )


def _move_mail(mail: Mail, event: Event, now: dt.datetime) -> None:
    rows = Mail.objects.filter(pk=mail.pk)
    if event.kind in {"bounced", "rejected", "complained"}:
        rows.filter(state__in=[Mail.State.SENDING, Mail.State.UNKNOWN, Mail.State.ACCEPTED]).update(
            state=Mail.State.BOUNCED, error=f"{event.kind}: {event.detail}"[:500]
        )
    else:
        rows.filter(state=Mail.State.UNKNOWN).update(state=Mail.State.ACCEPTED, accepted_at=event.occurred_at or now)


def _follow(subscriber: Subscriber, event: Event, now: dt.datetime) -> None:
    """Suppress or unsubscribe the reader, if the event is about the address that they have."""
    if event.recipient and normalise_address(event.recipient) != subscriber.email:
        return
    if reason := _suppression(event):
        Suppression.objects.get_or_create(address_hash=hash_address(subscriber.email), reason=reason)
    if event.kind == "unsubscribed" or (event.kind == "rejected" and event.reason == "unsubscribed"):
        signup.unsubscribe(subscriber, now)


def _suppression(event: Event) -> Suppression.Reason | None:
    if event.kind == "complained" or (event.kind == "rejected" and event.reason == "spam"):
        return Suppression.Reason.COMPLAINT
    if event.kind in {"bounced", "rejected"} and event.is_permanent:
        return Suppression.Reason.BOUNCE
    return None
