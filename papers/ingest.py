"""From a source's answer to rows: ``store`` is the only writer of Paper, Listing and Snapshot."""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from typing import Any

from django.db import DatabaseError, transaction
from django.utils import timezone

from papers import archive, vectors
from papers.bulk import insert_missing, upsert
from papers.merging import WINNERS, merge
from papers.models import IngestRun, Listing, Paper, Snapshot, SourceState
from papers.polling import LONGEST_RUN, due_dates, refuse_while_waiting, remember_to_wait
from papers.reading import ListReading
from papers.records import Page, PaperRecord
from papers.sources import SOURCES
from papers.sources.client import Client, SourceError

__all__ = ["Counts", "attempt", "due_dates", "ingest", "store"]

logger = logging.getLogger(__name__)

LONGEST_FETCH_S = 20 * 60.0  # of one list; well below the time after which a run counts as cut off
INTERRUPTED = "the run was interrupted"

EVERY_SOURCE = "all sources"  # the row of SourceState that a store locks

COUNTERS = ("upvotes", "comment_count", "github_stars")
TOLD = (*WINNERS, "is_sample")
# What stands in a column that nobody has told anything of.
BLANK = {field.name: field.get_default() for field in Paper._meta.concrete_fields if field.name in WINNERS}


@dataclass(frozen=True, slots=True)
class Counts:
    """What one list changed: new papers, papers of which more than a counter changed, new listings.

    ``reworded`` are the keys of papers whose words are to be indexed, for ``archive.index``.
    """

    new: int = 0
    updated: int = 0
    listed: int = 0
    reworded: frozenset[int] = field(default=frozenset(), compare=False, repr=False)


# One run ----------------------------------------------------------------------------------------


def ingest(
    source: str, date: dt.date, *, now: dt.datetime, client: Client | None = None, pages: Iterable[bytes] | None = None
) -> IngestRun:
    """Fetch and store the list of ``date`` and return the finished run; what the source did wrong is in it.

    ``pages`` takes the place of fetching. All of the list is stored, or nothing.
    """
    run = IngestRun(source=source, list_date=date, started_at=now)
    return attempt(run, now, lambda: _read_list(run, now, client, pages))


def _read_list(run: IngestRun, now: dt.datetime, client: Client | None, pages: Iterable[bytes] | None) -> Page:
    source = SOURCES[run.source]
    reading = ListReading(source, run.list_date, now)
    if pages is not None:
        page = reading.of_pages(pages)
    else:
        refuse_while_waiting(source, now)
        with nullcontext(client) if client else source.client(now, budget_s=LONGEST_FETCH_S) as session:
            page = reading.of_source(session)
    run.note = reading.note[:200]
    return page


def attempt(run: IngestRun, now: dt.datetime, read: Callable[[], Page]) -> IngestRun:
    """Store what ``read`` returns and write down in ``run`` how it went, from before the first request on."""
    _end_cut_off_runs(run, now)
    run.save()
    try:
        page = read()
        with transaction.atomic():
            counts = store(run.source, page.records, run.list_date, now)
            archive.index(Paper.objects.filter(pk__in=counts.reworded))
            vectors.forget(counts.reworded)
            _finish(run, page, counts)
    except SourceError as error:
        remember_to_wait(run.source, now, error.retry_after_s)
        _fail(run, str(error))
    except DatabaseError as error:
        logger.exception("%s %s %s could not be stored", run.source, run.kind, run.list_date)
        _fail(run, f"what was read could not be stored: {error}")
    except KeyboardInterrupt:
        _fail(run, INTERRUPTED)
        raise
    return run


def _end_cut_off_runs(run: IngestRun, now: dt.datetime) -> None:
    IngestRun.objects.filter(
        source=run.source,
        kind=run.kind,
        list_date=run.list_date,
        status=IngestRun.Status.RUNNING,
        started_at__lte=now - LONGEST_RUN,
    ).update(status=IngestRun.Status.FAILED, finished_at=now, error="the run was cut off")


def _finish(run: IngestRun, page: Page, counts: Counts) -> None:
    run.status = IngestRun.Status.OK if page.records else IngestRun.Status.EMPTY
    run.fetched = page.sent
    run.new, run.updated, run.listed = counts.new, counts.updated, counts.listed
    run.rejected = len(page.rejects)
    run.rejects = [asdict(reject) for reject in page.rejects]
    run.finished_at = timezone.now()
    run.save()
    for reject in page.rejects:
        logger.warning("%s %s refused %s: %s", run.source, run.list_date, reject.id or "a record", reject.reason)
    logger.info("%s %s %s %s: %s", run.source, run.kind, run.list_date, run.status, counts)


def _fail(run: IngestRun, error: str) -> None:
    logger.warning("%s %s %s failed: %s", run.source, run.kind, run.list_date, error)
    IngestRun.objects.filter(pk=run.pk).update(status=IngestRun.Status.FAILED, finished_at=timezone.now(), error=error)
    run.refresh_from_db()


# Rows -------------------------------------------------------------------------------------------


