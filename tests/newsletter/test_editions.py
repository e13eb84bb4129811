"""Which papers an edition holds, and as what."""

import datetime as dt

import pytest

from newsletter.editions import EditionError, close
from newsletter.models import Edition, EditionPaper
from papers.models import IngestRun, Listing, Snapshot
from tests.factories import make_edition, make_paper

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)
DAY = dt.timedelta(days=1)
NOW = dt.datetime(2026, 7, 8, 4, 31, tzinfo=dt.UTC)


def listed(date: dt.date, **fields):
    """A paper on the list of ``date``, stored before the closing."""
    paper = make_paper(list_date=date, **fields)
    Listing.objects.filter(paper=paper).update(stored_at=NOW - dt.timedelta(hours=1))
    return paper


def roles(edition: Edition) -> dict[int, str]:
    return dict(edition.papers.values_list("paper_id", "role"))


def an_edition_before(days: int = 1, **fields) -> Edition:
    """An edition that held new papers, so that the next one is not the instance's first."""
    return make_edition(D - days * DAY, **{"new_count": 1} | fields)


def test_yesterdays_list_is_new_and_todays_is_not_yet():
    an_edition_before()
    paper = listed(D - DAY)
    listed(D)

    edition = close(D, NOW)

    assert roles(edition) == {paper.pk: "new"}
    assert (edition.state, edition.closed_at, edition.new_count) == ("closed", NOW, 1)
    assert edition.scheduled_at == dt.datetime(2026, 7, 8, 4, 30, tzinfo=dt.UTC)


def test_a_late_list_comes_with_the_next_edition_and_a_backfill_never():
    an_edition_before()
    late = listed(D - 3 * DAY)
    listed(D - 4 * DAY)

    assert roles(close(D, NOW)) == {late.pk: "new"}


def test_what_is_stored_after_the_closing_waits_for_the_next_edition():
    an_edition_before()
    paper = make_paper(list_date=D - DAY)
    Listing.objects.update(stored_at=NOW + dt.timedelta(minutes=1))

    assert roles(close(D, NOW)) == {}
    assert roles(close(D + DAY, NOW + DAY)) == {paper.pk: "new"}


def test_a_paper_is_new_once_by_each_source():
    paper = listed(D - 2 * DAY)
    an_edition_before(papers=(paper,))
    Listing.objects.create(paper=paper, source="huggingface", list_date=D - DAY, stored_at=NOW)

    assert roles(close(D, NOW)) == {paper.pk: "earlier"}

    Listing.objects.create(paper=paper, source="other", list_date=D, stored_at=NOW)
    again = close(D + DAY, NOW + DAY).papers.get()
    assert (again.role, again.new_by, again.new_on) == ("new", ["other"], D + DAY)


def test_a_source_without_delay_brings_todays_papers(monkeypatch):
    from newsletter import coverage  # noqa: PLC0415

    an_edition_before()
    paper = make_paper()
    Listing.objects.create(paper=paper, source="other", list_date=D, stored_at=NOW)
    monkeypatch.setattr(coverage, "LAG", 0)

    assert roles(close(D, NOW)) == {paper.pk: "new"}


def test_the_first_edition_takes_the_two_newest_lists_that_hold_papers():
    kept = [listed(D - 6 * DAY), listed(D - 5 * DAY), listed(D - 5 * DAY)]
    listed(D - 7 * DAY)
    listed(D)

    assert roles(close(D, NOW)) == {paper.pk: "new" for paper in kept}


def test_the_first_edition_looks_seven_days_back():
    kept = listed(D - 8 * DAY)
    listed(D - 9 * DAY)

    assert roles(close(D, NOW)) == {kept.pk: "new"}


def test_an_edition_that_found_nothing_does_not_use_up_the_look_back_of_the_first():
    make_edition(D - DAY, new_count=0)
    kept = listed(D - 6 * DAY)

    assert roles(close(D, NOW)) == {kept.pk: "new"}


