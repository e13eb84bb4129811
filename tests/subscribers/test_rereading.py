"""A new version of the language carries over what every reader follows, from their own words."""

import importlib

import pytest
from django.apps import apps

from papers import query
from subscribers import interests, rereading
from subscribers.models import Follow, Interest
from subscribers.rereading import reread
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db


def follow_as_before(reader, wording, canonical, **flags):
    """A row as version 1 wrote it."""
    interest, _ = Interest.objects.get_or_create(canonical=canonical, version=1)
    return Follow.objects.create(subscriber=reader, interest=interest, wording=wording, **flags)


def rows(reader):
    return list(reader.follows.values_list("wording", "interest__canonical", "interest__version"))


def test_every_follow_is_read_again_and_keeps_its_words_and_flags():
    ada, ben = make_subscriber(), make_subscriber()
    kept = follow_as_before(ada, "Graphs", "graph", is_starred=True, weight=2.5)
    follow_as_before(ben, "graph", "graph", is_muted=True)

    reread(apps)

    assert rows(ada) == [("Graphs", "graph", query.VERSION)]
    assert rows(ben) == [("graph", "graph", query.VERSION)]
    kept.refresh_from_db()
    assert (kept.is_starred, kept.weight) == (True, 2.5)
    assert list(Interest.objects.values_list("version", flat=True)) == [query.VERSION]


def test_interests_that_become_equal_are_merged_and_a_reader_follows_the_result_once(monkeypatch):
    monkeypatch.setattr(rereading, "BATCH", 1)  # the two of one reader are not in one batch
    ada, ben = make_subscriber(), make_subscriber()
    follow_as_before(ada, "Graphs", "graph")
    follow_as_before(ada, "graph", "another spelling", is_starred=True)
    follow_as_before(ben, "graph", "another spelling")

    reread(apps)

    assert rows(ada) == [("graph", "graph", query.VERSION)]
    assert rows(ben) == [("graph", "graph", query.VERSION)]
    assert Interest.objects.count() == 1


def test_a_mute_goes_before_a_star_and_what_is_there_already_counts():
    reader = make_subscriber(interests=("graph",))
    follow_as_before(reader, "graphs!", "graphs", is_muted=True)
    follow_as_before(reader, "Graphs", "another spelling", is_starred=True)

    reread(apps)

    assert list(reader.follows.values_list("wording", "is_muted")) == [("graphs!", True)]


def test_interests_that_nobody_follows_go_and_todays_stay():
    make_subscriber(interests=("robots",))
    Interest.objects.create(canonical="left over", version=1)

    reread(apps)

    assert list(Interest.objects.values_list("canonical", flat=True)) == ["robot"]


def test_a_wording_that_cannot_be_read_is_named_and_nothing_is_dropped():
    row = follow_as_before(make_subscriber(), '"unclosed', '"unclosed')

    with pytest.raises(query.QueryError) as caught:
        reread(apps)

    assert caught.value.__notes__ == [f"This is what follow {row.pk} says: '\"unclosed'"]
    assert Follow.objects.get() == row


@pytest.mark.parametrize(
    ("wording", "canonical"),
    [("robots NOT arms", "robot NOT arm"), ("robots —arms", "robot arm"), ("robots -(arm leg)", "leg robot -arm")],
)
def test_a_wording_that_is_refused_by_now_gives_way_to_what_it_meant(wording, canonical):
    reader = make_subscriber()
    follow_as_before(reader, wording, canonical)

    reread(apps)

    assert rows(reader) == [(canonical.lower(), canonical.lower(), query.VERSION)]
    assert interests.wishes(reader)


def test_what_a_reader_changes_after_it_meets_what_was_carried_over():
    reader = make_subscriber()
    follow_as_before(reader, "graphs", "graph")
    reread(apps)

    interests.follow(reader, "Graph", is_starred=True)

    assert list(reader.follows.values_list("wording", "is_starred")) == [("Graph", True)]


def test_the_migration_runs_it():
    migration = importlib.import_module("subscribers.migrations.0002_reread_interests").Migration

    assert [operation.code for operation in migration.operations] == [reread]
