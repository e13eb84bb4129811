"""The public pages show what is known, say why a day is empty, and can be cached."""

import datetime as dt

import pytest
import time_machine
from django.db import connection
from django.test.utils import CaptureQueriesContext

from papers.models import IngestRun, Listing, Snapshot
from tests.factories import make_paper

pytestmark = pytest.mark.django_db

DATE = dt.date(2026, 7, 1)  # a Wednesday
NOW = dt.datetime(2026, 7, 1, 12, 30, tzinfo=dt.UTC)
HOSTILE = "<script>alert('x')</script> & <think> {{ 7|add:7 }} $5"


@pytest.fixture(autouse=True)
def _noon():
    with time_machine.travel(NOW, tick=False):
        yield


def read(client, address: str, status: int = 200) -> str:
    response = client.get(address)
    assert response.status_code == status
    return str(response.content.decode())


# Lists ---------------------------------------------------------------------------------------------


def test_home_is_the_newest_list_that_holds_papers(client):
    make_paper(title="Older", list_date=DATE - dt.timedelta(days=1))
    make_paper(title="Newest", list_date=DATE)
    make_paper(title="Hidden", list_date=DATE + dt.timedelta(days=1), is_hidden=True)

    page = read(client, "/")

    assert "Wednesday, 1 July 2026" in page
    assert "Newest" in page
    assert "Older" not in page


def test_before_the_first_list_home_invites(client):
    page = read(client, "/")

    assert "The first papers are on their way" in page
    assert 'href="#sign-up"' in page


def test_a_day_shows_its_papers_most_upvoted_first_and_unvoted_last(client):
    make_paper(title="Unvoted one", upvotes=None, counted_at=None, list_date=DATE)
    make_paper(title="Second one", upvotes=5, list_date=DATE)
    make_paper(title="First one", upvotes=50, list_date=DATE)

    page = read(client, "/papers/2026-07-01")

    assert page.index("First one") < page.index("Second one") < page.index("Unvoted one")
    assert "3 papers, most upvoted first" in page


def test_a_card_shows_what_is_known_of_a_paper(client):
    authors = [f"Author Number{n}" for n in range(12)]
    paper = make_paper(
        list_date=DATE, authors=authors, organisation="The Lab", tldr="In one sentence.", upvotes=1, comment_count=2
    )

    page = read(client, "/papers/2026-07-01")

    assert f'href="/paper/{paper.arxiv_id}"' in page
    assert "Author Number0, Author Number1, Author Number2 · 12 authors · The Lab" in page
    assert "Author Number3" not in page
    assert "In one sentence." in page
    assert "1 upvote · 2 comments" in page


def test_a_paper_of_two_sources_stands_once_on_a_day(client):
    paper = make_paper(title="Only once", list_date=DATE)
    Listing.objects.create(paper=paper, source="arxiv", list_date=DATE, stored_at=NOW)

    page = read(client, "/papers/2026-07-01")

    assert page.count("Only once") == 1
    assert "1 paper<" in page


def test_hidden_and_withdrawn_papers_are_on_no_list(client):
    make_paper(title="Shown", list_date=DATE)
    make_paper(title="Hidden one", list_date=DATE, is_hidden=True)
    make_paper(title="Withdrawn one", list_date=DATE, is_withdrawn=True)

    page = read(client, "/papers/2026-07-01")

    assert "Shown" in page
    assert "Hidden one" not in page
    assert "Withdrawn one" not in page


def test_a_day_leads_to_the_days_beside_it_that_hold_papers(client):
    for days in (-3, 0, 2):
        make_paper(list_date=DATE + dt.timedelta(days=days))

    page = read(client, "/papers/2026-07-01")

    assert 'href="/papers/2026-06-28" rel="prev"' in page
    assert 'href="/papers/2026-07-03" rel="next"' in page
    assert 'rel="next"' not in read(client, "/papers/2026-07-03")


def test_a_list_of_more_than_a_hundred_is_paged(client):
    for n in range(101):
        make_paper(title=f"Paper number {n:03}", upvotes=200 - n, list_date=DATE)

    first, second = read(client, "/papers/2026-07-01"), read(client, "/papers/2026-07-01?page=2")

    assert first.count('class="card"') == 100
    assert 'href="?page=2" rel="next"' in first
    assert second.count('class="card"') == 1
    assert "Paper number 100" in second
    assert "Page 2 of 2" in second
    assert "101 papers" in second
    assert "Paper number 100" in read(client, "/papers/2026-07-01?page=99")
    assert "Paper number 000" in read(client, "/papers/2026-07-01?page=x")


