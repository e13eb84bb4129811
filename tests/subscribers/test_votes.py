"""What a reader thinks of a paper is kept once, and can be taken back."""

import pytest

from subscribers.interests import wishes_of
from subscribers.models import Interest, Vote
from subscribers.votes import MOST_HEEDED, opinions, take_back, vote
from tests.factories import make_paper, make_subscriber

pytestmark = pytest.mark.django_db


def test_the_newest_opinion_of_a_paper_counts():
    reader, paper = make_subscriber(), make_paper()

    vote(reader, paper, is_up=False)
    vote(reader, paper, is_up=True)

    assert [(row.subscriber, row.paper, row.is_up) for row in Vote.objects.all()] == [(reader, paper, True)]


def test_a_thumb_down_may_be_about_one_interest_and_a_thumb_up_is_about_the_paper():
    reader, paper = make_subscriber(interests=("robots",)), make_paper()
    interest = Interest.objects.get()

    assert vote(reader, paper, is_up=False, about=interest).interest == interest
    assert vote(reader, paper, is_up=True, about=interest).interest is None


def test_an_opinion_can_be_taken_back_once():
    reader, paper, other = make_subscriber(), make_paper(), make_subscriber()
    vote(reader, paper, is_up=False)
    vote(other, paper, is_up=False)

    assert take_back(reader, paper)
    assert not take_back(reader, paper)
    assert [row.subscriber for row in Vote.objects.all()] == [other]


def test_an_opinion_outlives_the_interest_it_was_about():
    reader, paper = make_subscriber(interests=("robots",)), make_paper()
    vote(reader, paper, is_up=False, about=Interest.objects.get())

    reader.follows.all().delete()
    Interest.objects.all().delete()

    assert Vote.objects.get().interest is None


def test_a_thumb_down_about_an_interest_lets_it_count_less_until_it_is_taken_back():
    reader, other = (make_subscriber(interests=("robots", "agents")) for _ in range(2))
    papers, robots = [make_paper() for _ in range(2)], Interest.objects.get(canonical="robot")
    for paper in papers:
        vote(reader, paper, is_up=False, about=robots)

    weights = {pk: {wish.wording: wish.weight for wish in row} for pk, row in wishes_of([reader.pk, other.pk]).items()}

    assert weights[reader.pk] == {"robots": pytest.approx(0.5625), "agents": 1.0}
    assert weights[other.pk] == {"robots": 1.0, "agents": 1.0}
    for paper in papers:
        take_back(reader, paper)
    assert [wish.weight for wish in wishes_of([reader.pk])[reader.pk]] == [1.0, 1.0]


def test_only_the_newest_thumbs_are_heeded():
    reader = make_subscriber()
    papers = [make_paper() for _ in range(MOST_HEEDED + 1)]
    for paper in papers:
        vote(reader, paper, is_up=True)

    assert opinions([reader.pk])[reader.pk].liked == [paper.pk for paper in reversed(papers[1:])]
