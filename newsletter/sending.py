"""Claim a chunk, send its deliveries one by one, settle each: nothing twice, nobody forgotten.

A unit is one message. Between the commit that marks its row as sending and the call that hands it
over, nothing may block or fail; a process that dies there leaves a row that says so, and the
sweeper turns it into *unknown*, which is never sent again by itself.
"""

import datetime as dt
import logging
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet
from django.utils import timezone

from newsletter import messages, rendering
from newsletter.models import Chunk, Delivery, Edition
from newsletter.providers import Provider
from subscribers.emails import HandOver, Outcome
from subscribers.models import Subscriber, Suppression, hash_address

logger = logging.getLogger(__name__)

State, Reason = Delivery.State, Delivery.Reason

CHUNK_SIZE = settings.CHUNK_SIZE
LEASE = dt.timedelta(seconds=settings.CHUNK_LEASE_S)
SENDABLE = [Edition.State.CLOSED, Edition.State.SENDING]
MAX_ATTEMPTS = 8
# Minutes to wait after each attempt: from a server that stumbles to one that is down for hours.
WAITS = (1, 5, 15, 30, 60, 120, 240)
FAULT_WAIT = dt.timedelta(minutes=1)

Clock = Callable[[], dt.datetime]


# One chunk --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Unit:
    """One message that was handed over: its row, the name of the attempt, and the answer."""

    delivery: Delivery
    name: str
    outcome: Outcome
    at: dt.datetime


def deliver_chunk(
    chunk_id: int,
    now: dt.datetime,
    *,
    hand_over: HandOver | None = None,
    clock: Clock = timezone.now,
    should_stop: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Send what is due in a chunk; return how many deliveries ended how in this call.

    The keys are ``sent``, ``failed``, ``unknown``, ``retry``, ``skipped:<reason>``, and
    ``provider_fault`` once if the provider would take nobody's. Empty when another worker holds
    the chunk. ``now`` and ``clock`` are the real time, by which leases and retries go. Any number
    of workers may be given the same chunk.
    """
    worker = _Worker(chunk_id, clock, should_stop)
    if worker.claim(now):
        with Provider() as provider:
            worker.run(hand_over or provider.send)
    return worker.counts


class _Worker:
    """The holder of a chunk's lease, with the unit whose outcome is not written down yet."""

    def __init__(self, chunk_id: int, clock: Clock, should_stop: Callable[[], bool]) -> None:
        self.chunk_id, self.clock, self.should_stop = chunk_id, clock, should_stop
        self.owner = uuid.uuid4().hex
        self.leased_until = dt.datetime.min.replace(tzinfo=dt.UTC)
        self.unsettled: Unit | None = None
        self.counts: Counter[str] = Counter()

    def claim(self, now: dt.datetime) -> bool:
        """Take the lease if it is free; what its last holder left as sending may have gone."""
        free = Chunk.objects.filter(Q(owner="") | Q(leased_until__lt=now), pk=self.chunk_id)
        with transaction.atomic():
            if not free.update(owner=self.owner, leased_until=now + LEASE, attempts=F("attempts") + 1):
                return False
            _may_have_gone(Delivery.objects.filter(chunk=self.chunk_id))
        self.leased_until = now + LEASE
        return True

    def run(self, hand_over: HandOver) -> None:
        """Send the chunk's due rows in turn, until the end, a stop, a pause or the provider's fault."""
        deliveries = list(
            _due(self.clock()).filter(chunk=self.chunk_id).select_related("subscriber", "edition", "picks")
        )
        of = rendering.material(deliveries)
        for delivery in deliveries:
            if self.should_stop() or not self._send(delivery, of, hand_over):
                break
        with transaction.atomic():
            self._settle()
            Chunk.objects.filter(pk=self.chunk_id, owner=self.owner).update(owner="", leased_until=None)

    def _send(self, delivery: Delivery, of: rendering.Material, hand_over: HandOver) -> bool:
        """Send one delivery, in the order of ARCHITECTURE section 9; False when the chunk must stop."""
        message = self._compose(delivery, of)
        if message is None:
            return True
        name = uuid.uuid4().hex
        with transaction.atomic():
            self._settle()
            is_mine = self._renew()
            is_marked = is_mine and _mark(delivery, self.owner, name, self.clock())
        if not is_marked:
            return is_mine and self._skip(delivery)
        if self.clock() >= self.leased_until:
            outcome = Outcome("provider_fault", error="the worker was held up beyond its lease; nothing was sent")
        else:
            outcome = hand_over(message)
        self.unsettled = Unit(delivery, name, outcome, self.clock())
        return outcome.kind != "provider_fault"

    def _compose(self, delivery: Delivery, of: rendering.Material) -> EmailMessage | None:
        try:
            return messages.message(delivery, of)
        except Exception as error:  # the boundary: one reader's mail that cannot be made stops nobody else's
            logger.exception("edition %s, delivery %s: cannot be composed", delivery.edition_id, delivery.pk)
            said = f"cannot be composed: {type(error).__name__}: {error}"
            if _open(delivery).update(state=State.FAILED, error=said[:500]):
                self.counts["failed"] += 1
            return None

    def _settle(self) -> None:
        """Write down how the last unit ended, within the caller's transaction."""
        if self.unsettled:
            unit, self.unsettled = self.unsettled, None
            self.counts.update(settle(unit))

    def _renew(self) -> bool:
        """Renew the lease when a third is used up; False when it is another's by now."""
        now = self.clock()
        if self.leased_until - now > LEASE * 2 / 3:
            return True
        is_mine = Chunk.objects.filter(pk=self.chunk_id, owner=self.owner).update(leased_until=now + LEASE)
        if is_mine:
            self.leased_until = now + LEASE
        return bool(is_mine)

    def _holds_lease(self) -> bool:
        return Chunk.objects.filter(pk=self.chunk_id, owner=self.owner).exists()

    def _skip(self, delivery: Delivery) -> bool:
        """End a row that could not be marked, with the reason; False when nothing of the chunk may go."""
        edition = Edition.objects.get(pk=delivery.edition_id)
        if edition.state == Edition.State.PAUSED or not self._holds_lease():
            return False
        reason = _why_not(delivery, edition)
        if reason and _open(delivery).update(state=State.SKIPPED, reason=reason):
            self.counts[f"skipped:{reason}"] += 1
        return True


# One row ----------------------------------------------------------------------------------------


def _open(delivery: Delivery) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk=delivery.pk, state__in=Delivery.OPEN)


