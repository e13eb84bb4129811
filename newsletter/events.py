"""What a provider reports about a mail, written down once, and what follows from it."""

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, fields, replace
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef, Q, Value
from django.db.models.functions import Coalesce
from django.utils import timezone

from newsletter import outcomes
from newsletter.models import Delivery, DeliveryEvent
from papers.text import readable
from subscribers import emails, signup
from subscribers.models import Mail, Subscriber, Suppression, hash_address

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
    "failed": (State.BOUNCED, [*ON_ITS_WAY, State.DELIVERED]),
    "complained": (State.COMPLAINED, [*ON_ITS_WAY, State.DELIVERED]),
}
# Anything else that is reported about a mail proves that it went.
PROOF = (State.ACCEPTED, [State.UNKNOWN])


# Soft bounces of as many mails in as many days: the mailbox is as good as gone.
SOFT_BOUNCES, SOFT_WITHIN = 3, dt.timedelta(days=14)
# How long an event waits for the mail that it is about: our own commit is seconds behind at most.
ORPHANED = dt.timedelta(hours=1)


def record(event: Event) -> bool:
    """Write an event down and do what follows from it; False if it was known.

    An event about a mail that we did not send is kept and changes nothing; one that names another
    recipient than the mail's reader suppresses nobody.
    """
    now, event = timezone.now(), _storable(event)
    about = _find(event)
    address = event.recipient or (about.subscriber.email if about else "")
    with transaction.atomic():
        row, is_new = DeliveryEvent.objects.get_or_create(
            key=event.key,
            defaults={
                "delivery": about if isinstance(about, Delivery) else None,
                "mail": about if isinstance(about, Mail) else None,
                "provider": event.provider[:30],
                "kind": event.kind[:30],
                "reason": event.reason[:30],
                "is_permanent": event.is_permanent,
                "recipient_hash": hash_address(address) if address else "",
                "provider_message_id": event.provider_message_id,
                "detail": outcomes.without_mailboxes(event.detail),
                "occurred_at": event.occurred_at or now,
            },
        )
        if is_new and about:
            _apply(row, about, now)
    return is_new


def _storable(event: Event) -> Event:
    """Return the event without what the columns cannot hold; a report in JSON can say NUL, or half of a pair."""
    said = {field.name: getattr(event, field.name) for field in fields(event)}
    texts: dict[str, Any] = {name: readable(value) for name, value in said.items() if isinstance(value, str)}
    texts["provider_message_id"] = texts["provider_message_id"][: outcomes.LONGEST_ID]
    return replace(event, **texts)


def adopt(now: dt.datetime) -> int:
    """Do what follows from events that came before our own commit of the id that they name; return how many.

    Where a provider gives our metadata back, no event has to wait for this.
    """
    waiting = DeliveryEvent.objects.filter(delivery=None, mail=None, received_at__gte=now - ORPHANED)
    ours = [model.objects.filter(provider_message_id=OuterRef("provider_message_id")) for model in (Delivery, Mail)]
    found = waiting.exclude(provider_message_id="").filter(Exists(ours[0]) | Exists(ours[1]))
    return sum(_adopt(row, now) for row in found.order_by("occurred_at", "pk"))


def _adopt(row: DeliveryEvent, now: dt.datetime) -> bool:
    about = _find(Event(row.provider, row.kind, provider_message_id=row.provider_message_id))
    if about is None:
        return False
    owner = {"delivery": about} if isinstance(about, Delivery) else {"mail": about}
    with transaction.atomic():
        if not DeliveryEvent.objects.filter(pk=row.pk, delivery=None, mail=None).update(**owner):
            return False
        _apply(row, about, now)
    return True


def _find(event: Event) -> Delivery | Mail | None:
    """Return the row the event is about: by our id, then by the provider's."""
    by_ours = Q(message_id=emails.message_id(event.opaque_id)) if event.opaque_id else None
    by_theirs = Q(provider_message_id=event.provider_message_id) if event.provider_message_id else None
    for condition in filter(None, (by_ours, by_theirs)):
        for model in (Delivery, Mail):
            if row := model.objects.select_related("subscriber").filter(condition).first():
                return row
    return None


def _apply(row: DeliveryEvent, about: Delivery | Mail, now: dt.datetime) -> None:
    if isinstance(about, Delivery):
        _move(about, row)
    else:
        _move_mail(about, row)
    _follow(about.subscriber, row, now)


def _move(delivery: Delivery, event: DeliveryEvent) -> None:
    state, before = STEPS.get(event.kind, PROOF)
    # Also what was put back to be sent again, and went after all.
    is_before = Q(state__in=before) | Q(state__in=Delivery.OPEN, may_have_gone=True)
    Delivery.objects.filter(is_before, pk=delivery.pk).update(
        state=state, accepted_at=Coalesce(F("accepted_at"), Value(event.occurred_at)), next_attempt_at=None
    )


def _move_mail(mail: Mail, event: DeliveryEvent) -> None:
    rows = Mail.objects.filter(pk=mail.pk)
    if event.kind in STEPS and event.kind != "delivered":
        rows.filter(state__in=[Mail.State.SENDING, Mail.State.UNKNOWN, Mail.State.ACCEPTED]).update(
            state=Mail.State.BOUNCED, error=f"{event.kind}: {event.detail}"[:500]
        )
    else:
        rows.filter(state=Mail.State.UNKNOWN).update(state=Mail.State.ACCEPTED, accepted_at=event.occurred_at)


def _follow(subscriber: Subscriber, event: DeliveryEvent, now: dt.datetime) -> None:
    """Suppress or unsubscribe the reader, if the event is about the address that they have."""
    address_hash = hash_address(subscriber.email)
    if event.recipient_hash not in {"", address_hash}:
        return
    if reason := _suppression(event, now):
        Suppression.objects.get_or_create(address_hash=address_hash, reason=reason)
    if event.kind == "unsubscribed" or (event.kind == "rejected" and event.reason == "unsubscribed"):
        signup.unsubscribe(subscriber, now)


def _suppression(event: DeliveryEvent, now: dt.datetime) -> Suppression.Reason | None:
    if event.kind == "complained" or (event.kind == "rejected" and event.reason == "spam"):
        return Suppression.Reason.COMPLAINT
    if event.kind in {"bounced", "rejected", "failed"} and event.is_permanent:
        return Suppression.Reason.BOUNCE
    if event.kind == "bounced" and _soft_bounces(event.recipient_hash, now) >= SOFT_BOUNCES:
        return Suppression.Reason.BOUNCE
    return None


def _soft_bounces(address_hash: str, now: dt.datetime) -> int:
    """Count the mails to an address that bounced softly of late.

    Those that were blocked or taken for spam are left out: they speak of our reputation, not of the mailbox.
    """
    bounced = DeliveryEvent.objects.filter(kind="bounced", recipient_hash=address_hash, is_permanent=False)
    lately = bounced.filter(occurred_at__gte=now - SOFT_WITHIN).exclude(reason__in=["blocked", "spam"])
    return lately.exclude(delivery=None, mail=None).order_by().values("delivery", "mail").distinct().count()
