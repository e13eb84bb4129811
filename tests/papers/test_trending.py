"""A trending score is a sum one can explain, and grows with what makes a paper trend."""

import datetime as dt
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.trending import Signals, scores, trending_score
from tests.factories import make_paper

counts = st.integers(0, 10**6)
signals = st.builds(Signals, counts, counts, counts, counts)
ages = st.floats(0, 10_000)
DAY = dt.date(2026, 7, 2)


@given(signals, ages)
def test_the_parts_add_up_to_the_score(found, age):
    score = trending_score(found, age)

    assert score.total == sum(score.parts.values()) >= 0
    assert set(score.parts) == {"upvotes", "growth", "github_stars_growth", "comment_count"}


@given(signals, ages, st.sampled_from(["upvotes", "growth", "github_stars_growth", "comment_count"]))
def test_more_of_anything_is_never_less_trending(found, age, name):
    fields = {key: getattr(found, key) for key in ("upvotes", "growth", "github_stars_growth", "comment_count")}
    more = Signals(**(fields | {name: fields[name] + 100}))

    assert trending_score(more, age).total >= trending_score(found, age).total


@given(signals, ages)
def test_an_older_paper_is_never_more_trending(found, age):
    assert trending_score(found, age + 1).total <= trending_score(found, age).total


def test_nothing_at_all_is_zero():
    assert trending_score(Signals(), 0).total == 0


def test_votes_count_by_their_logarithm_and_comments_hardly():
    assert trending_score(Signals(upvotes=math.e - 1), 0).total == pytest.approx(1.0)
    assert trending_score(Signals(comment_count=50), 0).total < trending_score(Signals(upvotes=1), 0).total


@pytest.mark.parametrize(
    ("found", "age"),
    [
        (Signals(upvotes=-1), 0),
        (Signals(growth=math.nan), 0),
        (Signals(comment_count=math.inf), 0),
        (Signals(), -0.1),
        (Signals(), math.nan),
    ],
)
def test_an_impossible_argument_is_refused(found, age):
    with pytest.raises(ValueError, match="finite"):
        trending_score(found, age)


@pytest.mark.django_db
def test_papers_are_scored_by_their_age_votes_and_growth():
    fresh, old, unvoted = make_paper(), make_paper(), make_paper(upvotes=None, counted_at=None)
    dates = {fresh.pk: DAY - dt.timedelta(days=1), old.pk: DAY - dt.timedelta(days=8)}

    found = scores([fresh, old, unvoted], DAY, dates, {fresh.pk: 3})

    assert found[fresh.pk] == trending_score(Signals(upvotes=10, growth=3), 1)
    assert found[old.pk] == trending_score(Signals(upvotes=10), 8)
    assert found[unvoted.pk].total == 0


@pytest.mark.django_db
def test_a_list_date_ahead_of_the_day_is_no_negative_age():
    paper = make_paper()

    assert scores([paper], DAY, {paper.pk: DAY + dt.timedelta(days=1)}, {})[paper.pk] == trending_score(
        Signals(upvotes=10), 0
    )
