"""Growth is what our own snapshots saw, never a guess."""

import datetime as dt

import pytest

from papers.growth import growth, votes_by_field
from papers.models import Paper, Snapshot
from papers.trending import Growth
from tests.factories import make_paper

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 2, 4, tzinfo=dt.UTC)


def saw(paper: Paper, hours_ago: float, upvotes: int, source: str = "huggingface", stars: int | None = None) -> None:
    at = NOW - dt.timedelta(hours=hours_ago)
    Snapshot.objects.create(paper=paper, source=source, taken_at=at, upvotes=upvotes, github_stars=stars)


def test_growth_is_the_last_snapshot_less_the_first_of_the_last_day():
    paper = make_paper()
    for hours_ago, upvotes in [(30, 1), (20, 5), (10, 9), (1, 12), (-1, 99)]:
        saw(paper, hours_ago, upvotes)

    assert growth([paper.pk], None, NOW) == {paper.pk: Growth(7)}


def test_growth_since_a_moment_looks_further_back():
    paper = make_paper()
    for hours_ago, upvotes in [(60, 1), (50, 3), (1, 12)]:
        saw(paper, hours_ago, upvotes)

    assert growth([paper.pk], NOW - dt.timedelta(hours=55), NOW) == {paper.pk: Growth(9)}


def test_votes_taken_back_are_no_growth_and_one_snapshot_shows_none():
    shrunk, once, never = make_paper(), make_paper(), make_paper()
    saw(shrunk, 5, 9)
    saw(shrunk, 1, 4)
    saw(once, 1, 50)

    assert growth([shrunk.pk, once.pk, never.pk], None, NOW) == {shrunk.pk: Growth(), once.pk: Growth()}


def test_each_source_counts_for_itself():
    paper = make_paper()
    saw(paper, 5, 10)
    saw(paper, 4, 1, "other")
    saw(paper, 3, 12)
    saw(paper, 2, 4, "other")

    assert growth([paper.pk], None, NOW) == {paper.pk: Growth(5)}


def test_only_the_papers_asked_for_are_counted_in_one_query(django_assert_num_queries):
    papers = [make_paper() for _ in range(3)]
    for paper in papers:
        saw(paper, 2, 1)

    with django_assert_num_queries(1):
        assert set(growth([paper.pk for paper in papers[:2]], None, NOW)) == {papers[0].pk, papers[1].pk}


def test_stars_count_by_what_was_gained_and_only_where_they_were_told():
    old, unknown, told_once = make_paper(), make_paper(), make_paper()
    for hours_ago, stars in [(9, None), (8, 40_000), (5, 40_012), (1, None)]:
        saw(old, hours_ago, 1, stars=stars)
    saw(unknown, 5, 1)
    saw(told_once, 5, 1)
    saw(told_once, 1, 1, stars=900)

    found = growth([old.pk, unknown.pk, told_once.pk], None, NOW)

    assert found == {old.pk: Growth(0, 12), unknown.pk: Growth(), told_once.pk: Growth()}


def test_votes_are_compared_with_those_of_ninety_days_by_primary_category(django_assert_num_queries):
    today = NOW.date()
    for upvotes, categories in [(9, ["cs.CV", "cs.CL"]), (4, ["cs.CL"]), (2, ["cs.CL"]), (4, ["cs.CL"]), (7, [])]:
        make_paper(list_date=today, upvotes=upvotes, categories=categories)
    make_paper(list_date=today, upvotes=None, counted_at=None)
    make_paper(list_date=today - dt.timedelta(days=90), upvotes=80)
    make_paper(list_date=today + dt.timedelta(days=1), upvotes=81)

    with django_assert_num_queries(1):
        votes = votes_by_field(today)

    assert votes.of_all == [2, 4, 4, 7, 9]
    assert votes.by_field == {"cs.CL": [2, 4, 4], "cs.CV": [9]}


def test_a_paper_on_two_lists_is_compared_with_once():
    paper = make_paper(list_date=NOW.date())
    paper.listings.create(source="other", list_date=NOW.date(), stored_at=NOW)

    assert votes_by_field(NOW.date()).of_all == [10]
