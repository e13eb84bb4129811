"""How arXiv is asked: the feed for its today, a search for other days, OAI-PMH for what changed."""

import datetime as dt
from collections.abc import Iterator

import pytest
import time_machine
from werkzeug import Request, Response

from papers.ingest import ingest
from papers.models import IngestRun, Listing, Paper
from papers.sources import SOURCES, arxiv
from papers.sources.client import Client, SourceError
from tests.papers.test_arxiv_xml import ENTRY, ITEM, RAW, atom, oai, rss

FRIDAY = dt.date(2026, 8, 21)
MORNING = dt.datetime(2026, 8, 21, 4, 10, tzinfo=dt.UTC)  # ten minutes into arXiv's day


@pytest.fixture
def client(httpserver, settings) -> Iterator[Client]:
    """A client of a made-up arXiv that need not be asked slowly."""
    address = httpserver.url_for("").rstrip("/")
    settings.ARXIV_API_URL, settings.ARXIV_RSS_URL, settings.ARXIV_OAI_URL = (f"{address}/{n}" for n in ("a", "r", "o"))
    settings.ARXIV_CATEGORIES = ["cs.CL", "hep-th"]
    with Client(*arxiv.base_urls(), backoff_s=0) as client:
        yield client


@pytest.fixture(autouse=True)
def _at_ten_past_midnight() -> Iterator[None]:
    with time_machine.travel(MORNING, tick=True):
        yield


def item(arxiv_id: str, kind: str = "new", *, date: dt.date = FRIDAY, category: str = "cs.CL") -> str:
    made = ITEM.format(kind=kind).replace("2608.20055", arxiv_id).replace("cs.CR", category)
    return made.replace("Fri, 21 Aug 2026", f"{date:%a, %d %b %Y}")


def entry(arxiv_id: str, submitted: str = "2026-08-20T15:00:00Z") -> str:
    return ENTRY.replace("cond-mat/0703772", arxiv_id).replace("2026-08-20T17:59:00Z", submitted)


def feed(httpserver, *items: str) -> None:
    httpserver.expect_request("/r/rss/cs.CL+hep-th").respond_with_data(rss(*items))


def search(httpserver, *entries: str, total: int | None = None) -> None:
    httpserver.expect_request("/a/api/query").respond_with_data(with_total(total or len(entries), *entries))


def with_total(total: int, *entries: str) -> bytes:
    head = f'<opensearch:totalResults xmlns:opensearch="x">{total}</opensearch:totalResults>'
    return atom(head, *entries)


def read(client: Client, date: dt.date = FRIDAY) -> IngestRun:
    return ingest("arxiv", date, now=MORNING, client=client)


def listed() -> set[tuple[str, dt.date]]:
    return set(Listing.objects.values_list("paper__arxiv_id", "list_date"))


# The feed ------------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_today_is_the_feed(httpserver, client):
    Paper.objects.create(arxiv_id="2607.00003", title="Known", version=1)
    feed(
        httpserver, item("2608.00001"), item("2608.00002", "cross"), item("2607.00003", "replace"), item("2607.4", "x")
    )

    run = read(client)

    assert (run.status, run.fetched, run.new, run.updated, run.listed, run.rejected) == ("ok", 4, 2, 1, 2, 1)
    assert listed() == {("2608.00001", FRIDAY), ("2608.00002", FRIDAY)}
    assert len(httpserver.log) == 1


@pytest.mark.django_db
@pytest.mark.parametrize("yesterdays", [True, False], ids=["with its old date", "with a fresh date"])
def test_a_feed_that_is_still_yesterdays_is_no_list_of_today(httpserver, client, yesterdays):
    thursday = FRIDAY - dt.timedelta(days=1)
    stale = [item(f"2608.0000{n}", date=thursday if yesterdays else FRIDAY) for n in range(3)]
    ingest("arxiv", thursday, now=MORNING, pages=[rss(*[item(f"2608.0000{n}", date=thursday) for n in range(3)])])
    feed(httpserver, *stale)
    search(httpserver)

    run = read(client)

    assert run.status == "failed"
    assert run.error == "the feed was still without the papers of the day, and a search found nothing either"
    assert {date for _, date in listed()} == {thursday}