def test_papers_of_the_seven_editions_before_are_earlier():
    old, edge = make_paper(), make_paper()
    make_edition(D - 8 * DAY, papers=(old,))
    make_edition(D - 7 * DAY, papers=(edge,))
    for days in range(1, 7):
        an_edition_before(days)

    edition = close(D, NOW)

    assert roles(edition) == {edge.pk: "earlier"}
    assert edition.papers.get().new_on == D - 7 * DAY
    assert edition.new_count == 0


@pytest.mark.parametrize(
    ("then", "later", "takes_off"),
    [(10, 30, True), (10, 29, False), (30, 60, True), (30, 59, False), (0, 20, True), (None, 20, True)],
)
def test_a_paper_takes_off_when_its_votes_doubled_and_grew_by_twenty(then, later, takes_off):
    paper = make_paper(upvotes=later)
    an_edition_before(papers=(paper,))
    EditionPaper.objects.update(upvotes=then)

    assert close(D, NOW).papers.get().takes_off is takes_off


def test_an_older_paper_is_taken_in_when_it_takes_off():
    climber, flat, forgotten = (make_paper(upvotes=votes) for votes in (90, 12, 90))
    make_edition(D - 31 * DAY, papers=(forgotten,))
    make_edition(D - 20 * DAY, papers=(climber, flat))
    EditionPaper.objects.update(upvotes=10)
    for days in range(1, 8):
        an_edition_before(days)

    assert roles(close(D, NOW)) == {climber.pk: "older"}


def test_rows_are_ranked_by_their_score_at_the_closing():
    an_edition_before()
    papers = [listed(D - DAY, upvotes=votes) for votes in (5, 50, 20)]
    Snapshot.objects.create(paper=papers[0], source="huggingface", taken_at=NOW - dt.timedelta(hours=9), upvotes=1)
    Snapshot.objects.create(paper=papers[0], source="huggingface", taken_at=NOW - dt.timedelta(hours=1), upvotes=5)

    rows = list(close(D, NOW).papers.order_by("rank"))

    assert [row.paper_id for row in rows] == [papers[1].pk, papers[2].pk, papers[0].pk]
    assert [row.rank for row in rows] == [1, 2, 3]
    assert rows[0].score == pytest.approx(sum(rows[0].parts.values()))
    assert [row.gained for row in rows] == [0, 0, 4]
    assert rows[2].parts["growth"] > 0
    assert rows[0].upvotes == 50


def test_a_paper_stands_higher_in_a_field_that_gets_few_votes():
    an_edition_before()
    for votes in range(40):
        listed(D - 40 * DAY, upvotes=votes, categories=["math.LO"])
        listed(D - 40 * DAY, upvotes=10 * votes, categories=["cs.CL"])
    quiet = listed(D - DAY, upvotes=30, categories=["math.LO"])
    loud = listed(D - DAY, upvotes=30, categories=["cs.CL"])

    rows = {row.paper_id: row for row in close(D, NOW).papers.all()}

    assert rows[quiet.pk].parts["upvotes"] == rows[loud.pk].parts["upvotes"]
    assert rows[quiet.pk].parts["standing"] > 2 * rows[loud.pk].parts["standing"] > 0
    assert rows[quiet.pk].rank < rows[loud.pk].rank


def test_papers_that_only_arxiv_lists_are_ranked_below_those_with_a_vote():
    an_edition_before()
    known = {
        "categories": ["cs.CL", "cs.LG"],
        "code_url": "https://example.org/c",
        "project_url": "https://example.org",
    }
    bare = listed(D, source="arxiv", upvotes=None, counted_at=None)
    best = listed(D, source="arxiv", upvotes=None, counted_at=None, **known)
    voted = listed(D - 3 * DAY, upvotes=1)

    assert list(close(D, NOW).papers.order_by("rank").values_list("paper", flat=True)) == [voted.pk, best.pk, bare.pk]


