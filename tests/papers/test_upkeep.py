"""News of known papers: revisions and withdrawals once a day, details that other sources lack."""

import datetime as dt
from collections.abc import Iterator

import pytest

from papers.models import IngestRun, Listing, Paper
from papers.polling import due_dates
from papers.sources import arxiv
from papers.sources.client import Client
from papers.upkeep import look_after, upkeep
from tests.factories import make_paper
from tests.papers.test_arxiv_xml import ENTRY, RAW, atom, oai

pytestmark = pytest.mark.django_db

TODAY = dt.date(2026, 8, 21)
NOW = dt.datetime(2026, 8, 21, 12, tzinfo=dt.UTC)
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
REVISIONS, DETAILS = IngestRun.Kind.REVISIONS, IngestRun.Kind.DETAILS


@pytest.fixture
def client(httpserver, settings) -> Iterator[Client]:
    """A client of a made-up arXiv: one withdrawn paper in one set, and whatever is asked for by its id."""
    address = httpserver.url_for("").rstrip("/")
    settings.ARXIV_API_URL = settings.ARXIV_OAI_URL = settings.ARXIV_RSS_URL = address
    settings.ARXIV_CATEGORIES = ["cs.CL"]
    settings.SOURCES = ["arxiv"]
    httpserver.expect_request("/oai").respond_with_data(oai(RAW.format(comment="Withdrawn by the authors")))
    httpserver.expect_request("/api/query").respond_with_data(atom(ENTRY.replace("cond-mat/0703772", "2608.00001")))
    with Client(*arxiv.base_urls(), backoff_s=0) as client:
        yield client


def ran(kind: str, status: str, at: dt.datetime) -> None:
    IngestRun.objects.create(
        source="arxiv", kind=kind, list_date=at.date(), status=status, started_at=at, finished_at=at
    )


def test_revisions_reach_the_papers_that_are_known_and_no_others(client, httpserver):
    paper = make_paper(arxiv_id="2608.20055", list_date=TODAY)

    run = look_after("arxiv", REVISIONS, NOW, client)

    paper.refresh_from_db()
    assert (run.status, run.kind, run.fetched, run.new, run.updated, run.listed) == ("ok", "revisions", 1, 0, 1, 0)
    assert (paper.is_withdrawn, paper.version, paper.comment) == (True, 2, "Withdrawn by the authors")
    assert httpserver.log[0][0].args["from"] == "2026-08-14"

    again = look_after("arxiv", REVISIONS, NOW, client)

    assert (again.status, again.updated, Paper.objects.count()) == ("ok", 0, 1)


def test_details_complete_papers_of_other_sources_and_list_nothing(client, httpserver):
    paper = make_paper(arxiv_id="2608.00001", list_date=TODAY, categories=[], told_by={"title": "huggingface"})
    make_paper(arxiv_id="2608.00002", list_date=TODAY, version=1, told_by={"version": "arxiv"})
    make_paper(arxiv_id="2608.00003", list_date=TODAY - 8 * DAY)
    make_paper(arxiv_id="2608.00004", list_date=TODAY, is_sample=True)

    run = look_after("arxiv", DETAILS, NOW, client)

    paper.refresh_from_db()
    assert (run.status, run.updated, paper.categories, paper.version) == ("ok", 1, ["cs.CL", "cs.LG"], 3)
    assert [request.args["id_list"] for request, _ in httpserver.log] == ["2608.00001"]
    assert not Listing.objects.filter(source="arxiv").exists()


def test_both_are_due_and_then_for_a_while_not(client):
    make_paper(arxiv_id="2608.00009", list_date=TODAY)
    ran(REVISIONS, "ok", NOW - 22 * HOUR)
    ran(DETAILS, "ok", NOW - 5 * HOUR)
    assert upkeep(NOW) == []

    IngestRun.objects.update(started_at=NOW - 23 * HOUR)

    assert [run.kind for run in upkeep(NOW)] == [REVISIONS, DETAILS]


def test_nothing_is_asked_where_nothing_is_missing(client):
    ran(REVISIONS, "ok", NOW)

    assert upkeep(NOW) == []


def test_a_failure_is_tried_again_soon_then_later(client, httpserver):
    make_paper(arxiv_id="2608.00009", list_date=TODAY)
    ran(REVISIONS, "ok", NOW)
    ran(DETAILS, "failed", NOW - 10 * 60 * dt.timedelta(seconds=1))
    ran(DETAILS, "failed", NOW)

    assert upkeep(NOW + HOUR / 4) == []
    assert [run.kind for run in upkeep(NOW + HOUR / 3)] == [DETAILS]


def test_a_source_that_is_not_polled_is_not_asked_for_details(client, settings):
    settings.SOURCES = ["huggingface"]
    make_paper(arxiv_id="2608.00009", list_date=TODAY)

    assert upkeep(NOW) == []


def test_news_of_papers_says_nothing_of_lists(client):
    ran(REVISIONS, "ok", NOW)

    assert TODAY in due_dates("arxiv", NOW)