@pytest.mark.django_db
def test_what_a_late_feed_lacks_is_searched_for(httpserver, client):
    feed(httpserver)
    search(httpserver, entry("2608.00001"))

    run = read(client)

    assert (run.status, run.note) == ("ok", "the feed was still without the papers of the day; a search found 1 papers")
    assert listed() == {("2608.00001", FRIDAY)}


@pytest.mark.django_db
def test_a_feed_that_is_old_in_one_field_is_completed(httpserver, client):
    thursday = FRIDAY - dt.timedelta(days=1)
    old = [f"2608.0000{n}" for n in range(5)]
    ingest("arxiv", thursday, now=MORNING, pages=[rss(*[item(n, date=thursday, category="hep-th") for n in old])])
    feed(httpserver, *[item(n, category="hep-th") for n in old], item("2608.00011"), item("2608.00012"))
    search(httpserver, entry("2608.00012"), entry("2608.00013"))

    run = read(client)

    assert (run.status, run.listed) == ("ok", 3)
    assert run.note == "the feed held old papers of hep-th; a search found 2 papers"
    assert {paper for paper, date in listed() if date == FRIDAY} == {"2608.00011", "2608.00012", "2608.00013"}


@pytest.mark.django_db
def test_a_feed_that_was_cut_off_is_completed(httpserver, client):
    feed(httpserver, *[item(f"2608.{n:05d}") for n in range(2000)])
    search(httpserver, entry("2608.09999"))

    run = read(client)

    assert (run.status, run.listed, run.note) == ("ok", 2001, "the feed was cut off; a search found 1 papers")


@pytest.mark.django_db
def test_an_empty_tuesday_is_an_alarm_and_an_empty_saturday_is_none(httpserver, client):
    feed(httpserver)
    search(httpserver)
    tuesday, saturday = FRIDAY + dt.timedelta(days=4), FRIDAY + dt.timedelta(days=1)

    with time_machine.travel(MORNING + dt.timedelta(days=4)):
        alarm = ingest("arxiv", tuesday, now=MORNING + dt.timedelta(days=4), client=client)
    with time_machine.travel(MORNING + dt.timedelta(days=1)):
        weekend = ingest("arxiv", saturday, now=MORNING + dt.timedelta(days=1), client=client)

    assert (alarm.status, weekend.status, weekend.note) == ("failed", "empty", "the weekend")
    assert "a search found nothing either" in alarm.error


@pytest.mark.django_db
@pytest.mark.parametrize("status", [429, 500])
def test_a_feed_that_fails_is_not_made_up_for_by_more_requests(httpserver, client, status):
    httpserver.expect_request("/r/rss/cs.CL+hep-th").respond_with_data("", status=status, headers={"Retry-After": "60"})

    run = read(client)

    assert f"answered {status}" in run.error
    assert len(httpserver.log) == 1


def test_a_day_that_is_not_announced_yet_is_not_asked_for(client):
    with pytest.raises(SourceError, match="arXiv announces 2026-08-22 at 2026-08-22 04:00 UTC"):
        arxiv.fetch(client, FRIDAY + dt.timedelta(days=1))


# The search ----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_an_earlier_day_is_a_search_by_the_time_of_submission(httpserver, client):
    thursday = FRIDAY - dt.timedelta(days=1)
    search(httpserver, entry("2608.00001", "2026-08-19T15:00:00Z"))

    run = read(client, thursday)

    assert (run.status, listed()) == ("ok", {("2608.00001", thursday)})
    ((request, _),) = httpserver.log
    assert dict(request.args) == {
        "search_query": "(cat:cs.CL OR cat:hep-th) AND submittedDate:[202608181800 TO 202608191759]",
        "sortBy": "submittedDate",
        "sortOrder": "ascending",
        "start": "0",
        "max_results": "1000",
    }


