"""What a source says of papers that are known already: revisions, withdrawals, and details that others lack."""

import datetime as dt
from collections.abc import Callable

from papers.ingest import attempt
from papers.models import IngestRun, Paper
from papers.polling import may_try, refuse_while_waiting, waiting_until
from papers.reading import read_pages
from papers.records import Page
from papers.sources import SOURCES, Source, polled
from papers.sources.client import Client

Kind = IngestRun.Kind

# Both are asked of the last week each time: arXiv's services may lag for days, and a record that
# is read twice changes nothing.
DAYS_BACK = 7
BETWEEN = {Kind.REVISIONS: dt.timedelta(hours=23), Kind.DETAILS: dt.timedelta(hours=5, minutes=55)}
MOST_PAPERS = 500  # of one attempt at details, the newest first
LONGEST_S = 20 * 60.0


def upkeep(now: dt.datetime) -> list[IngestRun]:
    """Do what is due of every source that is polled: revisions once a day, details four times."""
    return [
        look_after(source.NAME, kind, now)
        for source in polled().values()
        for kind in BETWEEN
        if _is_able(source, kind) and _is_due(source, kind, now)
    ]


def look_after(source: str, kind: IngestRun.Kind, now: dt.datetime) -> IngestRun:
    """Ask a source for news of one kind, store it, and return the finished run."""
    read = _revisions if kind == Kind.REVISIONS else _details
    run = IngestRun(source=source, kind=kind, list_date=now.astimezone(dt.UTC).date(), started_at=now)
    return attempt(run, now, lambda: _with_client(SOURCES[source], now, read))


def _is_able(source: Source, kind: IngestRun.Kind) -> bool:
    return bool(source.fetch_revisions if kind == Kind.REVISIONS else source.fetch_details)


def _is_due(source: Source, kind: IngestRun.Kind, now: dt.datetime) -> bool:
    if waiting_until(source.NAME, now) or (kind == Kind.DETAILS and not _papers_without_details(source, now)):
        return False
    since = now - BETWEEN[kind]
    runs = list(IngestRun.objects.filter(source=source.NAME, kind=kind, started_at__gt=since).order_by("started_at"))
    return not any(run.status in {"ok", "empty"} for run in runs) and may_try(runs, now)


def _with_client(source: Source, now: dt.datetime, read: Callable[[Source, Client, dt.datetime], Page]) -> Page:
    refuse_while_waiting(source, now)
    with source.client(now, budget_s=LONGEST_S) as client:
        return read(source, client, now)


def _revisions(source: Source, client: Client, now: dt.datetime) -> Page:
    since = (now - dt.timedelta(days=DAYS_BACK)).date()
    return read_pages(source, source.fetch_revisions(client, since) if source.fetch_revisions else (), now)


def _details(source: Source, client: Client, now: dt.datetime) -> Page:
    wanted = _papers_without_details(source, now)
    return read_pages(source, source.fetch_details(client, wanted) if source.fetch_details else (), now)


def _papers_without_details(source: Source, now: dt.datetime) -> list[str]:
    """Return the ids of papers, listed by others in the last week, of which this source has not told the version."""
    since = (now - dt.timedelta(days=DAYS_BACK)).date()
    papers = Paper.objects.filter(is_sample=False, listings__list_date__gte=since).exclude(told_by__version=source.NAME)
    return list(papers.order_by("-pk").values_list("arxiv_id", flat=True).distinct()[:MOST_PAPERS])
