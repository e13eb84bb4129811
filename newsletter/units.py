"""What is handed over in one call: marked before it, settled after it, in a few statements whatever its size."""

import datetime as dt
import functools
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.backends.utils import CursorWrapper
from django.db.models import F, Q, QuerySet

from newsletter import messages
from newsletter.models import Delivery, Edition
from papers.bulk import document, listed
from subscribers.emails import Outcome
from subscribers.models import Subscriber, Suppression, hash_address

State, Reason = Delivery.State, Delivery.Reason

SENDABLE = [Edition.State.CLOSED, Edition.State.SENDING]
MAX_ATTEMPTS = 8
# Minutes to wait after each attempt: from a server that stumbles to one that is down for hours.
WAITS = (1, 5, 15, 30, 60, 120, 240)
FAULT_WAIT = dt.timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Unit:
    """Deliveries that were handed over in one call, the name of the attempt, and what became of each."""

    name: str
    deliveries: Sequence[Delivery]
    outcomes: Sequence[Outcome]
    at: dt.datetime


def due(now: dt.datetime) -> QuerySet[Delivery]:
    """Return the rows that are to be sent now, whatever their edition; those that wait for another attempt last.

    Else the mail that tries a paused provider would always be the one that it was paused for.
    """
    is_time = Q(next_attempt_at=None) | Q(next_attempt_at__lte=now)
    rows = Delivery.objects.filter(is_time, state__in=Delivery.OPEN)
    return rows.order_by(F("next_attempt_at").asc(nulls_first=True), "pk")


# Before the call --------------------------------------------------------------------------------

# One statement asks for everything, as it stands when the statement begins; the row itself is looked at
# again if it had to wait for another transaction, such as a cancellation. A row that has this unit's
# name already was marked by a commit whose confirmation was lost with the connection, or is in a call
# that is made again under its key.
#
# Each is asked as a value, row by row and by an index. As EXISTS, PostgreSQL read all active readers for each
# mail wherever its statistics had not heard of them yet: 0.9 ms of 4,000 readers, and it grows with them.
MAY_GO = """(d.state IN ('pending', 'retry') OR d.state IN ('sending', 'unknown') AND d.unit = %s)
  AND (SELECT c.owner FROM newsletter_chunk c WHERE c.id = d.chunk_id) = %s
  AND (
    SELECT e.state FROM newsletter_edition e WHERE e.id = d.edition_id AND NOT EXISTS (
      SELECT 1 FROM newsletter_edition n WHERE n.closed_at IS NOT NULL AND n.date > e.date)) IN ('closed', 'sending')
  AND (SELECT s.email FROM subscribers_subscriber s WHERE s.id = d.subscriber_id AND s.state = 'active') = r.email
  AND (SELECT 1 FROM subscribers_suppression p WHERE p.address_hash = r.address_hash LIMIT 1) IS NULL
"""
_MARK = f"""
UPDATE newsletter_delivery AS d
SET state = 'sending', unit = %s, attempt = d.attempt + CASE WHEN d.unit = %s THEN 0 ELSE 1 END,
    next_attempt_at = NULL, message_id = r.message_id, sending_at = %s, error = ''
FROM {{rows}}
WHERE d.id = r.pk AND {MAY_GO}
RETURNING id
"""  # noqa: S608 - the conditions are ours


@dataclass(frozen=True, eq=False)
class Statement:
    """An UPDATE of deliveries from a document, whose rows stand at ``{rows}``; ``columns`` as ``listed`` has them."""

    sql: str
    columns: Mapping[str, str]

    def run(self, cursor: CursorWrapper, parameters: Sequence[str], count: int) -> set[int]:
        """Return the ids of the rows that it changed, of ``count`` in the document."""
        cursor.execute(_written(self, cursor.db.vendor, count), parameters)
        return {row[0] for row in cursor.fetchall()}


@functools.lru_cache(maxsize=256)
def _written(statement: Statement, _vendor: str, count: int) -> str:
    return statement.sql.format(rows=listed("r", statement.columns, count))


GOING = {"pk": "bigint", "email": "text", "address_hash": "text", "message_id": "text"}
MARK = Statement(_MARK, GOING)


