"""Many lists one after the other: patient with the source, and taken up again where it was stopped."""

import datetime as dt
import logging
import time
from collections.abc import Iterator, Sequence

from django.utils import timezone

from papers.ingest import INTERRUPTED, ingest
from papers.models import IngestRun
from papers.polling import is_settled, waiting_until

logger = logging.getLogger(__name__)

TRIES = 3  # of a list whose source asks us to wait
LONGEST_WAIT = dt.timedelta(minutes=10)
FAILURES_IN_A_ROW = 3  # then the source is down, and the lists that are left would fail as well


def backfill(source: str, dates: Sequence[dt.date]) -> Iterator[IngestRun]:
    """Fetch and store the lists of ``dates`` in their order, and yield each finished run.

    A source that asks us to wait is waited for. Ends early after three failures in a row. Papers
    that come this way are in no edition as new: their list dates are too old for it.
    """
    failures = 0
    for date in dates:
        run = _patiently(source, date)
        yield run
        failures = failures + 1 if run.status == IngestRun.Status.FAILED else 0
        if failures == FAILURES_IN_A_ROW:
            return


def _patiently(source: str, date: dt.date) -> IngestRun:
    for _ in range(TRIES - 1):
        run = ingest(source, date, now=timezone.now())
        now = timezone.now()
        until = waiting_until(source, now)
        if run.status != IngestRun.Status.FAILED or until is None or until - now > LONGEST_WAIT:
            return run
        logger.info("%s asked us to wait until %s", source, until)
        time.sleep((until - now).total_seconds())
    return ingest(source, date, now=timezone.now())


def missing(source: str, dates: Sequence[dt.date]) -> list[dt.date]:
    """Return the dates whose list was not read yet, or may have changed since it was."""
    return [date for date in dates if not is_settled(source, date)]


def was_interrupted(source: str, dates: Sequence[dt.date]) -> bool:
    """Whether the last attempt at any of these lists was stopped by somebody."""
    runs = IngestRun.objects.of_lists().filter(source=source, list_date__in=dates).order_by("started_at")
    newest = dict(runs.values_list("list_date", "error"))  # the last of each date wins
    return INTERRUPTED in newest.values()
