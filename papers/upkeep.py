"""What a source says of papers that are known already: revisions, withdrawals, and details that others lack."""

import datetime as dt
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace

from django.db.models import Q

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


def look_after(source: str, kind: IngestRun.Kind, now: dt.datetime, client: Client | None = None) -> IngestRun:
    """Ask a source for news of one kind, store it, and return the finished run."""
    run = IngestRun(source=source, kind=kind, list_date=now.astimezone(dt.UTC).date(), started_at=now)
    return attempt(run, now, lambda: _read(SOURCES[source], kind, now, client))


def _is_able(source: Source, kind: IngestRun.Kind) -> bool:
    return bool(source.fetch_revisions if kind == Kind.REVISIONS else source.fetch_details)


def _is_due(source: Source, kind: IngestRun.Kind, now: dt.datetime) -> bool:
    if waiting_until(source.NAME, now) or (kind == Kind.DETAILS and not _papers_without_details(source, now)):
        return False
    since = now - BETWEEN[kind]
    runs = list(IngestRun.objects.filter(source=source.NAME, kind=kind, started_at__gt=since).order_by("started_at"))
    return not any(run.status in {"ok", "empty"} for run in runs) and may_try(runs, now)


def _read(source: Source, kind: IngestRun.Kind, now: dt.datetime, client: Client | None) -> Page:
    refuse_while_waiting(source, now)
    with nullcontext(client) if client else source.client(now, budget_s=LONGEST_S) as session:
        page = read_pages(source, _pages(source, kind, now, session), now)
    # Whatever the source would say of a list: nobody asked for one.
    return replace(page, records=tuple(replace(record, is_listed=False) for record in page.records))


def _pages(source: Source, kind: IngestRun.Kind, now: dt.datetime, client: Client) -> Iterator[bytes]:
    if kind == Kind.REVISIONS and source.fetch_revisions:
        yield from source.fetch_revisions(client, (now - dt.timedelta(days=DAYS_BACK)).date())
    if kind == Kind.DETAILS and source.fetch_details:
        yield from source.fetch_details(client, _papers_without_details(source, now))


def _papers_without_details(source: Source, now: dt.datetime) -> list[str]:
    """Return the ids of papers, listed by others in the last week, of which this source has not told the version."""
    since = (now - dt.timedelta(days=DAYS_BACK)).date()
    # Said twice, since a row without the key is neither equal nor unequal.
    is_untold = Q(told_by__version__isnull=True) | ~Q(told_by__version=source.NAME)
    papers = Paper.objects.filter(is_untold, is_sample=False, listings__list_date__gte=since)
    return list(papers.order_by("-pk").values_list("arxiv_id", flat=True).distinct()[:MOST_PAPERS])
