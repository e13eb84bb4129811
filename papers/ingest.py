"""From a source's answer to rows: ``store`` is the only writer of Paper, Listing and Snapshot."""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass

from django.db import DatabaseError, transaction
from django.utils import timezone

from papers.models import IngestRun, Listing, Paper, Snapshot, SourceState
from papers.records import Page, PaperRecord, Reject
from papers.sources import SOURCES, Source
from papers.sources.client import Client, SourceError

logger = logging.getLogger(__name__)

BETWEEN_POLLS = dt.timedelta(hours=1)
# A run that is still RUNNING after this was cut off; the longest list takes a minute.
LONGEST_RUN = dt.timedelta(hours=1)
# An edition looks no further back, so an older list can wait for a backfill by hand.
DAYS_BACK = 7

COUNTERS = ("upvotes", "comment_count", "github_stars")
TOLD = (
    "title", "abstract", "authors", "organisation", "categories", "submitted_on", "updated_on", "version", "comment",
    "tldr", "keywords", "code_url", "project_url", "thumbnail_url", "is_withdrawn", "is_sample",
)  # fmt: skip


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
    _end_cut_off_runs(source, date, now)
    run = IngestRun.objects.create(source=source, list_date=date, started_at=now)
    try:
        page, fetched = _read(SOURCES[source], date, now, pages, client)
        with transaction.atomic():
            counts = store(source, page.records, date, now)
            _finish(run, fetched, page, counts)
    except SourceError as error:
        _remember_to_wait(source, now, error.retry_after_s)
        _fail(run, str(error))
    except DatabaseError as error:
        logger.exception("%s %s could not be stored", source, date)
        _fail(run, f"the list could not be stored: {error}")
    return run


def _end_cut_off_runs(source: str, date: dt.date, now: dt.datetime) -> None:
    IngestRun.objects.filter(
        source=source, list_date=date, status=IngestRun.Status.RUNNING, started_at__lte=now - LONGEST_RUN
    ).update(status=IngestRun.Status.FAILED, finished_at=now, error="the run was cut off")


def _read(
    source: Source, date: dt.date, now: dt.datetime, pages: Iterable[bytes] | None, client: Client | None
) -> tuple[Page, int]:
    """Return the list, each paper once, and the number of items that were sent; raise ``SourceError``."""
    if pages is not None:
        return _joined(map(source.parse, pages), now)
    _refuse_while_waiting(source, now)
    with nullcontext(client) if client else Client(source.base_url()) as session:
        return _joined(map(source.parse, source.fetch(session, date)), now)


def _joined(pages: Iterable[Page], now: dt.datetime) -> tuple[Page, int]:
    records: dict[str, PaperRecord] = {}
    rejects: list[Reject] = []
    fetched = 0
    for page in pages:
        fetched += len(page.records) + len(page.rejects)
        rejects += page.rejects
        for record in page.records:
            if record.list_date and record.list_date > now.astimezone(dt.UTC).date():
                rejects.append(Reject(record.arxiv_id, f"its list date {record.list_date} is in the future"))
            else:
                records.setdefault(record.arxiv_id, record)
    if rejects and not records:
        raise SourceError(f"none of {len(rejects)} records could be read; the first: {rejects[0].reason}")
    return Page(tuple(records.values()), tuple(rejects)), fetched


def _finish(run: IngestRun, fetched: int, page: Page, counts: Counts) -> None:
    run.status = IngestRun.Status.OK if page.records else IngestRun.Status.EMPTY
    run.fetched = fetched
    run.new, run.updated, run.listed = counts.new, counts.updated, counts.listed
    run.rejected = len(page.rejects)
    run.rejects = [asdict(reject) for reject in page.rejects]
    run.finished_at = timezone.now()
    run.save()
    for reject in page.rejects:
        logger.warning("%s %s refused %s: %s", run.source, run.list_date, reject.id or "a record", reject.reason)
    logger.info("%s %s %s: %s", run.source, run.list_date, run.status, counts)


def _fail(run: IngestRun, error: str) -> None:
    logger.warning("%s %s failed: %s", run.source, run.list_date, error)
    IngestRun.objects.filter(pk=run.pk).update(status=IngestRun.Status.FAILED, finished_at=timezone.now(), error=error)
    run.refresh_from_db()


# Patience ---------------------------------------------------------------------------------------


def _refuse_while_waiting(source: Source, now: dt.datetime) -> None:
    until = _waiting_until(source.NAME, now)
    if until:
        raise SourceError(f"{source.TITLE} asked us to wait until {until:%Y-%m-%d %H:%M:%S} UTC: try again then")


