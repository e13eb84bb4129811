"""Interests are shared by all who follow them, keep each reader's own words, and end with their last follower."""

import pytest
from django.core.exceptions import ValidationError
from django.db import connection
from django.test.utils import CaptureQueriesContext

from papers.query import QueryError
from subscribers import interests
from subscribers.interests import follow, replace_follows
from subscribers.models import Follow, Interest
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db


def wordings(subscriber):
    return list(subscriber.follows.values_list("wording", flat=True))


def test_two_readers_share_one_interest_in_their_own_words():
    ada, ben = make_subscriber(), make_subscriber()

    follow(ada, "Diffusion  Models")
    follow(ben, "diffusion models")

    assert Interest.objects.count() == 1
    assert (wordings(ada), wordings(ben)) == (["Diffusion  Models"], ["diffusion models"])


def test_following_the_same_query_again_replaces_the_words():
    reader = make_subscriber(interests=("diffusion models",))

    follow(reader, "Diffusion models", is_starred=True)

    assert list(reader.follows.values_list("wording", "is_starred")) == [("Diffusion models", True)]


def test_an_interest_that_cannot_be_read_is_refused_and_nothing_changes():
    reader = make_subscriber(interests=("robots",))

    with pytest.raises(QueryError):
        replace_follows(reader, ["graphs", '"unclosed'], [], set())

    assert wordings(reader) == ["robots"]


def test_the_51st_follow_is_refused():
    reader = make_subscriber()
    replace_follows(reader, [f"topic {n}" for n in range(30)], [f"mute {n}" for n in range(20)], set())

    with pytest.raises(ValidationError, match="50"):
        follow(reader, "one more")

    assert reader.follows.count() == 50


def test_the_50th_may_be_said_in_other_words():
    reader = make_subscriber()
    replace_follows(reader, [f"topic {n}" for n in range(50)], [], set())

    follow(reader, "Topic 7", is_starred=True)

    assert reader.follows.count() == 50


def test_replacing_with_51_is_refused_and_nothing_changes():
    reader = make_subscriber(interests=("robots",))

    with pytest.raises(ValidationError, match="50"):
        replace_follows(reader, [f"topic {n}" for n in range(51)], [], set())

    assert wordings(reader) == ["robots"]


def test_replacing_keeps_the_order_the_stars_and_what_was_learnt():
    reader = make_subscriber(interests=("robots", "graphs"))
    reader.follows.filter(wording="graphs").update(weight=2.5)

    replace_follows(reader, ["agents", "Graphs"], ["surveys"], {"agents"})

    rows = reader.follows.values_list("wording", "weight", "is_starred", "is_muted")
    assert list(rows) == [("agents", 1.0, True, False), ("Graphs", 2.5, False, False), ("surveys", 1.0, False, True)]


def test_a_star_on_either_wording_of_a_query_is_a_star():
    reader = make_subscriber()

    replace_follows(reader, ["robots", "Robot"], [], {"Robot"})

    assert list(reader.follows.values_list("wording", "is_starred")) == [("robots", True)]


def test_a_mute_goes_before_an_interest_of_the_same_query():
    reader = make_subscriber()

    replace_follows(reader, ["surveys"], ["Surveys"], {"surveys"})

    assert list(reader.follows.values_list("wording", "is_muted", "is_starred")) == [("Surveys", True, False)]


def test_an_interest_ends_with_its_last_follower_and_not_before():
    ada, ben = make_subscriber(interests=("robots",)), make_subscriber(interests=("robots",))

    assert interests.delete_orphans(replace_follows(ada, [], [], set())) == 0
    assert Interest.objects.count() == 1

    assert interests.delete_orphans(replace_follows(ben, [], [], set())) == 1
    assert Interest.objects.count() == 0


def test_orphans_of_readers_who_were_deleted_are_found():
    make_subscriber(interests=("robots",)).delete()
    make_subscriber(interests=("graphs",))

    assert interests.delete_orphans() == 1
    assert Interest.objects.count() == 1


def test_the_number_of_queries_does_not_grow_with_the_interests(django_assert_num_queries):
    few, many = make_subscriber(), make_subscriber()

    with CaptureQueriesContext(connection) as captured:
        replace_follows(few, ["one"], [], set())
    with django_assert_num_queries(len(captured)):
        replace_follows(many, [f"topic {n}" for n in range(50)], [], set())


def test_wishes_are_the_follows_as_the_selection_takes_them():
    reader = make_subscriber(interests=("robots",), mutes=("surveys",))
    Follow.objects.filter(wording="robots").update(is_starred=True, weight=2.0)

    robots, surveys = interests.wishes(reader)

    assert (robots.wording, robots.weight, robots.is_starred, robots.is_muted) == ("robots", 2.0, True, False)
    assert (surveys.wording, surveys.is_muted) == ("surveys", True)
    assert (robots.canonical, surveys.canonical) == ("robot", "survey")
