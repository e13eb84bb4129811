"""Make the Delivery rows of an edition: who is due now, and what their digest holds."""

import datetime as dt
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice

from django.db import transaction
from django.db.models import Exists, Max, OuterRef, Q

from newsletter import editions, schedule
from newsletter.chunks import CHUNK_SIZE, add_chunk, lock
from newsletter.contents import Book, Content, contents
from newsletter.models import Delivery, DeliveryPicks, Edition
from newsletter.schedule import ClosedEdition, Due, LastDigest, ReaderSchedule
from subscribers import signup
from subscribers.models import Subscriber

logger = logging.getLogger(__name__)

State, Reason = Delivery.State, Delivery.Reason

PAGE = 1000  # readers looked at in one query
COUNTS = Q(state__in=Delivery.SENT) | Q(state=State.SKIPPED, reason__in=Delivery.COUNTING_SKIPS)
TOO_LATE = Q(state=State.SKIPPED, reason=Reason.TOO_LATE)
NOT_FINAL = [*Delivery.OPEN, State.SENDING]


@dataclass(slots=True)
class Planned:
    """What planning made: chunks to be sent, and how many rows ended at once, skipped (by reason) or failed."""

    chunk_ids: list[int] = field(default_factory=list)
    pending: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def plan(edition: Edition, now: dt.datetime) -> Planned:
    """Write a row for every active reader who is due at ``now``, with the picks of those who get a mail.

    Any number of planners may run at once: rows are written under the edition's lock, a chunk in
    a transaction, and a reader who has a row is passed over. Nothing is planned for an edition
    that a newer one overtook.
    """
    planned = Planned()
    if editions.closed().filter(date__gt=edition.date).exists():
        return planned
    _end_older(edition)
    signup.resume_due(now)
    book = Book(edition)
    due = _due_readers(edition, book.editions, now)
    while batch := list(islice(due, CHUNK_SIZE)):
        _write(book, batch, planned)
    return planned


def _end_older(edition: Edition) -> None:
    """End what is still open of the editions before, and those editions themselves.

    This is the one place where a digest that was overtaken ends, but for a worker that meets one.
    """
    older = Edition.objects.filter(date__lt=edition.date, closed_at__isnull=False).exclude(state=Edition.State.DONE)
    ids = list(older.values_list("pk", flat=True))
    if count := Delivery.objects.filter(edition__in=ids, state__in=Delivery.OPEN).update(
        state=State.SKIPPED, reason=Reason.TOO_LATE
    ):
        logger.warning("%d deliveries came too late: the edition of %s is closed", count, edition.date)
    unfinished = Delivery.objects.filter(edition=OuterRef("pk"), state__in=NOT_FINAL)
    running = Edition.objects.filter(pk__in=ids).exclude(state=Edition.State.CANCELLED)
    running.filter(~Exists(unfinished)).update(state=Edition.State.DONE)


# Who is due -------------------------------------------------------------------------------------


def _due_readers(edition: Edition, closed: Sequence[Edition], now: dt.datetime) -> Iterator[tuple[Subscriber, Due]]:
    """Yield the active readers without a row in the edition who are due, in pages by their ids."""
    known = [ClosedEdition(e.date, e.scheduled_at, e.new_count) for e in closed]
    has_row = Delivery.objects.filter(edition=edition, subscriber=OuterRef("pk"))
    readers = Subscriber.objects.active().filter(~Exists(has_row)).order_by("pk")
    page = list(readers[:PAGE])
    while page:
        last, overtaken = _history(page)
        for reader in page:
            if due := schedule.due(
                _schedule_of(reader), last.get(reader.pk), known, now, was_too_late=reader.pk in overtaken
            ):
                yield reader, due
        page = list(readers.filter(pk__gt=page[-1].pk)[:PAGE])


