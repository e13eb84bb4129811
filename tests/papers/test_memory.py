"""A list that has not changed is not sent again, and is stored as if it had been."""

import datetime as dt
import json

import pytest
from werkzeug import Request, Response

from papers.ingest import ingest
from papers.models import Answer, IngestRun, Listing, Paper, Snapshot
from papers.sources.memory import MOST_KEPT
from tests.factories import make_daily_item

pytestmark = pytest.mark.django_db

DATE = dt.date(2026, 7, 1)
NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def upstream(httpserver, settings) -> list[Response]:
    """The full answers of Daily Papers so far, which has one list and knows its ETag."""
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    sent: list[Response] = []

    def answer(request: Request) -> Response:
        page = json.dumps([make_daily_item(upvotes=7)] if request.args["p"] == "0" else [])
        response = Response(page, headers={"ETag": f'W/"{len(page)}"'}).make_conditional(request)
        if response.status_code == 200:
            sent.append(response)
        return response

    httpserver.expect_request("/api/daily_papers").respond_with_handler(answer)
    return sent


def test_unchanged_votes_are_a_snapshot_too(upstream, httpserver):
    first = ingest("huggingface", DATE, now=NOW)
    second = ingest("huggingface", DATE, now=NOW + HOUR)

    assert (len(upstream), len(httpserver.log)) == (2, 4)
    assert (first.status, second.status, second.fetched, second.updated) == ("ok", "ok", 1, 0)
    assert list(Snapshot.objects.values_list("taken_at", "upvotes")) == [(NOW, 7), (NOW + HOUR, 7)]
    assert Paper.objects.get().counted_at == NOW + HOUR


def test_an_unchanged_list_that_was_lost_is_stored(upstream, httpserver):
    ingest("huggingface", DATE, now=NOW)
    Paper.objects.all().delete()

    run = ingest("huggingface", DATE, now=NOW + HOUR)

    assert (run.status, run.new, len(upstream), Listing.objects.count()) == ("ok", 1, 2, 1)


def test_answers_are_forgotten_after_days(upstream):
    ingest("huggingface", DATE, now=NOW)
    Answer.objects.filter(url__contains="p=1").update(
        kept_at=NOW - dt.timedelta(days=4), url="https://gone.example.org/"
    )

    ingest("huggingface", DATE, now=NOW)

    assert not Answer.objects.filter(url="https://gone.example.org/").exists()
    assert IngestRun.objects.filter(status="ok").count() == 2


def test_a_backfill_leaves_no_thousands_of_answers(upstream):
    for days in range(30):
        ingest("huggingface", DATE - dt.timedelta(days=days), now=NOW)

    assert len(upstream) == 60
    assert Answer.objects.count() <= MOST_KEPT + 1
    assert Answer.objects.filter(url__contains=f"{DATE - dt.timedelta(days=29)}").count() == 2
