"""Growth is what our own snapshots saw, never a guess."""

import datetime as dt

import pytest

from papers.growth import growth
from papers.models import Paper, Snapshot
from tests.factories import make_paper

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 2, 4, tzinfo=dt.UTC)


def saw(paper: Paper, hours_ago: float, upvotes: int, source: str = "huggingface") -> None:
    at = NOW - dt.timedelta(hours=hours_ago)
    Snapshot.objects.create(paper=paper, source=source, taken_at=at, upvotes=upvotes)


def test_growth_is_the_last_snapshot_less_the_first_of_the_last_day():
    paper = make_paper()
    for hours_ago, upvotes in [(30, 1), (20, 5), (10, 9), (1, 12), (-1, 99)]:
        saw(paper, hours_ago, upvotes)

    assert growth([paper.pk], None, NOW) == {paper.pk: 7}


def test_growth_since_a_moment_looks_further_back():
    paper = make_paper()
    for hours_ago, upvotes in [(60, 1), (50, 3), (1, 12)]:
        saw(paper, hours_ago, upvotes)

    assert growth([paper.pk], NOW - dt.timedelta(hours=55), NOW) == {paper.pk: 9}


def test_votes_taken_back_are_no_growth_and_one_snapshot_shows_none():
    shrunk, once, never = make_paper(), make_paper(), make_paper()
    saw(shrunk, 5, 9)
    saw(shrunk, 1, 4)
    saw(once, 1, 50)

    assert growth([shrunk.pk, once.pk, never.pk], None, NOW) == {shrunk.pk: 0, once.pk: 0}


def test_each_source_counts_for_itself():
    paper = make_paper()
    saw(paper, 5, 10)
    saw(paper, 4, 1, "other")
    saw(paper, 3, 12)
    saw(paper, 2, 4, "other")

    assert growth([paper.pk], None, NOW) == {paper.pk: 5}


def test_only_the_papers_asked_for_are_counted_in_one_query(django_assert_num_queries):
    papers = [make_paper() for _ in range(3)]
    for paper in papers:
        saw(paper, 2, 1)

    with django_assert_num_queries(1):
        assert set(growth([paper.pk for paper in papers[:2]], None, NOW)) == {papers[0].pk, papers[1].pk}
