"""From a source's answer to rows: ``store`` is the only writer of Paper, Listing and Snapshot."""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass

from django.db import DatabaseError, transaction
from django.utils import timezone

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

EVERY_SOURCE = "*"  # the row of SourceState that a store locks

COUNTERS = ("upvotes", "comment_count", "github_stars")
TOLD = (*WINNERS, "is_sample")


@dataclass(frozen=True, slots=True)
class Counts:
    """What one list changed: new papers, papers of which more than a counter changed, new listings."""

    new: int = 0
    updated: int = 0
    listed: int = 0


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
    statements does not grow with the papers, but for the batches that SQLite needs.
    """
    if not records:
        return Counts()
    with transaction.atomic():
        _wait_for_other_stores()
        known = Paper.objects.select_for_update().in_bulk([r.arxiv_id for r in records], field_name="arxiv_id")
        told = [record for record in records if _is_news(record, known.get(record.arxiv_id))]
        papers = [_paper(record, known.get(record.arxiv_id), source, now) for record in told]
        changed = [p for p in papers if _differs(p, known.get(p.arxiv_id), (*TOLD, *COUNTERS, "counted_at", "told_by"))]
        _upsert(changed)
        ids = {p.arxiv_id: p.pk for p in (*known.values(), *changed)}
        listed = _list(source, {ids[r.arxiv_id]: r.list_date or list_date for r in told if r.is_listed}, now)
        _take_snapshots(source, {ids[r.arxiv_id]: r for r in told}, now)
    updated = [p for p in papers if p.arxiv_id in known and _differs(p, known[p.arxiv_id], TOLD)]
    return Counts(new=sum(p.arxiv_id not in known for p in papers), updated=len(updated), listed=listed)


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


def _paper(record: PaperRecord, known: Paper | None, source: str, now: dt.datetime) -> Paper:
    """Return the row as it should be: what the record does not say stays as it is known."""
    if known and known.is_sample and not record.is_sample:
        known = None  # nothing made up may survive in a real paper
    merged = merge(known, record, source)
    return Paper(
        arxiv_id=record.arxiv_id,
        is_sample=record.is_sample,
        told_by=merged.told_by,
        **merged.values,
        **_counters(record, known, now),
    )


def _counters(record: PaperRecord, known: Paper | None, now: dt.datetime) -> dict[str, object]:
    """Return the newest counters: those of the record, unless newer ones are known."""
    counts = {name: getattr(record, name) for name in COUNTERS}
    is_newer = known is None or known.counted_at is None or known.counted_at <= now
    if not is_newer or all(value is None for value in counts.values()):
        return {name: getattr(known, name, None) for name in (*COUNTERS, "counted_at")}
    return {name: getattr(known, name, None) if value is None else value for name, value in counts.items()} | {
        "counted_at": now
    }


def _differs(paper: Paper, known: Paper | None, fields: Iterable[str]) -> bool:
    return known is None or any(getattr(paper, name) != getattr(known, name) for name in fields)


def _upsert(papers: Sequence[Paper]) -> None:
    Paper.objects.bulk_create(
        papers,
        update_conflicts=True,
        unique_fields=["arxiv_id"],
        update_fields=[*TOLD, *COUNTERS, "counted_at", "told_by", "changed_at"],
    )


def _list(source: str, dates: Mapping[int, dt.date], now: dt.datetime) -> int:
    """Write the listings that are new and return their number; the time of an old one never changes."""
    known: defaultdict[int, set[dt.date]] = defaultdict(set)
    for paper_id, date in Listing.objects.filter(source=source, paper__in=dates).values_list("paper_id", "list_date"):
        known[paper_id].add(date)
    is_once = source in SOURCES and SOURCES[source].IS_ANNOUNCED_ONCE
    new = [
        Listing(paper_id=paper_id, source=source, list_date=date, stored_at=now)
        for paper_id, date in dates.items()
        if not (known[paper_id] if is_once else date in known[paper_id])
    ]
    Listing.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _take_snapshots(source: str, records: Mapping[int, PaperRecord], now: dt.datetime) -> None:
    Snapshot.objects.bulk_create(
        [
            Snapshot(
                paper_id=paper_id,
                source=source,
                taken_at=now,
                upvotes=record.upvotes,
                comment_count=record.comment_count,
                github_stars=record.github_stars,
            )
            for paper_id, record in records.items()
            if record.upvotes is not None
        ],
        ignore_conflicts=True,
    )