def test_closing_twice_returns_the_same_edition_and_adds_nothing():
    an_edition_before()
    listed(D - DAY)
    first = close(D, NOW)
    listed(D - DAY)

    second = close(D, NOW + dt.timedelta(minutes=5))

    assert second.pk == first.pk
    assert second.closed_at == NOW
    assert EditionPaper.objects.count() == 1


def test_a_future_edition_cannot_be_closed():
    with pytest.raises(EditionError, match="close today's, 2026-07-08"):
        close(D + DAY, NOW)
    assert not Edition.objects.exists()


def test_todays_edition_can_be_closed_by_hand_before_its_time():
    early = dt.datetime(2026, 7, 8, 0, 5, tzinfo=dt.UTC)

    assert close(D, early).closed_at == early


def test_an_edition_older_than_the_newest_cannot_be_closed():
    make_edition(D)

    with pytest.raises(EditionError, match=r"that of 2026-07-08 is"):
        close(D - DAY, NOW)
    assert Edition.objects.count() == 1


def test_the_number_of_queries_does_not_grow_with_the_papers(django_assert_max_num_queries):
    an_edition_before()
    for number in range(30):
        listed(D - DAY, upvotes=number, categories=[f"cs.{number}"])

    with django_assert_max_num_queries(22):
        close(D, NOW)


# What was checked -------------------------------------------------------------------------------


def ran(list_date: dt.date, status: str, hours_before: float = 1, **fields: str) -> None:
    at = NOW - dt.timedelta(hours=hours_before)
    values = {"source": "huggingface", "list_date": list_date, "status": status, "started_at": at, "finished_at": at}
    IngestRun.objects.create(**values | {"error": "x"} | fields)


def checked() -> tuple[str, list[str], int, str]:
    [note] = close(D, NOW).coverage
    return note["status"], note["list_dates"], note["new"], note["fetched_at"]


def test_the_note_says_when_the_list_was_read():
    an_edition_before()
    listed(D - DAY)
    ran(D - DAY, "ok", 4)
    ran(D - DAY, "ok", 2)

    assert checked() == ("ok", ["2026-07-07"], 1, "2026-07-08T02:31:00+00:00")


def test_an_empty_list_is_no_failure():
    an_edition_before()
    ran(D - DAY, "empty")

    assert checked()[:3] == ("empty", ["2026-07-07"], 0)


def test_a_list_that_could_not_be_read_is_a_failure_until_it_is_read():
    an_edition_before()
    ran(D - 2 * DAY, "failed", 20)
    ran(D - DAY, "empty")

    assert checked()[:3] == ("failed", ["2026-07-06"], 0)


def test_a_failure_after_the_list_was_read_is_none():
    an_edition_before()
    listed(D - DAY)
    ran(D - DAY, "ok", 4)
    ran(D - DAY, "failed", 2)

    assert checked()[0] == "ok"


def test_a_list_that_nobody_asked_for_is_missing():
    an_edition_before()

    assert checked() == ("missing", ["2026-07-07"], 0, "")


def test_only_sources_that_are_polled_are_noted(settings):
    an_edition_before()
    settings.SOURCES = ["huggingface", "arxiv"]

    assert [note["source"] for note in close(D, NOW).coverage] == ["arxiv", "huggingface"]


def test_news_of_known_papers_says_nothing_of_a_list():
    an_edition_before()
    ran(D - DAY, "ok", kind="revisions")

    assert checked()[0] == "missing"


def test_arxivs_list_of_the_day_is_new_on_that_day_and_one_that_was_put_off_says_why(settings):
    an_edition_before()
    settings.SOURCES = ["arxiv"]
    paper = listed(D, source="arxiv")
    listed(D - 4 * DAY, source="arxiv")
    assert roles(close(D, NOW)) == {paper.pk: "new"}

    ran(D + DAY, "empty", -23, source="arxiv", note="Thanksgiving")
    [note] = close(D + DAY, NOW + DAY).coverage

    assert (note["status"], note["reason"]) == ("empty", "Thanksgiving")
