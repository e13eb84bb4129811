"""When a list is read: which dates are due, how long a source is left alone, how fresh it is."""

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from papers.models import IngestRun, SourceState
from papers.sources import SOURCES, Source, polled
from papers.sources.client import SourceError

# A run that is still RUNNING after this was cut off.
LONGEST_RUN = dt.timedelta(hours=1)
# An edition looks no further back, and arXiv may miss papers for days: each list of a week is read again.
DAYS_BACK = 7
# After a failure: soon, since the morning's edition does not wait, then less and less often.
FIRST_RETRY = dt.timedelta(minutes=9)  # the next tick of a cron that comes every ten
LAST_RETRY = dt.timedelta(hours=1)
# A source that could not be read for this long is said to be stale.
GRACE = dt.timedelta(hours=6)


def due_dates(source: str, now: dt.datetime) -> list[dt.date]:
    """Return the list dates to fetch now, the newest first; none of a source that is not polled.

    Votes grow all day and papers come late, so a list is read at each of its source's moments
    (``POLLED_AFTER``), or once after several that were missed. A date that failed is tried again
    after nine minutes, then after twice as long, at last every hour, for a week.
    """
    if source not in polled() or waiting_until(source, now):
        return []
    runs = _runs(source, now)
    return [date for date in _dates(now) if _is_due(SOURCES[source], date, runs[date], now)]


def is_settled(source: str, date: dt.date) -> bool:
    """Whether a list was read after the last moment at which it may have changed."""
    last = SOURCES[source].opens_at(date) + max(SOURCES[source].POLLED_AFTER)
    return IngestRun.objects.of_lists().read().filter(source=source, list_date=date, started_at__gte=last).exists()


def _dates(now: dt.datetime) -> list[dt.date]:
    today = now.astimezone(dt.UTC).date()
    return [today - dt.timedelta(days=days) for days in range(DAYS_BACK + 1)]


def _runs(source: str, now: dt.datetime) -> dict[dt.date, list[IngestRun]]:
    runs: defaultdict[dt.date, list[IngestRun]] = defaultdict(list)
    found = IngestRun.objects.of_lists().filter(source=source, list_date__in=_dates(now)).order_by("started_at")
    for run in found.only("list_date", "status", "started_at"):
        runs[run.list_date].append(run)
    return runs


def _is_due(source: Source, date: dt.date, runs: Sequence[IngestRun], now: dt.datetime) -> bool:
    planned = _last_moment(source, date, now)
    return planned is not None and not _was_read(runs, since=planned) and may_try(runs, now)


def _last_moment(source: Source, date: dt.date, now: dt.datetime) -> dt.datetime | None:
    """Return the newest moment that has passed at which the list was to be read; None before the first."""
    opens_at = source.opens_at(date)
    return max((opens_at + after for after in source.POLLED_AFTER if opens_at + after <= now), default=None)


def _was_read(runs: Sequence[IngestRun], since: dt.datetime) -> bool:
    return any(run.status in {"ok", "empty"} and run.started_at >= since for run in runs)


def may_try(runs: Sequence[IngestRun], now: dt.datetime) -> bool:
    """Whether something may be tried again: nobody is at it, and the last failure is long enough ago.

    ``runs`` are its attempts, the oldest first.
    """
    failures = 0
    for run in reversed(runs):
        if run.status == IngestRun.Status.RUNNING and now - run.started_at < LONGEST_RUN:
            return False
        if run.status in {"ok", "empty"}:
            break
        failures += 1
    wait = min(FIRST_RETRY * 2 ** min(failures - 1, 10), LAST_RETRY) if failures else dt.timedelta()
    return not runs or not failures or now - runs[-1].started_at >= wait


# Patience ---------------------------------------------------------------------------------------


def refuse_while_waiting(source: Source, now: dt.datetime) -> None:
    """Raise ``SourceError`` while the source wants to be left alone."""
    until = waiting_until(source.NAME, now)
    if until:
        raise SourceError(f"{source.TITLE} asked us to wait until {until:%Y-%m-%d %H:%M:%S} UTC: try again then")


def waiting_until(source: str, now: dt.datetime) -> dt.datetime | None:
    """Return until when the source wants to be left alone, None when it may be asked."""
    return (
        SourceState.objects.filter(source=source, next_request_at__gt=now)
        .values_list("next_request_at", flat=True)
        .first()
    )


def remember_to_wait(source: str, now: dt.datetime, retry_after_s: float | None) -> None:
    """Leave the source alone for as long as it asked, if it did."""
    if retry_after_s:
        until = now + dt.timedelta(seconds=retry_after_s)
        SourceState.objects.update_or_create(source=source, defaults={"next_request_at": until})


# Freshness --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Freshness:
    """How a source stands: ``read_at`` is the end of the newest attempt that read a list, None if none did.

    ``overdue`` are the list dates that should have been read hours ago and were not; ``error`` is
    what the newest attempt at one of them said.
    """

    source: str
    read_at: dt.datetime | None
    overdue: tuple[dt.date, ...]
    error: str

    @property
    def is_stale(self) -> bool:
        return bool(self.overdue)


def freshness(source: str, now: dt.datetime) -> Freshness:
    """Return how fresh a source is, derived from its attempts alone."""
    runs = _runs(source, now)
    overdue = tuple(date for date in _dates(now) if _is_overdue(SOURCES[source], date, runs[date], now))
    attempts = [run for date in overdue for run in runs[date]]
    newest = max(attempts, key=lambda run: run.started_at, default=None)
    read_at = (
        IngestRun.objects.of_lists()
        .read()
        .filter(source=source)
        .order_by("-finished_at")
        .values_list("finished_at", flat=True)
        .first()
    )
    return Freshness(source, read_at, overdue, newest.error if newest else "")


def _is_overdue(source: Source, date: dt.date, runs: Sequence[IngestRun], now: dt.datetime) -> bool:
    planned = _last_moment(source, date, now - GRACE)
    return planned is not None and not _was_read(runs, since=planned)
