"""A trending score is a sum one can explain, and grows with what makes a paper trend."""

import datetime as dt
import math
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.trending import (
    ENOUGH,
    Growth,
    Signals,
    Votes,
    quantile,
    scores,
    shrunk_quantile,
    signs,
    trending_score,
)
from tests.factories import make_paper

counts = st.integers(0, 10**6)
shares = st.floats(0, 1)
signals = st.builds(Signals, counts, counts, shares, counts, counts, st.integers(0, 3))
ages = st.floats(0, 10_000)
ordered = st.lists(counts, max_size=60).map(sorted)
NAMES = [field.name for field in fields(Signals)]
DAY = dt.date(2026, 7, 2)


@given(signals, ages)
def test_the_parts_add_up_to_the_score(found, age):
    score = trending_score(found, age)

    assert score.total == sum(score.parts.values()) >= 0
    assert set(score.parts) == set(NAMES)
    assert min(score.parts.values()) >= 0


@given(signals, ages, st.sampled_from(NAMES), st.floats(0, 1000))
def test_more_of_anything_is_never_less_trending(found, age, name, more):
    grown = replace(found, **{name: getattr(found, name) + more})

    assert trending_score(grown, age).total >= trending_score(found, age).total


@given(signals, ages, st.floats(0, 100))
def test_an_older_paper_is_never_more_trending(found, age, later):
    assert trending_score(found, age + later).total <= trending_score(found, age).total


@given(ages, st.integers(1, 10**6), st.integers(0, 3), shares)
def test_one_upvote_is_more_than_all_that_is_known_of_a_paper_without_any(age, upvotes, known, standing):
    unvoted = trending_score(Signals(signs=known), age)
    voted = trending_score(Signals(upvotes=upvotes, standing=standing), age)

    assert unvoted.total < voted.total


def test_the_papers_of_the_day_that_nobody_can_vote_for_do_not_drown_the_voted_ones_of_friday():
    best_of_arxiv, of_friday = trending_score(Signals(signs=3), 0), trending_score(Signals(upvotes=1), 3)

    assert best_of_arxiv.total < of_friday.total


def test_nothing_at_all_is_zero():
    assert trending_score(Signals(), 0).total == 0


def test_votes_count_by_their_logarithm_and_comments_hardly():
    assert trending_score(Signals(upvotes=math.e - 1), 0).total == pytest.approx(1.0)
    assert trending_score(Signals(comment_count=50), 0).total < trending_score(Signals(upvotes=1), 0).total


@pytest.mark.parametrize("wrong", [-1, -0.1, math.nan, math.inf])
@pytest.mark.parametrize("name", NAMES)
def test_an_impossible_signal_is_refused(name, wrong):
    with pytest.raises(ValueError, match="finite"):
        trending_score(Signals(**{name: wrong}), 0)


@pytest.mark.parametrize("age", [-0.1, math.nan, math.inf])
def test_an_impossible_age_is_refused(age):
    with pytest.raises(ValueError, match="finite"):
        trending_score(Signals(), age)


# Comparable across fields -----------------------------------------------------------------------


def test_a_quantile_is_the_share_of_papers_with_fewer_votes():
    assert [quantile(votes, [1, 1, 5, 9]) for votes in (0, 1, 2, 9, 10)] == [0, 0, 0.5, 0.75, 1]
    assert quantile(3, []) == 0


@given(counts, counts, ordered, ordered)
def test_more_votes_never_stand_lower_and_none_stand_lowest(votes, more, of_field, of_all):
    low, high = (shrunk_quantile(n, of_field, of_all) for n in (votes, votes + more))

    assert 0 <= low <= high <= 1
    assert shrunk_quantile(0, of_field, of_all) == 0


@pytest.mark.parametrize(("papers", "expected"), [(0, 0.0), (ENOUGH // 3, 1 / 3), (ENOUGH, 1.0), (2 * ENOUGH, 1.0)])
def test_a_field_speaks_for_itself_as_far_as_it_has_papers(papers, expected):
    assert shrunk_quantile(5, [1] * papers, [100]) == pytest.approx(expected)


def test_the_best_of_a_quiet_field_stands_above_the_middle_of_a_loud_one():
    quiet, loud = list(range(40)), list(range(0, 400, 10))
    votes = Votes(sorted(quiet + loud), {"math.LO": quiet, "cs.CL": loud})

    assert votes.standing(39, ["math.LO", "cs.CL"]) > votes.standing(150, ["cs.CL"])
    assert votes.standing(39, []) == votes.standing(39, ["q-bio.NC"]) == quantile(39, votes.of_all)


# Papers -----------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_papers_are_scored_by_their_age_and_all_that_is_known_of_them():
    fresh, old, unvoted = make_paper(), make_paper(), make_paper(upvotes=None, counted_at=None)
    dates = {fresh.pk: DAY - dt.timedelta(days=1), old.pk: DAY - dt.timedelta(days=8)}

    found = scores([fresh, old, unvoted], DAY, dates, {fresh.pk: Growth(3, 7)}, Votes([1, 10]))

    expected = Signals(upvotes=10, growth=3, github_stars_growth=7, standing=0.5)
    assert found[fresh.pk] == trending_score(expected, 1)
    assert found[old.pk] == trending_score(Signals(upvotes=10, standing=0.5), 8)
    assert found[unvoted.pk].total == 0


@pytest.mark.django_db
def test_papers_without_votes_are_ordered_by_what_is_known_of_them():
    nothing = make_paper(upvotes=None, counted_at=None)
    crossed = make_paper(upvotes=None, counted_at=None, categories=["cs.CL", "cs.LG"])
    known = make_paper(
        upvotes=None,
        counted_at=None,
        categories=["cs.CL", "cs.LG"],
        code_url="https://example.org/code",
        project_url="https://example.org",
    )

    found = scores([nothing, crossed, known], DAY, {}, {}, Votes())

    assert [signs(paper) for paper in (nothing, crossed, known)] == [0, 1, 3]
    assert found[nothing.pk].total < found[crossed.pk].total < found[known.pk].total


@pytest.mark.django_db
def test_a_list_date_ahead_of_the_day_is_no_negative_age():
    paper = make_paper()

    ahead = scores([paper], DAY, {paper.pk: DAY + dt.timedelta(days=1)}, {}, Votes())

    assert ahead[paper.pk] == trending_score(Signals(upvotes=10), 0)