def mark(deliveries: Collection[Delivery], owner: str, name: str, now: dt.datetime) -> set[int]:
    """Mark the rows that may still go as sending; return their ids.

    ``owner`` holds the lease of their chunk. A row may go while its edition runs and is the newest,
    its reader is active and has the address that the mail is made out to, and nothing suppresses that
    address: suppressions are found by an HMAC, which only we can compute.
    """
    at = str(connection.ops.adapt_datetimefield_value(now))
    with connection.cursor() as cursor:
        return MARK.run(cursor, [name, name, at, document(map(going, deliveries)), name, owner], len(deliveries))


def going(delivery: Delivery) -> dict[str, object]:
    """Return what must hold of a row that goes, and the name of its message."""
    email = delivery.subscriber.email
    return {
        "pk": delivery.pk,
        "email": email,
        "address_hash": hash_address(email),
        "message_id": messages.message_id(delivery),
    }


def fail(delivery: Delivery, error: str) -> int:
    """End a row that was not handed over and cannot be; return 1, or 0 where it had ended already."""
    return _open([delivery]).update(state=State.FAILED, error=error[:500])


def skip(deliveries: Collection[Delivery]) -> Counter[str]:
    """End rows of one edition that must not be sent any more; return how many, as ``skipped:<reason>``.

    A row of which only the address changed stays open: it is made out anew when it is read again.
    """
    reasons = _why_not(deliveries)
    counts: Counter[str] = Counter()
    for reason in set(reasons.values()):
        of_this = _open(delivery for delivery in deliveries if reasons.get(delivery.pk) == reason)
        if reason in {Reason.CANCELLED, Reason.TOO_LATE}:
            counts["unknown"] += stay_unknown(of_this)
        counts[f"skipped:{reason}"] = of_this.update(state=State.SKIPPED, reason=reason)
    return +counts


def stay_unknown(rows: QuerySet[Delivery]) -> int:
    """Take back that what may have gone be sent again, of an edition that is over; return how many there were.

    Skipped, it would not count as sent, and its papers would come with the next digest once more.
    """
    waiting = rows.filter(may_have_gone=True, state__in=Delivery.OPEN)
    return waiting.update(state=State.UNKNOWN, next_attempt_at=None)


def _open(deliveries: Iterable[Delivery]) -> QuerySet[Delivery]:
    return Delivery.objects.filter(pk__in=[delivery.pk for delivery in deliveries], state__in=Delivery.OPEN)


def _why_not(deliveries: Collection[Delivery]) -> dict[int, Delivery.Reason]:
    """Return why each row must not be sent, by its id; nothing about those of which only the address changed."""
    edition = Edition.objects.get(pk=next(iter(deliveries)).edition_id)
    if edition.state == Edition.State.CANCELLED:
        return {delivery.pk: Reason.CANCELLED for delivery in deliveries}
    if Edition.objects.filter(closed_at__isnull=False, date__gt=edition.date).exists():
        return {delivery.pk: Reason.TOO_LATE for delivery in deliveries}
    readers = Subscriber.objects.in_bulk([delivery.subscriber_id for delivery in deliveries])
    hashes = {reader.pk: hash_address(reader.email) for reader in readers.values()}
    suppressed = set(
        Suppression.objects.filter(address_hash__in=hashes.values()).values_list("address_hash", flat=True)
    )
    reasons = {}
    for delivery in deliveries:
        reader = readers.get(delivery.subscriber_id)
        if reader and (reason := _why_not_to(reader, is_suppressed=hashes[reader.pk] in suppressed)):
            reasons[delivery.pk] = reason
    return reasons


def _why_not_to(reader: Subscriber, *, is_suppressed: bool) -> Delivery.Reason | None:
    if reader.state == Subscriber.State.PAUSED:
        return Reason.PAUSED
    if reader.state != Subscriber.State.ACTIVE:
        return Reason.UNSUBSCRIBED
    return Reason.SUPPRESSED if is_suppressed else None


# After the call ---------------------------------------------------------------------------------

