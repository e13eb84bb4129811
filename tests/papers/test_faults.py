"""Every fault that a source may have, on every way of asking it, once and three times in a row.

Whatever happens, the attempt ends in time, what is stored is as before or complete, the row of the
attempt says why, and one of the next ticks makes it whole.
"""

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import requests
import time_machine

from papers.ingest import ingest
from papers.models import IngestRun, Listing, Paper, Snapshot
from papers.polling import due_dates
from papers.sources.client import Client
from papers.upkeep import look_after
from tests.conftest import running_replay
from tests.factories import make_paper

pytestmark = [pytest.mark.data, pytest.mark.django_db]

KINDS = {  # and what the attempt's row says of it
    "400": "answered 400",
    "429": "answered 429",
    "500": "answered 500",
    "503": "answered 503",
    "hang": "could not be read: .*timed out|in the time given",
    "reset": "could not be read: .*reset",
    "truncate": "could not be read: .*(broken|incomplete|read)",
    "html": "an HTML page instead of a list",
    "empty": "an empty answer instead of a list",
    "slow": "too slowly|in the time given",
}
MOST_TICKS = 4
TICK = dt.timedelta(minutes=10)
FRIDAY_MORNING = dt.datetime(2026, 8, 21, 12, tzinfo=dt.UTC)


@dataclass(frozen=True, slots=True)
class Way:
    """A way of asking a source, where its faults are put in, and what there is in the end."""

    path: str
    source: str
    date: dt.date | None
    kind: IngestRun.Kind
    whole: tuple[int, int, int]  # papers, listings, withdrawn papers


LIST, REVISIONS, DETAILS = IngestRun.Kind.LIST, IngestRun.Kind.REVISIONS, IngestRun.Kind.DETAILS
WAYS = {
    "daily papers": Way("/api/daily_papers", "huggingface", dt.date(2026, 7, 15), LIST, (4, 4, 0)),
    "feed": Way("/rss/", "arxiv", FRIDAY_MORNING.date(), LIST, (18, 18, 0)),
    "search": Way("/api/query", "arxiv", FRIDAY_MORNING.date() - dt.timedelta(days=1), LIST, (102, 102, 0)),
    "revisions": Way("/oai", "arxiv", None, REVISIONS, (2, 2, 1)),
    "details": Way("/api/query", "arxiv", None, DETAILS, (2, 2, 0)),
}


@pytest.fixture(scope="module")
def upstream(data) -> Iterator[str]:
    with running_replay(data, "--hang", "2") as url:
        yield url


@pytest.fixture(params=WAYS)
def way(request, upstream, settings) -> Way:
    found: Way = WAYS[request.param]
    settings.SOURCES = ["huggingface", "arxiv"]
    settings.ARXIV_CATEGORIES = ["cs.AI"]
    settings.HUGGINGFACE_URL = settings.ARXIV_API_URL = settings.ARXIV_RSS_URL = settings.ARXIV_OAI_URL = upstream
    today = FRIDAY_MORNING.date()
    make_paper(arxiv_id="1101.6031", list_date=today)  # of which the revisions know that it was withdrawn
    make_paper(arxiv_id="1707.08567", list_date=today)
    return found


def attempt(way: Way, now: dt.datetime, upstream: str, fault: str) -> IngestRun:
    # Only a fault that takes time is given little of it: all else ends at once, however busy the machine is.
    budget_s, read_timeout_s = {"hang": (0.7, 0.12), "slow": (0.4, 0.3)}.get(fault, (20, 10))
    with Client(upstream, backoff_s=0, budget_s=budget_s, read_timeout_s=read_timeout_s) as client:
        if way.date:
            return ingest(way.source, way.date, now=now, client=client)
        return look_after(way.source, way.kind, now, client)


def stored() -> tuple[int, int, int]:
    return Paper.objects.count(), Listing.objects.count(), Paper.objects.filter(is_withdrawn=True).count()


@pytest.mark.parametrize("times", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_is_got_over_or_recorded_and_made_good(way, kind, times, upstream):
    fault = {"path": way.path, "kind": kind, "times": times, "retry_after": 0}
    requests.post(f"{upstream}/_faults", json=fault, timeout=5).raise_for_status()
    now, before, details = FRIDAY_MORNING, stored(), list(Paper.objects.order_by("pk").values())
    try:
        with time_machine.travel(now):
            for number in range(MOST_TICKS):
                run = attempt(way, now, upstream, kind if number < times else "")
                if run.status == "ok":
                    break
                assert (run.status, stored()) == ("failed", before)
                assert list(Paper.objects.order_by("pk").values()) == details
                assert re.search(KINDS[kind], run.error, re.IGNORECASE)
                now += TICK * 2**number
                assert way.date is None or way.source == "huggingface" or way.date in due_dates(way.source, now)
    finally:
        use_up(way, upstream)

    assert (run.status, run.error, run.rejected) == ("ok", "", 0)
    assert (run.finished_at is not None, stored()) == (True, way.whole)


def use_up(way: Way, upstream: str) -> None:
    """Leave no fault behind for the next test."""
    for _ in range(3):
        try:
            requests.get(f"{upstream}{way.path}", timeout=0.1, stream=True).close()
        except requests.RequestException:
            continue


# The counters of a day -----------------------------------------------------------------------------


def test_the_evenings_lists_are_exactly_those_of_the_evening_with_both_snapshots(data, settings):
    dates = sorted(dt.date.fromisoformat(path.stem) for path in (data / "huggingface" / "daily").glob("*.json"))
    morning, evening = (dt.datetime(2026, 8, 1, hour, tzinfo=dt.UTC) for hour in (8, 20))
    served: dict[dt.datetime, dict[tuple[dt.date, str], int]] = {}
    for moment, options in ((morning, []), (evening, ["--evening"])):
        with running_replay(data, *options) as url:
            settings.HUGGINGFACE_URL = url
            assert {ingest("huggingface", date, now=moment).status for date in dates} == {"ok"}
            served[moment] = {
                (date, item["paper"]["id"]): item["paper"]["upvotes"]
                for date in dates
                for item in requests.get(f"{url}/api/daily_papers?date={date}&limit=100", timeout=5).json()
            }

    assert set(Listing.objects.values_list("list_date", "paper__arxiv_id")) == served[evening].keys()
    assert votes(morning) == {arxiv_id: n for (_, arxiv_id), n in served[morning].items()}
    assert votes(evening) == {arxiv_id: n for (_, arxiv_id), n in served[evening].items()}
    assert dict(Paper.objects.values_list("arxiv_id", "upvotes")) == votes(evening)
    assert len(served[evening]) > len(served[morning])


def votes(moment: dt.datetime) -> dict[str, int]:
    return dict(Snapshot.objects.filter(taken_at=moment).values_list("paper__arxiv_id", "upvotes"))
