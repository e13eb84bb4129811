"""Close an edition: decide once which papers it holds, score them at one moment, note what was checked."""

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from django.conf import settings
from django.db import transaction
from django.db.models import Max, QuerySet

from newsletter import coverage, schedule
from newsletter.models import Edition, EditionPaper
from papers import trending
from papers.growth import growth, votes_by_field
from papers.models import Listing, Paper

Role, State = EditionPaper.Role, Edition.State

EARLIER = 7  # editions before: together with its own, what one digest may cover
FIRST_LOOK_BACK = dt.timedelta(days=7)  # for an instance that has no edition yet
FIRST_LISTS = 2  # of each source
# A paper takes off when its votes doubled since it was new and grew by what few papers get at all
# (a day's 90th percentile is 38 votes). Further back than a month nothing is looked at.
TAKE_OFF_VOTES, TAKE_OFF_FACTOR, OLDEST = 20, 2, dt.timedelta(days=30)

SCORED = ("upvotes", "comment_count", "categories", "code_url", "project_url")

# By source, the papers that are new in an edition and their newest list dates.
New = Mapping[str, Mapping[int, dt.date]]


class EditionError(Exception):
    """An edition that cannot be closed; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Before:
    """The newest edition in which a paper was new, and its votes at that moment."""

    date: dt.date
    upvotes: int


# Closing ----------------------------------------------------------------------------------------


def close(date: dt.date, now: dt.datetime) -> Edition:
    """Close the edition of ``date`` and return it; one that is closed already is returned as it is.

    ``now`` is the moment of closing: what was stored later comes with the next edition. Two who
    close at once get the same: the second waits for the row of the first.
    Raises ``EditionError`` for a future date, and for one older than the newest that is closed.
    """
    today = now.astimezone(dt.UTC).date()
    if date > today:
        raise EditionError(f"The edition of {date} is not due yet: close today's, {today}, or an earlier one.")
    scheduled_at = schedule.closing_at(date, settings.EDITION_CLOSES_AT)
    with transaction.atomic():
        Edition.objects.get_or_create(date=date, defaults={"scheduled_at": scheduled_at})
        edition = Edition.objects.select_for_update().get(date=date)
        if edition.closed_at:
            return edition
        if newer := closed().filter(date__gt=date).first():
            raise EditionError(
                f"The edition of {date} cannot be closed any more: that of {newer.date} is. Its papers"
                " come with the next edition where their lists are at most three days old."
            )
        _fill(edition, now)
    return edition


def closed() -> QuerySet[Edition]:
    """Return every edition whose papers are frozen, newest first; also those that were cancelled later."""
    return Edition.objects.filter(closed_at__isnull=False).order_by("-date")


def newest_closed() -> Edition | None:
    return closed().first()


def _fill(edition: Edition, now: dt.datetime) -> None:
    """Write the papers of an edition and freeze it."""
    before = list(closed().filter(date__lt=edition.date).values_list("date", flat=True)[:EARLIER])
    # An instance whose sources could not be read at first has its first edition when they can.
    is_first = not closed().filter(date__lt=edition.date, new_count__gt=0).exists()
    new = _new(edition.date, now, is_first=is_first)
    rows = _rows(edition, new, earlier_from=min(before, default=edition.date))
    _score(rows, edition.date, now)
    EditionPaper.objects.bulk_create(rows, batch_size=500)
    edition.state, edition.closed_at = State.CLOSED, now
    edition.new_count = sum(row.role == Role.NEW for row in rows)
    edition.coverage = coverage.notes(edition.date, now, new)
    edition.save()


# Which papers -----------------------------------------------------------------------------------


def _new(date: dt.date, now: dt.datetime, *, is_first: bool) -> New:
    """Return the papers that are new by each source: listed in time, and new by it in no edition before."""
    oldest = date - FIRST_LOOK_BACK - dt.timedelta(days=coverage.LOOK_BACK)
    listings = Listing.objects.filter(list_date__range=(oldest, date), stored_at__lte=now).order_by("list_date")
    listed: defaultdict[str, list[tuple[int, dt.date]]] = defaultdict(list)
    for source, paper_id, list_date in listings.values_list("source", "paper_id", "list_date"):
        listed[source].append((paper_id, list_date))
    seen = _seen({paper_id for pairs in listed.values() for paper_id, _ in pairs})
    new = {}
    for source, pairs in listed.items():
        dates = _list_dates(source, date, {list_date for _, list_date in pairs}, is_first=is_first)
        new[source] = {pk: day for pk, day in pairs if day in dates and (source, pk) not in seen}
    return {source: papers for source, papers in new.items() if papers}


def _list_dates(source: str, date: dt.date, held: Collection[dt.date], *, is_first: bool) -> Collection[dt.date]:
    """Return the list dates whose papers may be new in the edition of ``date``, of those that hold papers."""
    if not is_first:
        return coverage.window(source, date)
    newest = date - dt.timedelta(days=coverage.lag(source))
    return sorted(day for day in held if newest - FIRST_LOOK_BACK <= day <= newest)[-FIRST_LISTS:]


def _seen(paper_ids: Collection[int]) -> set[tuple[str, int]]:
    """Return by which sources these papers were new in any edition."""
    rows = EditionPaper.objects.filter(role=Role.NEW, paper__in=paper_ids).values_list("paper_id", "new_by")
    return {(source, paper_id) for paper_id, sources in rows for source in sources}


def _rows(edition: Edition, new: New, *, earlier_from: dt.date) -> list[EditionPaper]:
    """Return the rows of an edition, not scored yet: the new papers, the earlier ones, the older that take off."""
    past = _past(edition.date, min(earlier_from, edition.date - OLDEST))
    ids = {paper_id for papers in new.values() for paper_id in papers} | past.keys()
    rows = []
    for pk, paper in Paper.objects.only(*SCORED).in_bulk(ids).items():
        row = EditionPaper(edition=edition, paper=paper, upvotes=paper.upvotes)
        row.new_by = sorted(source for source, papers in new.items() if pk in papers)
        if row.new_by:
            row.role, row.new_on = Role.NEW, edition.date
        else:
            was = past[pk]
            row.new_on, row.takes_off = was.date, takes_off(was.upvotes, paper.upvotes or 0)
            row.role = Role.EARLIER if was.date >= earlier_from else Role.OLDER
        if row.role != Role.OLDER or row.takes_off:
            rows.append(row)
    return rows


def _past(date: dt.date, since: dt.date) -> dict[int, Before]:
    """Return the papers that were new in an edition from ``since`` to the day before ``date``."""
    rows = EditionPaper.objects.filter(role=Role.NEW, edition__date__gte=since, edition__date__lt=date)
    found = rows.order_by("edition__date").values_list("paper_id", "edition__date", "upvotes")
    return {paper_id: Before(new_on, upvotes or 0) for paper_id, new_on, upvotes in found}


def takes_off(votes_then: int, votes_now: int) -> bool:
    """Say whether a paper grew enough since it was new to be shown again."""
    grew = votes_now - votes_then
    return grew >= TAKE_OFF_VOTES and votes_now >= TAKE_OFF_FACTOR * votes_then


def _score(rows: Collection[EditionPaper], date: dt.date, now: dt.datetime) -> None:
    """Give every row its score, the parts of it, and its rank."""
    ids = [row.paper_id for row in rows]
    listings = Listing.objects.filter(paper__in=ids, list_date__lte=date, stored_at__lte=now).order_by()
    list_dates = dict(listings.values_list("paper").annotate(Max("list_date")))
    papers, gained = [row.paper for row in rows], growth(ids, None, now)
    scores = trending.scores(papers, date, list_dates, gained, votes_by_field(date))
    ranked = sorted(rows, key=lambda row: (-scores[row.paper_id].total, row.paper_id))
    for rank, row in enumerate(ranked, start=1):
        score = scores[row.paper_id]
        row.score, row.parts, row.rank = score.total, dict(score.parts), rank
        row.gained = gained[row.paper_id].upvotes if row.paper_id in gained else 0
