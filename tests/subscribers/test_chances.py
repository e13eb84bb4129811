"""A second chance takes the last places of For you, two at most, and no starred match's."""

import pytest

from subscribers.chances import with_chances
from subscribers.selection import Pick, Preferences, Reader, Selection, Then, Why, Wish

THEN = Then(6, 3)


def picks(*trending: float, section="for_you", first=1, interest="robots"):
    why = (Why(interest, "title", "…"),)
    return tuple(Pick(first + n, section, 1.0, value, why) for n, value in enumerate(trending))


def chances(*trending: float):
    return [pick._replace(then=THEN) for pick in picks(*trending, first=100)]


def merged(for_you, rest=(), again=(), *, starred=False, **preferences):
    reader = Reader([Wish("robots", "robots", is_starred=starred)], Preferences(**preferences))
    selection = Selection((*for_you, *rest), considered=9, matched=9, muted=0)
    found = with_chances(selection, list(again), reader)
    assert found.considered == 9
    return [(pick.paper_id, pick.section) for pick in found.picks]


def ids(found):
    return [paper for paper, _ in found]


def test_a_free_place_is_taken_first():
    rest = picks(1, 1, 1, section="trending", first=50)

    found = merged(picks(5, 4), rest, chances(9), paper_count=6)

    assert found == [(1, "for_you"), (2, "for_you"), (100, "for_you"), *((50 + n, "trending") for n in range(3))]


def test_the_mail_stays_as_long_as_it_was():
    rest = picks(1, 1, 1, section="trending", first=50)

    assert ids(merged(picks(5, 4), rest, chances(9), paper_count=5)) == [1, 2, 100, 50, 51]


def test_a_full_section_gives_its_last_places_to_what_is_talked_about_more():
    full = picks(5, 4, 3, 2, 1)

    assert ids(merged(full, (), chances(9, 8), paper_count=5, wants_trending=False)) == [1, 2, 3, 100, 101]
    assert ids(merged(full, (), chances(1.5, 0.5), paper_count=5, wants_trending=False)) == [1, 2, 3, 4, 100]
    assert ids(merged(full, (), chances(0.5), paper_count=5, wants_trending=False)) == [1, 2, 3, 4, 5]


def test_a_starred_match_keeps_its_place():
    assert ids(merged(picks(3, 2, 1), (), chances(9), starred=True, paper_count=3, wants_trending=False)) == [1, 2, 3]


@pytest.mark.parametrize("count", [1, 2])
def test_a_tiny_mail_has_none(count):
    assert ids(merged(picks(*[1.0] * count), (), chances(9), paper_count=count)) == list(range(1, count + 1))


def test_there_are_two_at_most():
    assert ids(merged((), (), chances(9, 8, 7), paper_count=10)) == [100, 101]


def test_trending_papers_that_stood_in_for_matches_go_where_they_are_not_wanted():
    rest = picks(1, 1, section="trending", first=50)

    assert ids(merged((), rest, chances(9), paper_count=5, wants_trending=False)) == [100]
    assert ids(merged((), rest, chances(9), paper_count=5)) == [100, 50, 51]


def test_without_any_nothing_changes():
    assert ids(merged(picks(2, 1), (), (), paper_count=5)) == [1, 2]
