"""Make the Delivery rows of an edition: who is due now, and what their digest holds."""

import datetime as dt
import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from newsletter import editions, garbage, schedule, units, warm_up
from newsletter.chunks import CHUNK_SIZE, add_chunk, lock
from newsletter.contents import Book, Content, contents
from newsletter.due import due_readers, history, schedule_of, unnamed
from newsletter.models import Delivery, DeliveryPicks, Edition
from newsletter.schedule import ClosedEdition, Due
from papers import bulk
from subscribers import signup
from subscribers.models import Subscriber, make_token
from subscribers.selection import Pick

logger = logging.getLogger(__name__)

State, Reason = Delivery.State, Delivery.Reason

NOT_FINAL = [*Delivery.OPEN, State.SENDING]
LEFT_OUT = Content(reason=Reason.WARM_UP)
# How often everybody is looked at; in between, only those whose hour came or who confirmed.
FULL_EVERY = dt.timedelta(minutes=10)
# A planner at work writes a chunk's rows every 0.2 s. When rows are young and no more come, it ended.
YOUNG, LOOK_S, LOOKS = dt.timedelta(seconds=10), 0.25, 12


@dataclass(slots=True)
class Planned:
    """What planning made: chunks to be sent, and how many rows ended at once, skipped (by reason) or failed."""

    chunk_ids: list[int] = field(default_factory=list)
    pending: int = 0
    failed: int = 0
    skipped: Counter[str] = field(default_factory=Counter)


def plan(
    edition: Edition, now: dt.datetime, *, is_full: bool = True, note: Callable[[int], object] = lambda _: None
) -> Planned:
    """Write a row for every active reader who is due at ``now``, with the picks of those who get a mail.

    Any number of planners may run at once, and any of them may end anywhere: rows are written under
    the edition's lock, a chunk in a transaction, and a reader who has a row is passed over. Nothing is
    planned for an edition that a newer one overtook.

    Unless ``is_full``, most of the calls look only at those whose hour came since the last call. A
    reader who is due for another reason, as one who changed their hour, waits ``FULL_EVERY`` at most.
    ``note`` is told the id of each chunk as soon as its rows are committed, so that others can begin to send.
    """
    planned = Planned()
    if editions.closed().filter(date__gt=edition.date).exists():
        return planned
    _end_older(edition)
    signup.resume_due(now)
    book, warming = Book(edition), None
    due = due_readers(book.editions, now, None if is_full else _since(edition, now))
    while batch := list(islice(due, CHUNK_SIZE)):
        warming = warming or warm_up.of(edition)
        # Each search would walk through the whole index, and took half of a chunk's time.
        with garbage.uncollected():
            chunk_id = _write(book, batch, warming, planned)
        if chunk_id:
            note(chunk_id)
    not_later = Q(planned_until=None) | Q(planned_until__lt=now)
    Edition.objects.filter(not_later, pk=edition.pk).update(planned_until=now)
    return planned


def is_under_way(edition: Edition) -> bool:
    """Say whether another planner writes rows of the edition at this moment.

    Two of them do no harm, but wait for each other's lock: of two processes neither sends meanwhile, and both
    together plan no faster than one. Where rows are young it takes ``LOOKS`` times ``LOOK_S`` seconds to find
    that their planner is no more.
    """
    rows = Delivery.objects.order_by("-pk").values_list("pk", "edition_id", "created_at", named=True)
    newest = rows.first()
    if newest is None or newest.edition_id != edition.pk or timezone.now() - newest.created_at > YOUNG:
        return False
    for _ in range(LOOKS):
        time.sleep(LOOK_S)
        if rows.first() != newest:
            return True
    return False


def _since(edition: Edition, now: dt.datetime) -> dt.datetime | None:
    """Return from when on is to be looked at; None where everybody is."""
    until = Edition.objects.values_list("planned_until", flat=True).get(pk=edition.pk)
    if until is None or not until <= now or _round(until) != _round(now):
        return None
    return until