@pytest.mark.django_db
def test_a_search_goes_on_from_the_last_moment_it_has_reached(httpserver, client):
    """Pages behind the first are empty at random: ``start`` stays 0, the window moves."""
    thursday = FRIDAY - dt.timedelta(days=1)
    first = [entry("2608.00001", "2026-08-19T01:00:30Z"), entry("2608.00002", "2026-08-19T02:00:30Z")]
    httpserver.expect_ordered_request("/a/api/query").respond_with_data(with_total(3, *first))
    rest = [first[1], entry("2608.00003", "2026-08-19T02:00:50Z")]
    httpserver.expect_ordered_request("/a/api/query").respond_with_data(with_total(2, *rest))

    run = read(client, thursday)

    assert (run.fetched, run.listed) == (4, 3)
    windows = [request.args["search_query"].partition("Date:")[2] for request, _ in httpserver.log]
    assert windows == ["[202608181800 TO 202608191759]", "[202608190200 TO 202608191759]"]


@pytest.mark.django_db
def test_a_search_that_does_not_get_on_comes_to_an_end(httpserver, client):
    search(httpserver, entry("2608.00001", "2026-01-05T15:00:00Z"), total=200_000)

    run = read(client, FRIDAY - dt.timedelta(days=1))

    assert (run.status, len(httpserver.log)) == ("ok", 1)
    assert listed() == {("2608.00001", dt.date(2026, 1, 6))}  # its own date, whatever was asked for


@pytest.mark.django_db
def test_a_day_without_an_announcement_is_not_searched_for(httpserver, client):
    run = read(client, FRIDAY - dt.timedelta(days=5))

    assert (run.status, run.note, len(httpserver.log)) == ("empty", "the weekend", 0)


@pytest.mark.django_db
def test_an_error_inside_an_answer_is_a_failure(httpserver, client):
    error = "<entry><id>https://arxiv.org/api/errors#x</id><title>Error</title><summary>bad query</summary></entry>"
    httpserver.expect_request("/a/api/query").respond_with_data(atom(error))

    run = read(client, FRIDAY - dt.timedelta(days=1))

    assert (run.status, run.error) == ("failed", "arXiv refused the request: bad query")


@pytest.mark.django_db
def test_an_old_day_without_papers_is_no_alarm(httpserver, client):
    search(httpserver)

    assert read(client, dt.date(1995, 3, 7)).status == "empty"
    assert read(client, FRIDAY - dt.timedelta(days=1)).status == "failed"


# News of known papers ------------------------------------------------------------------------------


def test_papers_are_asked_for_by_their_ids_in_batches(httpserver, client):
    search(httpserver, entry("2608.00001"))
    ids = [f"2608.{n:05d}" for n in range(150)]

    assert len(list(arxiv.fetch_details(client, ids))) == 2

    asked = [(request.args["id_list"].count(","), request.args["max_results"]) for request, _ in httpserver.log]
    assert asked == [(99, "100"), (49, "50")]


def test_revisions_are_harvested_page_by_page_in_each_of_our_sets(httpserver, client):
    def answer(request: Request) -> Response:
        token = request.args.get("resumptionToken")
        following = "" if token or request.args["set"] != "cs:cs:CL" else "verb%3DListRecords%26skip%3D1&amp;x"
        return Response(oai(RAW.format(comment=""), f"<resumptionToken>{following}</resumptionToken>"))

    httpserver.expect_request("/o/oai").respond_with_handler(answer)

    pages = list(arxiv.fetch_revisions(client, dt.date(2026, 8, 14)))

    assert len(pages) == 3
    assert [dict(request.args) for request, _ in httpserver.log] == [
        {"verb": "ListRecords", "metadataPrefix": "arXivRaw", "set": "cs:cs:CL", "from": "2026-08-14"},
        {"verb": "ListRecords", "resumptionToken": "verb%3DListRecords%26skip%3D1&x"},
        {"verb": "ListRecords", "metadataPrefix": "arXivRaw", "set": "physics:hep-th", "from": "2026-08-14"},
    ]


def test_a_harvest_does_not_run_in_circles(httpserver, client):
    httpserver.expect_request("/o/oai").respond_with_data(oai("<resumptionToken>again</resumptionToken>"))

    with pytest.raises(SourceError, match="leads in circles"):
        list(arxiv.fetch_revisions(client, FRIDAY))


def test_it_is_one_of_the_sources():
    source = SOURCES["arxiv"]

    assert (source.NAME, source.TITLE, source.LAG, source.IS_ANNOUNCED_ONCE) == ("arxiv", "arXiv", 0, True)
    assert source.base_urls() == ("https://export.arxiv.org", "https://rss.arxiv.org", "https://oaipmh.arxiv.org")