# Empty days ----------------------------------------------------------------------------------------


def ran(status: str, date: dt.date, at: dt.datetime = NOW) -> None:
    ended = None if status == "running" else at
    IngestRun.objects.create(source="huggingface", list_date=date, status=status, started_at=at, finished_at=ended)


@pytest.mark.parametrize(
    ("date", "status", "reason"),
    [
        ("2026-07-01", None, "The list of this day has not been fetched yet."),
        ("2026-07-01", "running", "The list of this day has not been fetched yet."),
        ("2026-07-01", "failed", "Hugging Face could not be read at 12:30 UTC. It is tried again every hour."),
        ("2026-07-01", "empty", "Hugging Face has no papers for today yet, as of 12:30 UTC."),
        ("2026-06-30", "empty", "Hugging Face has no papers for this day."),
        ("2026-06-28", "empty", "No lists are published at weekends."),
        ("2026-06-27", None, "No lists are published at weekends."),
        ("2026-07-02", None, "This day has not come yet."),
        ("9999-12-31", None, "This day has not come yet."),
        ("0001-01-01", None, "The list of this day has not been fetched yet."),
    ],
)
def test_an_empty_day_says_why(client, date, status, reason):
    if status:
        ran(status, dt.date.fromisoformat(date))

    assert reason in read(client, f"/papers/{date}")


def test_the_newest_run_tells_why_a_day_is_empty(client):
    ran("failed", DATE, NOW - dt.timedelta(hours=1))
    ran("empty", DATE)

    assert "no papers for today yet" in read(client, "/papers/2026-07-01")


@pytest.mark.parametrize("date", ["2026-7-1", "20260701", "yesterday", "2026-02-30", "2026-W27-3", "<b>", "%00"])
def test_a_malformed_date_is_a_page_that_says_what_to_write(client, date):
    page = read(client, f"/papers/{date}", 404)

    assert "is no date; write one such as 2026-07-01" in page
    assert "<b>" not in page.partition("<main")[2].partition("</main>")[0]


# One paper -----------------------------------------------------------------------------------------


def test_a_papers_page_shows_what_is_known_of_it(client):
    paper = make_paper(
        title="On robots",
        abstract="An abstract.",
        tldr="In short.",
        organisation="The Lab",
        keywords=["arms", "legs"],
        code_url="https://github.com/o/r",
        project_url="https://example.org/p",
        upvotes=1234,
        comment_count=3,
        github_stars=1,
        list_date=DATE,
    )

    page = read(client, f"/paper/{paper.arxiv_id}")

    for text in ("On robots", "An abstract.", "In short.", "The Lab", "arms", "Ada Example, Ben Example"):
        assert text in page
    assert "1234 upvotes · 3 comments · 1 GitHub star" in page
    assert f'href="https://arxiv.org/abs/{paper.arxiv_id}" rel="noopener"' in page
    assert f'href="https://arxiv.org/pdf/{paper.arxiv_id}" rel="noopener"' in page
    assert 'href="https://github.com/o/r" rel="noopener"' in page
    assert 'href="https://example.org/p" rel="noopener"' in page
    assert '<a href="/papers/2026-07-01">Hugging Face, 1 July 2026</a>' in page


def test_the_score_is_explained_by_parts_that_add_up(client):
    paper = make_paper(upvotes=20, comment_count=3, list_date=DATE - dt.timedelta(days=3))
    for hours_ago, upvotes in ((20, 5), (1, 20)):
        at = NOW - dt.timedelta(hours=hours_ago)
        Snapshot.objects.create(paper=paper, source="huggingface", taken_at=at, upvotes=upvotes)

    response = client.get(f"/paper/{paper.arxiv_id}")

    parts = response.context["parts"]
    assert [str(part.label) for part in parts] == [
        "Upvotes",
        "Upvotes gained in the last 24 hours",
        "Upvotes compared with papers of its field in the last 90 days",
        "GitHub stars gained in the last 24 hours",
        "Comments",
        "Code, a project page, more than one field",
    ]
    assert sum(part.value for part in parts) == response.context["score"].total
    assert parts[1].value > 0
    assert f"Its trending score is {response.context['score'].total:.2f} now." in response.content.decode()


def test_many_authors_are_folded_away_and_all_there(client):
    ten, many = ([f"Author Number{n}" for n in range(count)] for count in (10, 533))

    assert "<details>" not in read(client, make_paper(authors=ten).get_absolute_url())
    page = read(client, make_paper(authors=many).get_absolute_url())
    assert "<details>" in page
    assert "all 533 authors" in page
    assert "Author Number532" in page