def _waiting_until(source: str, now: dt.datetime) -> dt.datetime | None:
    return (
        SourceState.objects.filter(source=source, next_request_at__gt=now)
        .values_list("next_request_at", flat=True)
        .first()
    )


def _remember_to_wait(source: str, now: dt.datetime, retry_after_s: float | None) -> None:
    if retry_after_s:
        until = now + dt.timedelta(seconds=retry_after_s)
        SourceState.objects.update_or_create(source=source, defaults={"next_request_at": until})


def due_dates(source: str, now: dt.datetime) -> list[dt.date]:
    """Return the list dates to fetch now, the newest first, each at most once an hour.

    Votes grow all day, so today's and yesterday's list are polled again and again. A date of the
    last seven days is due until it was read once after its day had ended: it failed, the planner
    was down, or the instance is new and its first edition looks back.
    """
    if _waiting_until(source, now):
        return []
    today = now.astimezone(dt.UTC).date()
    dates = [today - dt.timedelta(days=days) for days in range(DAYS_BACK + 1)]
    runs: defaultdict[dt.date, list[tuple[str, dt.datetime]]] = defaultdict(list)
    for date, status, started_at in IngestRun.objects.filter(source=source, list_date__in=dates).values_list(
        "list_date", "status", "started_at"
    ):
        runs[date].append((status, started_at))
    return [date for date in dates if _is_due(date, runs[date], now, today)]


def _is_due(date: dt.date, runs: Sequence[tuple[str, dt.datetime]], now: dt.datetime, today: dt.date) -> bool:
    if any(now - started_at < BETWEEN_POLLS for _, started_at in runs):
        return False
    was_read = {IngestRun.Status.OK, IngestRun.Status.EMPTY}
    is_settled = any(status in was_read and started_at.date() > date for status, started_at in runs)
    return date >= today - dt.timedelta(days=1) or not is_settled


# Rows -------------------------------------------------------------------------------------------


def store(source: str, records: Sequence[PaperRecord], list_date: dt.date, now: dt.datetime) -> Counts:
    """Write papers, listings and one snapshot each, in one transaction; return what changed.

    ``records`` hold each paper once. ``list_date`` serves those that give none. The number of
    statements does not grow with the papers, but for the batches that SQLite needs.
    """
    if not records:
        return Counts()
    with transaction.atomic():
        _wait_for_other_stores(source)
        known = Paper.objects.select_for_update().in_bulk([r.arxiv_id for r in records], field_name="arxiv_id")
        told = [r for r in records if not (r.is_sample and r.arxiv_id in known and not known[r.arxiv_id].is_sample)]
        papers = [_paper(record, known.get(record.arxiv_id), now) for record in told]
        changed = [p for p in papers if _differs(p, known.get(p.arxiv_id), (*TOLD, *COUNTERS, "counted_at"))]
        _upsert(changed)
        ids = {p.arxiv_id: p.pk for p in (*known.values(), *changed)}
        listed = _list(source, {ids[r.arxiv_id]: r.list_date or list_date for r in told}, now)
        _take_snapshots(source, {ids[r.arxiv_id]: r for r in told}, now)
    updated = [p for p in papers if p.arxiv_id in known and _differs(p, known[p.arxiv_id], TOLD)]
    return Counts(new=sum(p.arxiv_id not in known for p in papers), updated=len(updated), listed=listed)


def _wait_for_other_stores(source: str) -> None:
    """Let one store of a source run at a time, so that what it reads is what it changes."""
    SourceState.objects.get_or_create(source=source)
    SourceState.objects.select_for_update().get(source=source)


def _paper(record: PaperRecord, known: Paper | None, now: dt.datetime) -> Paper:
    """Return the row as it should be: what the record does not say stays as it is known."""
    if known and known.is_sample and not record.is_sample:
        known = None  # nothing made up may survive in a real paper
    told = {name: _column(getattr(record, name)) for name in TOLD}
    if known:
        told = {name: value or getattr(known, name) for name, value in told.items()}
    return Paper(arxiv_id=record.arxiv_id, **told, **_counters(record, known, now))


def _column(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


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
        update_fields=[*TOLD, *COUNTERS, "counted_at", "changed_at"],
    )


def _list(source: str, dates: Mapping[int, dt.date], now: dt.datetime) -> int:
    """Write the listings that are new and return their number; the time of an old one never changes."""
    known = set(
        Listing.objects.filter(source=source, paper__in=dates, list_date__in=set(dates.values())).values_list(
            "paper_id", "list_date"
        )
    )
    new = [
        Listing(paper_id=paper_id, source=source, list_date=date, stored_at=now)
        for paper_id, date in dates.items()
        if (paper_id, date) not in known
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
