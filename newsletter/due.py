"""Who is due now: found in the database by their hour, decided by the schedule."""

import datetime as dt
import random
from collections.abc import Collection, Iterator, Sequence
from functools import reduce
from operator import or_

from django.db.models import Exists, Max, Min, OuterRef, Q, QuerySet, Subquery
from django.db.models.lookups import IsNull

from newsletter import schedule
from newsletter.models import Delivery, Edition
from newsletter.schedule import ClosedEdition, Due, LastDigest, ReaderSchedule, Turn
from papers import bulk
from subscribers.models import Subscriber, timezones

State, Reason, Frequency = Delivery.State, Delivery.Reason, Subscriber.Frequency

PAGE = 1000  # readers looked at in one query
COMMITTED_BY = dt.timedelta(minutes=2)  # after the time that stands in a row, it is to be seen
COUNTS = Q(state__in=Delivery.SENT) | Q(state=State.SKIPPED, reason__in=Delivery.COUNTING_SKIPS)
TOO_LATE = Q(state=State.SKIPPED, reason=Reason.TOO_LATE)


def due_readers(
    closed: Sequence[Edition], now: dt.datetime, since: dt.datetime | None = None
) -> Iterator[tuple[Subscriber, Due]]:
    """Yield the active readers who are due at ``now`` and have no row in the newest edition, each once.

    ``closed`` are the newest closed editions, oldest first. With ``since`` only those are looked for
    whose hour came, or who confirmed, after that moment: it costs next to nothing while nobody's
    hour comes, however many readers there are.
    """
    known = [ClosedEdition(e.date, e.scheduled_at, e.new_count) for e in closed]
    for page in _everybody(closed, known, now) if since is None else _lately(closed, known, now, since):
        last, overtaken = history(page, closed)
        for reader in page:
            is_overtaken = reader.pk in overtaken
            if due := schedule.due(schedule_of(reader), last.get(reader.pk), known, now, was_too_late=is_overtaken):
                yield reader, due


def schedule_of(reader: Subscriber) -> ReaderSchedule:
    return ReaderSchedule(reader.timezone, reader.frequency, reader.weekday, reader.hour)


# Who may be due ---------------------------------------------------------------------------------


def _everybody(
    closed: Sequence[Edition], known: Sequence[ClosedEdition], now: dt.datetime
) -> Iterator[list[Subscriber]]:
    """Yield all who may be due.

    From a random one on and round again: several planners at once share the work, since each passes
    over who has a row already.
    """
    active = Subscriber.objects.active()
    zones = active.order_by().values_list("timezone", flat=True).distinct()
    turns = sorted(schedule.turns(zones, known, now), key=lambda turn: turn.held, reverse=True)
    # In this order: what is true without another look at the deliveries comes first.
    may_be_due = reduce(or_, [*(_has_turn(turn, closed) for turn in turns), _overtaken(), _lacks(_had())])
    readers = _without_row(closed).filter(may_be_due)
    for span in _spans(active):
        if page := list(readers.filter(pk__range=span).order_by("pk")):
            yield page


def _spans(readers: QuerySet[Subscriber]) -> list[tuple[int, int]]:
    """Return the spans of ids that all the readers are in, a page each; many of them from a random one on.

    By these no query can be dear. A LIMIT leaves the database to guess how far it must look for a page, and
    where it thought that few would be found it looked at all readers for each.
    """
    ends = readers.aggregate(first=Min("pk"), last=Max("pk"))
    spans = [(start, start + PAGE - 1) for start in range(ends["first"] or 0, (ends["last"] or 0) + 1, PAGE)]
    at = random.randrange(len(spans)) if len(spans) > 10 else 0  # noqa: S311 - nothing to guess
    return spans[at:] + spans[:at]


def _lately(
    closed: Sequence[Edition], known: Sequence[ClosedEdition], now: dt.datetime, since: dt.datetime
) -> Iterator[list[Subscriber]]:
    """Yield who may be due since ``since``: who confirmed after it, and whose hour came."""
    readers = _without_row(closed)
    fresh: set[int] = set()
    for page in _pages(readers.filter(confirmed_at__gte=since - COMMITTED_BY)):
        fresh.update(reader.pk for reader in page)
        yield page
    for turn in schedule.turns(timezones(), known, now, since):
        for page in _pages(readers.filter(_has_turn(turn, closed))):
            yield [reader for reader in page if reader.pk not in fresh]


def _pages(readers: QuerySet[Subscriber]) -> Iterator[list[Subscriber]]:
    readers = readers.order_by("pk")
    page = list(readers[:PAGE])
    while page:
        yield page
        page = list(readers.filter(pk__gt=page[-1].pk)[:PAGE])


def _without_row(closed: Sequence[Edition]) -> QuerySet[Subscriber]:
    return Subscriber.objects.active().filter(_lacks(_deliveries().filter(edition=unnamed(closed[-1]))))


def unnamed(edition: Edition) -> Subquery:
    """Return the id of an edition for a look-up of readers' rows in it, unknown until it is run.

    Statistics say of a new edition that it has no rows: PostgreSQL, if it knew which one is meant, would read
    them all for each reader as long as it is planned.
    """
    return Subquery(Edition.objects.filter(pk=edition.pk).order_by().values("pk"))


def _has_turn(turn: Turn, closed: Sequence[Edition]) -> Q:
    """Whose slot has come, and who has not had the edition that was to close by then, or a newer one."""
    is_their_day = Q(frequency=Frequency.DAILY) | Q(frequency=Frequency.WEEKLY, weekday=turn.weekday)
    if turn.weekday < 5:
        is_their_day |= Q(frequency=Frequency.WEEKDAYS)
    held = [edition.pk for edition in closed[:-1] if edition.date >= turn.held]
    condition = Q(is_their_day, timezone__in=turn.zones, hour__in=turn.hours)
    return condition & _lacks(_had().filter(edition__in=held)) if held else condition


def _overtaken() -> Q:
    """Whose newest delivery ended as too late."""
    newer = Delivery.objects.filter(subscriber=OuterRef("subscriber_id"), edition__date__gt=OuterRef("edition__date"))
    return ~_lacks(_deliveries().filter(TOO_LATE).filter(~Exists(newer)))


def _had() -> QuerySet[Delivery]:
    return _deliveries().filter(COUNTS)


def _deliveries() -> QuerySet[Delivery]:
    return Delivery.objects.filter(subscriber=OuterRef("pk"))


def _lacks(deliveries: QuerySet[Delivery]) -> Q:
    """Who has no such delivery.

    Asked reader by reader, by an index. As EXISTS, PostgreSQL reads all deliveries there are, and does so
    for each page of readers.
    """
    return Q(IsNull(Subquery(deliveries.order_by().values("pk")[:1]), rhs=True))


# What they had ----------------------------------------------------------------------------------


def history(readers: Collection[Subscriber], closed: Sequence[Edition]) -> tuple[dict[int, LastDigest], set[int]]:
    """Return these readers' last digests that count, and those whose newest delivery came too late.

    Looked for in the newest editions first, which nearly all readers had one of: a reader of some
    years has more rows than their page has readers.
    """
    ids = {reader.pk for reader in readers}
    last, overtaken = _history(Delivery.objects.filter(subscriber__in=bulk.among(ids), edition__in=closed))
    if lacking := ids - last.keys():
        older, too_late = _history(Delivery.objects.filter(subscriber__in=bulk.among(lacking)))
        return last | older, overtaken - lacking | too_late
    return last, overtaken


def _history(deliveries: QuerySet[Delivery]) -> tuple[dict[int, LastDigest], set[int]]:
    rows = (
        deliveries.order_by()
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