def _due(now: dt.datetime) -> QuerySet[Delivery]:
    is_time = Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    return Delivery.objects.filter(is_time, state__in=Delivery.OPEN).order_by("pk")


def _mark(delivery: Delivery, owner: str, name: str, now: dt.datetime) -> bool:
    """Mark a row as sending if it may still go: one statement that asks for everything.

    The conditions on other tables are EXISTS, not joins, which Django would turn into a list of ids
    that PostgreSQL does not look at again after it waited for another transaction. The address is
    asked for too: its suppressions are found by an HMAC, which only we can compute.
    """
    chunk = Chunk.objects.filter(pk=OuterRef("chunk_id"), owner=owner)
    edition = Edition.objects.filter(pk=OuterRef("edition_id"), state__in=SENDABLE)
    reader = Subscriber.objects.filter(pk=OuterRef("subscriber_id"), state=Subscriber.State.ACTIVE)
    return bool(
        _open(delivery)
        .filter(Exists(chunk), Exists(edition), Exists(reader.filter(email=delivery.subscriber.email)))
        .filter(~Exists(_newer(delivery.edition)), ~Exists(_suppressions(delivery.subscriber)))
        .update(
            state=State.SENDING,
            unit=name,
            attempt=F("attempt") + 1,
            next_attempt_at=None,
            message_id=messages.message_id(delivery),
            sending_at=now,
            error="",
        )
    )


def _newer(edition: Edition) -> QuerySet[Edition]:
    return Edition.objects.filter(closed_at__isnull=False, date__gt=edition.date)


def _suppressions(subscriber: Subscriber) -> QuerySet[Suppression]:
    return Suppression.objects.filter(address_hash=hash_address(subscriber.email))


def _why_not(delivery: Delivery, edition: Edition) -> Delivery.Reason | None:
    """Return why a row must not be sent any more; None when only its address changed, or the row is gone."""
    subscriber = Subscriber.objects.filter(pk=delivery.subscriber_id).first()
    if subscriber is None:
        return None
    if edition.state == Edition.State.CANCELLED:
        return Reason.CANCELLED
    if _newer(edition).exists():
        return Reason.TOO_LATE
    if subscriber.state == Subscriber.State.PAUSED:
        return Reason.PAUSED
    if subscriber.state != Subscriber.State.ACTIVE:
        return Reason.UNSUBSCRIBED
    return Reason.SUPPRESSED if _suppressions(subscriber).exists() else None