def test_a_paper_of_which_little_is_known_has_a_page(client):
    paper = make_paper(abstract="", authors=[], categories=[], upvotes=None, counted_at=None, submitted_on=None)

    page = read(client, paper.get_absolute_url())

    assert "On no list yet." in page
    assert "Its trending score is 0.00 now." in page


def test_an_old_id_with_a_slash_has_a_page(client):
    make_paper(arxiv_id="math.GT/0309136", title="Knots")

    assert "Knots" in read(client, "/paper/math.GT/0309136")


@pytest.mark.parametrize("written", ["2401.00001v2", "arXiv:2401.00001", "arXiv:2401.00001v3"])
def test_an_id_with_a_version_leads_to_the_paper(client, written):
    response = client.get(f"/paper/{written}")

    assert (response.status_code, response["Location"]) == (301, "/paper/2401.00001")


@pytest.mark.parametrize("arxiv_id", ["2401.99999", "x", "../etc/passwd", "%00", "a" * 500, "<b>", "2401.00001v"])
def test_an_unknown_paper_is_a_page_that_says_what_to_write(client, arxiv_id):
    assert "Write an arXiv id such as 2401.12345." in read(client, f"/paper/{arxiv_id}", 404)


def test_a_hidden_paper_is_not_there_and_a_withdrawn_one_says_so(client):
    hidden, withdrawn = make_paper(is_hidden=True, title="Hidden"), make_paper(is_withdrawn=True)

    assert "Hidden" not in read(client, hidden.get_absolute_url(), 404)
    assert "This paper was withdrawn." in read(client, withdrawn.get_absolute_url())


# All of them ---------------------------------------------------------------------------------------


def test_a_sample_is_said_to_be_one_and_links_only_to_us(client):
    live = make_paper(list_date=DATE - dt.timedelta(days=1))
    sample = make_paper(arxiv_id="9912.00001", is_sample=True, list_date=DATE)

    for address in ("/", "/papers/2026-07-01", sample.get_absolute_url()):
        assert "made up to try Paperboy out" in read(client, address)
    assert "arxiv.org/abs" not in read(client, sample.get_absolute_url())
    for address in ("/papers/2026-06-30", live.get_absolute_url()):
        assert "made up to try Paperboy out" not in read(client, address)


def test_feed_text_is_text_and_its_addresses_are_web_addresses(client):
    paper = make_paper(
        title=HOSTILE,
        abstract=HOSTILE,
        tldr=HOSTILE,
        authors=[HOSTILE] * 12,
        organisation=HOSTILE,
        keywords=[HOSTILE],
        comment=HOSTILE,
        list_date=DATE,
    )

    for address in ("/", paper.get_absolute_url()):
        page = read(client, address)
        assert "<script>alert" not in page
        assert "<think>" not in page
        assert "&lt;think&gt; {{ 7|add:7 }} $5" in page


@pytest.mark.parametrize("address", ["/", "/papers/2026-07-01", "/papers/2026-06-28", "/papers/x", "/paper/2401.00001"])
def test_no_page_sets_a_cookie(client, address):
    make_paper(arxiv_id="2401.00001", list_date=DATE)

    response = client.get(address)

    assert not response.cookies
    assert "csrfmiddlewaretoken" not in response.content.decode()


@pytest.mark.parametrize("address", ["/", "/papers/2026-07-01", "/paper/2401.00001"])
def test_pages_are_only_read(client, address):
    make_paper(arxiv_id="2401.00001", list_date=DATE)

    assert client.post(address).status_code == 405


def count_queries(client, address: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(address).status_code == 200
    return len(queries)


@pytest.mark.parametrize("address", ["/", "/papers/2026-07-01"])
def test_a_list_costs_no_query_for_a_paper(client, address):
    make_paper(list_date=DATE)
    few = count_queries(client, address)
    for _ in range(20):
        make_paper(list_date=DATE)

    assert count_queries(client, address) == few


def test_a_papers_page_costs_no_query_for_a_listing_or_snapshot(client):
    paper = make_paper(list_date=DATE)
    few = count_queries(client, paper.get_absolute_url())
    for n in range(20):
        day = DATE - dt.timedelta(days=n + 1)
        Listing.objects.create(paper=paper, source="huggingface", list_date=day, stored_at=NOW)
        Snapshot.objects.create(paper=paper, source="huggingface", taken_at=NOW - dt.timedelta(hours=n), upvotes=n)

    assert count_queries(client, paper.get_absolute_url()) == few
