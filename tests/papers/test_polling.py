"""When a list is read and read again, how long a failure or a busy source is left alone, how fresh a source is."""

import datetime as dt

import pytest

from papers.ingest import ingest
from papers.models import IngestRun
from papers.polling import due_dates, freshness, is_settled
from papers.sources.client import Client

pytestmark = pytest.mark.django_db

DATE = dt.date(2026, 7, 1)  # a Wednesday
NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
MINUTE, HOUR, DAY = dt.timedelta(minutes=1), dt.timedelta(hours=1), dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def _both_are_polled(settings):
    settings.SOURCES = ["huggingface", "arxiv"]


def days_ago(*days: int) -> list[dt.date]:
    return [DATE - n * DAY for n in days]


def ran(date: dt.date, status: str, at: dt.datetime, *, source: str = "huggingface", **fields: str) -> None:
    finished_at = None if status == "running" else at
    values = {"list_date": date, "status": status, "started_at": at, "finished_at": finished_at}
    IngestRun.objects.create(source=source, **values, **fields)


def settle(*days: int, source: str = "huggingface") -> None:
    for date in days_ago(*days):
        ran(date, "ok", dt.datetime.combine(date, dt.time(1), dt.UTC) + 7 * DAY, source=source)


def test_todays_and_yesterdays_list_are_due_each_hour():
    settle(2, 3, 4, 5, 6, 7)
    for date in days_ago(0, 1):
        ran(date, "ok", NOW)
    assert due_dates("huggingface", NOW + 59 * MINUTE) == []

    assert due_dates("huggingface", NOW + HOUR) == days_ago(0, 1)


def test_a_new_instance_looks_a_week_back():
    assert due_dates("huggingface", NOW) == days_ago(0, 1, 2, 3, 4, 5, 6, 7)


def test_an_older_list_is_read_once_a_day_until_it_is_a_week_old():
    settle(0, 1, 2, 4, 5, 6, 7)
    (date,) = days_ago(3)
    midnight = dt.datetime.combine(date, dt.time(), dt.UTC)
    ran(date, "ok", midnight + 47 * HOUR)
    assert date not in due_dates("huggingface", midnight + 71 * HOUR - MINUTE)
    assert date in due_dates("huggingface", midnight + 71 * HOUR)

    ran(date, "ok", midnight + 71 * HOUR)

    assert due_dates("huggingface", NOW) == []


def test_a_list_is_settled_once_it_was_read_after_its_last_moment():
    (date,) = days_ago(3)
    midnight = dt.datetime.combine(date, dt.time(), dt.UTC)
    ran(date, "ok", midnight + 166 * HOUR)
    assert not is_settled("huggingface", date)

    ran(date, "empty", midnight + 167 * HOUR)

    assert is_settled("huggingface", date)


def test_a_failure_is_tried_again_soon_then_less_and_less_often():
    settle(1, 2, 3, 4, 5, 6, 7)
    at = NOW
    for minutes in (9, 18, 36, 60, 60):
        ran(DATE, "failed", at)
        assert due_dates("huggingface", at + (minutes - 1) * MINUTE) == []
        at += minutes * MINUTE
        assert due_dates("huggingface", at) == [DATE]


def test_a_good_run_ends_a_row_of_failures():
    settle(1, 2, 3, 4, 5, 6, 7)
    ran(DATE, "failed", NOW)
    ran(DATE, "failed", NOW + 9 * MINUTE)
    ran(DATE, "ok", NOW + 27 * MINUTE)
    ran(DATE, "failed", NOW + HOUR)

    assert due_dates("huggingface", NOW + HOUR + 8 * MINUTE) == []
    assert due_dates("huggingface", NOW + HOUR + 9 * MINUTE) == [DATE]


def test_a_date_is_tried_for_a_week_and_no_longer():
    settle(0, 1, 2, 3, 4, 5, 6)
    for date in days_ago(7, 8):
        ran(date, "failed", NOW - DAY)

    assert due_dates("huggingface", NOW) == days_ago(7)