def settle(unit: Unit) -> list[str]:
    """Write down what became of a unit; return the words to count it under.

    The name of the attempt is asked for, so that a worker that was taken for dead still settles
    its own attempt and no other.
    """
    mine, outcome = Delivery.objects.filter(pk=unit.delivery.pk, unit=unit.name), unit.outcome
    is_settled = mine.filter(state__in=[State.SENDING, State.UNKNOWN]).update(**_changes(unit))
    if outcome.kind == "accepted":
        if not is_settled:
            # An event was faster than the answer, and knew nothing of the provider's id.
            mine.filter(provider_message_id="").update(provider_message_id=outcome.provider_message_id)
        return ["sent"]
    return ["retry", "provider_fault"] if outcome.kind == "provider_fault" else [str(_changes(unit)["state"])]


def _changes(unit: Unit) -> dict[str, object]:
    outcome, attempt = unit.outcome, unit.delivery.attempt + 1
    error = outcome.error[:400]
    if outcome.kind == "accepted":
        return {"state": State.ACCEPTED, "accepted_at": unit.at, "provider_message_id": outcome.provider_message_id}
    if outcome.kind == "provider_fault":
        # Nobody's attempt: a wrong key must not use up the readers' attempts.
        back = {"attempt": F("attempt") - 1, "next_attempt_at": unit.at + FAULT_WAIT}
        return {"state": State.RETRY, "error": error, **back}
    if outcome.kind == "unknown":
        return {"state": State.UNKNOWN, "error": error}
    if outcome.kind == "failed":
        return {"state": State.FAILED, "error": error or "refused"}
    if attempt >= MAX_ATTEMPTS:
        return {"state": State.FAILED, "error": f"gave up after {attempt} attempts: {error}"}
    return {"state": State.RETRY, "error": error, "chunk": None, "next_attempt_at": unit.at + _wait(unit, attempt)}


def _wait(unit: Unit, attempt: int) -> dt.timedelta:
    """Return how long to wait after an attempt, or as long as the provider asks; spread by a tenth."""
    minutes = WAITS[min(attempt, len(WAITS)) - 1] * (1 + unit.delivery.pk % 11 / 100)
    return max(dt.timedelta(minutes=minutes), dt.timedelta(seconds=unit.outcome.retry_after_s or 0))


def _may_have_gone(rows: QuerySet[Delivery]) -> int:
    """Turn rows that nobody will settle into unknown ones."""
    error = "the worker ended while it handed the message over"
    return rows.filter(state=State.SENDING).update(state=State.UNKNOWN, error=error)


# All chunks -------------------------------------------------------------------------------------


def sweep(now: dt.datetime) -> list[int]:
    """End the leases that ran out, give rows to be tried again a chunk, return the chunks to be worked on.

    ``now`` is the real time. It needs no broker: what is to be done stands in the rows.
    """
    leased = Chunk.objects.filter(pk=OuterRef("chunk_id"), leased_until__gte=now)
    with transaction.atomic():
        Chunk.objects.filter(leased_until__lt=now).update(owner="", leased_until=None)
        if count := _may_have_gone(Delivery.objects.filter(~Exists(leased))):
            logger.error("%d deliveries may have gone: their worker ended while it sent them", count)
    for edition_id in _waiting(now).values_list("edition_id", flat=True).distinct().order_by():
        _put_into_chunks(edition_id, now)
    due = _due(now).order_by().filter(chunk=OuterRef("pk"))
    chunks = Chunk.objects.filter(Exists(due), owner="", edition__state__in=SENDABLE)
    return list(chunks.order_by("edition", "number").values_list("pk", flat=True))


def _waiting(now: dt.datetime) -> QuerySet[Delivery]:
    return _due(now).filter(chunk=None, edition__state__in=SENDABLE)


def _put_into_chunks(edition_id: int, now: dt.datetime) -> None:
    with transaction.atomic():
        lock(edition_id)
        ids = list(_waiting(now).filter(edition=edition_id).values_list("pk", flat=True))
        for start in range(0, len(ids), CHUNK_SIZE):
            chunk = add_chunk(edition_id)
            Delivery.objects.filter(pk__in=ids[start : start + CHUNK_SIZE]).update(chunk=chunk)


def lock(edition_id: int) -> Edition:
    """Hold an edition's row until the transaction ends, so that its chunks are numbered one at a time.

    SQLite has no such lock and needs none: there a transaction begins with the lock of all writes.
    """
    return Edition.objects.select_for_update().get(pk=edition_id)


def add_chunk(edition_id: int) -> Chunk:
    """Return a new chunk, with the next number; the caller holds the edition's lock."""
    last = Chunk.objects.filter(edition=edition_id).aggregate(last=Max("number"))["last"]
    return Chunk.objects.create(edition_id=edition_id, number=(last or 0) + 1)