def _round(moment: dt.datetime) -> int:
    return int(moment.timestamp() // FULL_EVERY.total_seconds())


def _end_older(edition: Edition) -> None:
    """End what is still open of the editions before, and those editions themselves.

    This is the one place where a digest that was overtaken ends, but for a worker that meets one.
    """
    older = Edition.objects.filter(date__lt=edition.date, closed_at__isnull=False).exclude(state=Edition.State.DONE)
    ids = list(older.values_list("pk", flat=True))
    waiting = Delivery.objects.filter(edition__in=ids, state__in=Delivery.OPEN)
    units.stay_unknown(waiting)
    if count := waiting.update(state=State.SKIPPED, reason=Reason.TOO_LATE):
        logger.warning("%d deliveries came too late: the edition of %s is closed", count, edition.date)
    unfinished = Delivery.objects.filter(edition=OuterRef("pk"), state__in=NOT_FINAL)
    running = Edition.objects.filter(pk__in=ids).exclude(state=Edition.State.CANCELLED)
    running.filter(~Exists(unfinished)).update(state=Edition.State.DONE)


def draft(edition: Edition, reader: Subscriber, now: dt.datetime) -> Delivery:
    """Return the row, with picks, that a reader would get of an edition now, whatever their hour; it is not saved."""
    book = Book(edition)
    last, _ = history([reader], book.editions)
    known = [ClosedEdition(e.date, e.scheduled_at, e.new_count) for e in book.editions]
    wanted = schedule_of(reader)
    due = schedule.due(wanted, last.get(reader.pk), known, now, was_too_late=True)
    due = due or Due(edition.date, edition.date, now.astimezone(wanted.zone).date())
    content = contents(book, [(reader, due)])[reader.pk]
    delivery = Delivery(edition=edition, subscriber=reader, **_row(due, content))
    delivery.picks = DeliveryPicks(delivery=delivery, **_picks(content, is_first=due.is_first))
    return delivery


# Rows -------------------------------------------------------------------------------------------


def _write(
    book: Book, batch: Sequence[tuple[Subscriber, Due]], warming: warm_up.WarmUp, planned: Planned
) -> int | None:
    """Write the rows of a batch, at most a chunk, in one transaction; return the chunk's id, None if it is empty."""
    admitted = warming.admitted([reader for reader, _ in batch])
    chosen = contents(book, [(reader, due) for reader, due in batch if reader.pk in admitted])
    with transaction.atomic():
        lock(book.edition.pk)
        wanted = _still_wanted(book.edition, [reader.pk for reader, _ in batch])
        content = _within({pk: chosen.get(pk, LEFT_OUT) for pk in wanted}, warming.room())
        rows = {reader.pk: _row(due, content[reader.pk]) for reader, due in batch if reader.pk in wanted}
        firsts = {reader.pk for reader, due in batch if due.is_first}
        chunk_id = _insert(book.edition, rows, {pk: _picks(content[pk], is_first=pk in firsts) for pk in rows})
    planned.chunk_ids += [chunk_id] if chunk_id else []
    states = Counter(str(row["state"]) for row in rows.values())
    planned.pending += states[State.PENDING]
    planned.failed += states[State.FAILED]
    planned.skipped.update(str(row["reason"]) for row in rows.values() if row["reason"])
    return chunk_id


def _within(content: Mapping[int, Content], room: int | None) -> Mapping[int, Content]:
    """Leave out what another planner has taken the warm-up's room for meanwhile."""
    if room is None:
        return content
    mails = [pk for pk, one in content.items() if not one.reason and not one.error]
    return {**content, **dict.fromkeys(mails[room:], LEFT_OUT)}


def _insert(
    edition: Edition, rows: Mapping[int, Mapping[str, object]], picks: Mapping[int, Mapping[str, object]]
) -> int | None:
    """Insert the rows of a batch, {reader's id: row}, with ``picks`` for those that are to be sent.

    Return the id of the chunk that these are in.
    """
    to_send = {pk for pk, row in rows.items() if row["state"] == State.PENDING}
    chunk_id = None
    if to_send:
        chunk_id = add_chunk(edition.pk).pk
        Edition.objects.filter(pk=edition.pk, state=Edition.State.CLOSED).update(state=Edition.State.SENDING)
    values = [
        {
            **row,
            "edition": edition.pk,
            "subscriber": pk,
            "chunk": chunk_id if pk in to_send else None,
            "token": make_token(),
        }
        for pk, row in rows.items()
    ]
    ids = {pk: id_ for id_, pk in bulk.insert(Delivery, values, returning=["id", "subscriber_id"])}
    chosen = [{**picks[pk], "delivery": ids[pk]} for pk in to_send]
    bulk.fill(DeliveryPicks, chosen)
    return chunk_id


def _row(due: Due, content: Content) -> dict[str, object]:
    return {
        "covers_from": due.covers_from,
        "local_date": due.local_date,
        "state": State.SKIPPED if content.reason else State.FAILED if content.error else State.PENDING,
        "reason": content.reason,
        "error": content.error,
    }


def _still_wanted(edition: Edition, ids: Collection[int]) -> set[int]:
    """Return who still is an active reader without a row: another planner may have been faster.

    Locked, so that nobody is erased before their row is written.
    """
    readers = Subscriber.objects.active().filter(pk__in=bulk.among(ids)).select_for_update(no_key=True)
    known = Delivery.objects.filter(edition=unnamed(edition), subscriber__in=bulk.among(ids)).order_by()
    return set(readers.values_list("pk", flat=True)) - set(known.values_list("subscriber", flat=True))


def _picks(content: Content, *, is_first: bool) -> dict[str, object]:
    selection = content.selection
    return {
        "form": content.form,
        "paper_ids": [pick.paper_id for pick in selection.picks],
        "details": [_detail(pick) for pick in selection.picks],
        "counts": {
            "considered": selection.considered,
            "matched": selection.matched,
            "muted": selection.muted,
            "sent_before": selection.sent_before,
            "is_first": is_first,
        },
    }


def _detail(pick: Pick) -> dict[str, object]:
    detail: dict[str, object] = {
        "paper": pick.paper_id,
        "section": pick.section,
        "score": round(pick.score, 4),
        "why": [
            {"interest": why.interest, "field": why.field, "text": why.text, "marks": why.marks} for why in pick.why
        ],
    }
    return detail | ({"then": pick.then._asdict()} if pick.then else {})