def test_a_list_that_is_being_read_is_left_to_its_reader_for_an_hour():
    settle(1, 2, 3, 4, 5, 6, 7)
    ran(DATE, "running", NOW)

    assert due_dates("huggingface", NOW + 59 * MINUTE) == []
    assert due_dates("huggingface", NOW + HOUR) == [DATE]


def test_another_sources_runs_make_nothing_due_or_undue():
    ran(DATE, "ok", NOW, source="arxiv")
    ran(DATE, "ok", NOW, kind="revisions")

    assert DATE in due_dates("huggingface", NOW)


def test_only_what_the_operator_wants_is_polled(settings):
    settings.SOURCES = ["arxiv"]

    assert due_dates("huggingface", NOW) == []
    assert due_dates("arxiv", NOW) != []


def test_arxivs_list_is_due_from_eastern_midnight_until_it_is_there():
    settle(1, 2, 3, 4, 5, 6, 7, source="arxiv")
    midnight = dt.datetime(2026, 7, 1, 4, tzinfo=dt.UTC)
    assert due_dates("arxiv", midnight - MINUTE) == []
    assert due_dates("arxiv", midnight) == [DATE]

    # The feed is late: the next ticks look again before the edition closes at half past.
    ran(DATE, "failed", midnight, source="arxiv")
    assert due_dates("arxiv", midnight + 10 * MINUTE) == [DATE]
    ran(DATE, "ok", midnight + 10 * MINUTE, source="arxiv")
    assert due_dates("arxiv", midnight + 59 * MINUTE) == []


def test_arxivs_lists_of_a_week_are_read_once_a_day():
    settle(7, source="arxiv")
    for date in days_ago(0, 1, 2, 3, 4, 5, 6):
        ran(date, "ok", NOW, source="arxiv")
    assert due_dates("arxiv", NOW + HOUR) == []

    assert due_dates("arxiv", NOW + 2 * HOUR) == days_ago(1, 2, 3, 4, 5, 6)


def test_a_source_that_asks_us_to_wait_is_left_alone_until_then(httpserver):
    httpserver.expect_request("/api/daily_papers").respond_with_data("", status=429, headers={"Retry-After": "5400"})
    with Client(httpserver.url_for("")) as client:
        first = ingest("huggingface", DATE, now=NOW, client=client)
        second = ingest("huggingface", DATE, now=NOW + HOUR, client=client)

    assert "answered 429" in first.error
    assert second.error == "Hugging Face asked us to wait until 2026-07-01 13:30:00 UTC: try again then"
    assert len(httpserver.log) == 1
    assert due_dates("huggingface", NOW + HOUR) == []
    assert due_dates("huggingface", NOW + dt.timedelta(seconds=5400)) != []


# Freshness -----------------------------------------------------------------------------------------


def test_a_source_that_was_read_lately_is_fresh():
    settle(2, 3, 4, 5, 6, 7)
    for date in days_ago(0, 1):
        ran(date, "empty", NOW - 5 * HOUR)

    found = freshness("huggingface", NOW)

    assert (found.read_at, found.overdue, found.is_stale) == (NOW + 6 * DAY - 11 * HOUR - DAY, (), False)


def test_a_source_is_stale_when_a_list_is_hours_late_and_says_why():
    settle(1, 2, 3, 4, 5, 6, 7)
    ran(DATE, "failed", NOW - 7 * HOUR, error="a first reason")
    ran(DATE, "failed", NOW - HOUR, error="the newest reason")
    ran(DATE, "ok", NOW - HOUR, kind="revisions")

    found = freshness("huggingface", NOW)

    assert (found.overdue, found.is_stale, found.error) == ((DATE,), True, "the newest reason")


def test_a_source_that_nobody_read_is_stale_without_a_reason():
    found = freshness("arxiv", NOW)

    assert (found.read_at, found.is_stale, found.error) == (None, True, "")
