"""What a reader thinks of a paper is kept once, and can be taken back."""

import pytest

from subscribers.models import Interest, Vote
from subscribers.votes import take_back, vote
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