# The name of the attempt is asked for, so that a worker that was taken for dead still settles its own
# attempt and no other: while the row is unknown, or waits to be sent again, the late answer decides.
MAY_SETTLE = """
d.unit = %s AND (d.state IN ('sending', 'unknown') OR d.state IN ('pending', 'retry') AND r.state = 'accepted')
"""
# A document's row holds what it changes; what it leaves out is nothing.
_SETTLE = f"""
UPDATE newsletter_delivery AS d
SET state = r.state, error = COALESCE(r.error, ''), accepted_at = r.accepted_at, next_attempt_at = r.next_attempt_at,
    provider_message_id = COALESCE(r.provider_message_id, ''), attempt = d.attempt - COALESCE(r.refund, 0),
    chunk_id = CASE WHEN r.leaves = 1 THEN NULL ELSE d.chunk_id END
FROM {{rows}}
WHERE d.id = r.pk AND {MAY_SETTLE}
RETURNING id
"""  # noqa: S608 - the condition is ours
SETTLED = {"pk": "bigint", "state": "text", "error": "text", "accepted_at": "timestamptz"}
SETTLED |= {"next_attempt_at": "timestamptz", "provider_message_id": "text", "refund": "int", "leaves": "int"}
SETTLE = Statement(_SETTLE, SETTLED)
_NAME = """
UPDATE newsletter_delivery AS d SET provider_message_id = r.provider_message_id
FROM {rows} WHERE d.id = r.pk AND d.unit = %s AND d.provider_message_id = ''
RETURNING id
"""
NAME = Statement(_NAME, {"pk": "bigint", "provider_message_id": "text"})

Change = dict[str, object]


def settle(unit: Unit) -> Counter[str]:
    """Write down what became of a unit, within the caller's transaction; harmless when done twice."""
    changes = changed(unit)
    with connection.cursor() as cursor:
        settled = SETTLE.run(cursor, [document(changes), unit.name], len(changes))
    name_overtaken(unit, changes, settled)
    return count(changes, unit.outcomes)


def name_overtaken(unit: Unit, changes: Iterable[Change], settled: Collection[int]) -> None:
    """Write the provider's ids where an event was faster than the answer, and knew nothing of them."""
    named = [change for change in changes if change["pk"] not in settled and change.get("provider_message_id")]
    if named:
        with connection.cursor() as cursor:
            NAME.run(cursor, [document(named), unit.name], len(named))


def changed(unit: Unit) -> list[Change]:
    """Return the new values of each delivery's row."""
    return [_change(unit, delivery, said) for delivery, said in zip(unit.deliveries, unit.outcomes, strict=True)]


def count(changes: Iterable[Change], answered: Iterable[Outcome]) -> Counter[str]:
    """Return how many ended how, in the words of ``sending.deliver_chunk``."""
    counts: Counter[str] = Counter()
    for change, outcome in zip(changes, answered, strict=True):
        if outcome.kind != "unsent":  # it goes on in this call or in a later one
            counts["sent" if outcome.kind == "accepted" else str(change["state"])] += 1
        if outcome.kind == "provider_fault":
            counts["provider_fault"] = 1
    return counts


def _change(unit: Unit, delivery: Delivery, outcome: Outcome) -> Change:
    """Return the new values of a delivery's row."""
    attempt, error = delivery.attempt + 1, outcome.error[:400]
    change: Change = {"pk": delivery.pk, "state": State.RETRY}
    if error:
        change["error"] = error
    if outcome.kind == "accepted":
        more: Change = {"state": State.ACCEPTED, "accepted_at": unit.at}
        if outcome.provider_message_id:
            more["provider_message_id"] = outcome.provider_message_id
    elif outcome.kind == "provider_fault":
        # Nobody's attempt: a wrong key must not use up the readers' attempts.
        more = {"refund": 1, "next_attempt_at": unit.at + FAULT_WAIT}
    elif outcome.kind == "unsent":
        more = {"refund": 1}
    elif outcome.kind == "unknown":
        more = {"state": State.UNKNOWN}
    elif outcome.kind == "failed":
        more = {"state": State.FAILED, "error": error or "refused"}
    elif attempt >= MAX_ATTEMPTS:
        more = {"state": State.FAILED, "error": f"gave up after {attempt} attempts: {error}"}
    else:
        more = {"leaves": 1, "next_attempt_at": unit.at + _wait(delivery, outcome, attempt)}
    return change | more


def _wait(delivery: Delivery, outcome: Outcome, attempt: int) -> dt.timedelta:
    """Return how long to wait after an attempt, or as long as the provider asks; spread by a tenth."""
    minutes = WAITS[min(attempt, len(WAITS)) - 1] * (1 + delivery.pk % 11 / 100)
    return max(dt.timedelta(minutes=minutes), dt.timedelta(seconds=outcome.retry_after_s or 0))


def may_have_gone(rows: QuerySet[Delivery]) -> int:
    """Turn rows that nobody will settle into unknown ones; return how many there were."""
    error = "the worker ended while it handed the message over"
    return rows.filter(state=State.SENDING).update(state=State.UNKNOWN, error=error)