def _history(readers: Collection[Subscriber]) -> tuple[dict[int, LastDigest], set[int]]:
    """Return these readers' last digests that count, and those whose newest delivery came too late."""
    rows = (
        Delivery.objects.filter(subscriber__in=readers)
        .order_by()
        .values_list("subscriber")
        .annotate(
            edition_date=Max("edition__date", filter=COUNTS),
            # Of a reader who moved west, an older digest may have the newer date.
            last_local_date=Max("local_date", filter=COUNTS),
            too_late=Max("edition__date", filter=TOO_LATE),
            newest=Max("edition__date"),
        )
    )
    last, overtaken = {}, set()
    for reader, edition_date, local_date, too_late, newest in rows:
        if edition_date:
            last[reader] = LastDigest(edition_date, local_date)
        if too_late == newest:
            overtaken.add(reader)
    return last, overtaken


def draft(edition: Edition, reader: Subscriber, now: dt.datetime) -> Delivery:
    """Return the row, with picks, that a reader would get of an edition now, whatever their hour; it is not saved."""
    book = Book(edition)
    last, _ = _history([reader])
    known = [ClosedEdition(e.date, e.scheduled_at, e.new_count) for e in book.editions]
    wanted = _schedule_of(reader)
    due = schedule.due(wanted, last.get(reader.pk), known, now, was_too_late=True)
    due = due or Due(edition.date, edition.date, now.astimezone(wanted.zone).date())
    content = contents(book, [(reader, due)])[reader.pk]
    delivery = _row(edition, due, reader, content)
    delivery.picks = _picks(delivery, content)
    return delivery


def _schedule_of(reader: Subscriber) -> ReaderSchedule:
    return ReaderSchedule(reader.timezone, reader.frequency, reader.weekday, reader.hour)


# Rows -------------------------------------------------------------------------------------------


def _write(book: Book, batch: Sequence[tuple[Subscriber, Due]], planned: Planned) -> None:
    """Write the rows of a batch, at most a chunk, in one transaction."""
    content = contents(book, batch)
    with transaction.atomic():
        lock(book.edition.pk)
        wanted = _still_wanted(book.edition, content)
        rows = [_row(book.edition, due, reader, content[reader.pk]) for reader, due in batch if reader.pk in wanted]
        pending = [row for row in rows if row.state == State.PENDING]
        if pending:
            chunk = add_chunk(book.edition.pk)
            for row in pending:
                row.chunk = chunk
            Edition.objects.filter(pk=book.edition.pk, state=Edition.State.CLOSED).update(state=Edition.State.SENDING)
            planned.chunk_ids.append(chunk.pk)
        Delivery.objects.bulk_create(rows)
        DeliveryPicks.objects.bulk_create(_picks(row, content[row.subscriber_id]) for row in pending)
    planned.pending += len(pending)
    planned.failed += sum(row.state == State.FAILED for row in rows)
    planned.skipped.update(str(row.reason) for row in rows if row.reason)


def _row(edition: Edition, due: Due, reader: Subscriber, content: Content) -> Delivery:
    return Delivery(
        edition=edition,
        subscriber=reader,
        covers_from=due.covers_from,
        local_date=due.local_date,
        state=State.SKIPPED if content.reason else State.FAILED if content.error else State.PENDING,
        reason=content.reason,
        error=content.error,
    )


def _still_wanted(edition: Edition, ids: Collection[int]) -> set[int]:
    """Return who still is an active reader without a row: another planner may have been faster.

    Locked, so that nobody is erased before their row is written.
    """
    readers = Subscriber.objects.active().filter(pk__in=ids).select_for_update(no_key=True)
    known = Delivery.objects.filter(edition=edition, subscriber__in=ids).values_list("subscriber", flat=True)
    return set(readers.values_list("pk", flat=True)) - set(known)


def _picks(delivery: Delivery, content: Content) -> DeliveryPicks:
    selection = content.selection
    return DeliveryPicks(
        delivery=delivery,
        form=content.form,
        paper_ids=[pick.paper_id for pick in selection.picks],
        details=[
            {
                "paper": pick.paper_id,
                "section": pick.section,
                "score": round(pick.score, 4),
                "why": [asdict(why) for why in pick.why],
            }
            for pick in selection.picks
        ],
        counts={
            "considered": selection.considered,
            "matched": selection.matched,
            "muted": selection.muted,
            "sent_before": selection.sent_before,
        },
    )