def store(source: str, records: Sequence[PaperRecord], list_date: dt.date, now: dt.datetime) -> Counts:
    """Write papers, listings and one snapshot each, in one transaction; return what changed.

    ``records`` hold each paper once. ``list_date`` serves those that give none. The number of
    statements does not grow with the papers.
    """
    if not records:
        return Counts()
    with transaction.atomic():
        _wait_for_other_stores()
        known = Paper.objects.select_for_update().in_bulk([r.arxiv_id for r in records], field_name="arxiv_id")
        told = [record for record in records if _is_news(record, known.get(record.arxiv_id))]
        rows = {record.arxiv_id: _row(record, known.get(record.arxiv_id), source, now) for record in told}
        changed = [row for arxiv_id, row in rows.items() if _differs(row, known.get(arxiv_id), row)]
        upsert(Paper, changed, unique="arxiv_id")
        ids = _ids(known, rows)
        dates = {ids[r.arxiv_id]: r.list_date or list_date for r in told if r.is_listed}
        listed = _list(source, dates, {paper.pk for paper in known.values()}, now)
        _take_snapshots(source, {ids[r.arxiv_id]: r for r in told}, now)
    old = {arxiv_id: row for arxiv_id, row in rows.items() if arxiv_id in known}
    updated = sum(_differs(row, known[arxiv_id], TOLD) for arxiv_id, row in old.items())
    reworded = {ids[arxiv_id] for arxiv_id, row in rows.items() if _differs(row, known.get(arxiv_id), archive.FIELDS)}
    return Counts(new=len(rows) - len(old), updated=updated, listed=listed, reworded=frozenset(reworded))


def _wait_for_other_stores() -> None:
    """Let one store run at a time, of whatever source, so that what it reads is what it changes.

    Two sources that find the same new paper at once would otherwise each write it without what
    the other said.
    """
    SourceState.objects.get_or_create(source=EVERY_SOURCE)
    SourceState.objects.select_for_update().get(source=EVERY_SOURCE)


def _is_news(record: PaperRecord, known: Paper | None) -> bool:
    """Whether a record is to be stored: not a new version of a paper that nobody listed, nor a sample of a real one."""
    if known is None:
        return record.is_listed
    return known.is_sample or not record.is_sample


def _row(record: PaperRecord, known: Paper | None, source: str, now: dt.datetime) -> dict[str, Any]:
    """Return the paper's row as it should be: what the record does not say stays as it is known."""
    if known and known.is_sample and not record.is_sample:
        known = None  # nothing made up may survive in a real paper
    merged = merge(known, record, source)
    told = {"arxiv_id": record.arxiv_id, "is_sample": record.is_sample, "told_by": merged.told_by}
    return told | {name: merged.values.get(name, BLANK[name]) for name in WINNERS} | _counters(record, known, now)


def _counters(record: PaperRecord, known: Paper | None, now: dt.datetime) -> dict[str, Any]:
    """Return the newest counters: those of the record, unless newer ones are known."""
    counts = {name: getattr(record, name) for name in COUNTERS}
    is_newer = known is None or known.counted_at is None or known.counted_at <= now
    if not is_newer or all(value is None for value in counts.values()):
        return {name: getattr(known, name, None) for name in (*COUNTERS, "counted_at")}
    return {name: getattr(known, name, None) if value is None else value for name, value in counts.items()} | {
        "counted_at": now
    }


def _differs(row: Mapping[str, Any], known: Paper | None, fields: Iterable[str]) -> bool:
    return known is None or any(row[name] != getattr(known, name) for name in fields)


def _ids(known: Mapping[str, Paper], rows: Iterable[str]) -> dict[str, int]:
    """Return the keys of the papers that are known, and of those that have just been written."""
    new = [arxiv_id for arxiv_id in rows if arxiv_id not in known]
    found = Paper.objects.filter(arxiv_id__in=new).values_list("arxiv_id", "pk") if new else ()
    return {arxiv_id: paper.pk for arxiv_id, paper in known.items()} | dict(found)


def _list(source: str, dates: Mapping[int, dt.date], known: AbstractSet[int], now: dt.datetime) -> int:
    """Write the listings that are new and return their number; the time of an old one never changes."""
    before: defaultdict[int, set[dt.date]] = defaultdict(set)
    listings = Listing.objects.filter(source=source, paper__in=known & dates.keys())
    for paper_id, date in listings.values_list("paper_id", "list_date"):
        before[paper_id].add(date)
    is_once = source in SOURCES and SOURCES[source].IS_ANNOUNCED_ONCE
    new = [
        {"paper": paper_id, "source": source, "list_date": date, "stored_at": now}
        for paper_id, date in dates.items()
        if not (before[paper_id] if is_once else date in before[paper_id])
    ]
    insert_missing(Listing, new)
    return len(new)


def _take_snapshots(source: str, records: Mapping[int, PaperRecord], now: dt.datetime) -> None:
    rows = [
        {"paper": paper_id, "source": source, "taken_at": now, **{name: getattr(record, name) for name in COUNTERS}}
        for paper_id, record in records.items()
        if record.upvotes is not None
    ]
    insert_missing(Snapshot, rows)
