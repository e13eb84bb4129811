"""A reader's papers: answers first, each list scaled for the reader, mutes and repetitions out, places kept."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papers.index import Document, PaperIndex
from papers.query import parse
from papers.ranking import answers, hides
from subscribers.selection import Preferences, Wish, select

WORDS = ["robot", "graph", "agent", "survey"]


def wish(wording, **fields):
    return Wish(wording=wording, query=parse(wording), **fields)


def index_of(*titles):
    """Papers 1, 2, 3… with these titles."""
    return PaperIndex(Document(id=n, title=title) for n, title in enumerate(titles, start=1))


def chosen(selection, section=None):
    return [pick.paper_id for pick in selection.picks if section in {None, pick.section}]


def test_answers_stand_in_for_you_and_the_rest_in_trending():
    index = index_of("Robots that walk", "A survey of graphs", "Robots that talk")

    selection = select(index, {1: 1, 2: 9, 3: 2}, [wish("robots")], Preferences())

    assert chosen(selection, "for_you") == [3, 1]
    assert chosen(selection, "trending") == [2]
    assert (selection.considered, selection.matched, selection.muted) == (3, 2, 0)


def test_interests_are_summed_up_not_maximised():
    index = index_of("Robots and graphs", "Robots and agents", "Robots and others")
    wishes = [wish("robots"), wish("graphs")]

    assert chosen(select(index, {}, wishes, Preferences(trending_weight=0)), "for_you")[0] == 1


def test_an_interest_weighs_what_the_reader_made_it_weigh():
    index = index_of("Robots", "Graphs")

    for heavy, first in (("robots", 1), ("graphs", 2)):
        wishes = [wish(word, weight=5.0 if word == heavy else 1.0) for word in ("robots", "graphs")]
        assert chosen(select(index, {}, wishes, Preferences(trending_weight=0)), "for_you")[0] == first


def test_the_slider_at_one_end_lets_trending_only_break_ties():
    index = index_of("Robots", "Robots", "Robots robots robots graphs graphs graphs")
    trending = {1: 1, 2: 2, 3: 0}
    by_interest = answers(index, parse("robots"))
    assert by_interest[1] == by_interest[2] != by_interest[3]

    picks = chosen(select(index, trending, [wish("robots")], Preferences(trending_weight=0)), "for_you")

    assert picks == sorted([1, 2, 3], key=lambda paper: (-by_interest[paper], -trending[paper]))


def test_the_slider_at_the_other_end_lets_trending_alone_order_the_answers():
    index = index_of("Robots", "Robots and graphs and a long tail of words", "Graphs")

    selection = select(index, {1: 1, 2: 2, 3: 99}, [wish("robots")], Preferences(trending_weight=100))

    assert chosen(selection, "for_you") == [2, 1]


def test_starred_matches_come_first_and_fill_for_you():
    index = index_of(*["Robots"] * 8, *["Graphs"] * 3)
    trending = {n: 100 - n for n in range(1, 12)}
    wishes = [wish("robots", weight=9.0), wish("graphs", is_starred=True)]

    assert chosen(select(index, trending, wishes, Preferences()), "for_you")[:4] == [9, 10, 11, 1]


def test_a_mute_hides_a_starred_match_in_every_section():
    index = index_of("Robots in surgery", "Robots at home", "Graphs in surgery")
    wishes = [wish("robots", is_starred=True), wish("surgery", is_muted=True)]

    selection = select(index, {1: 9, 2: 1, 3: 9}, wishes, Preferences())

    assert chosen(selection) == [2]
    assert (selection.matched, selection.muted) == (1, 2)


def test_what_was_sent_before_does_not_come_again_in_any_section():
    index = index_of("Robots", "Robots", "Graphs")

    selection = select(index, {1: 9, 3: 9}, [wish("robots")], Preferences(), sent_before=[1, 3])

    assert chosen(selection) == [2]
    assert (selection.matched, selection.sent_before) == (2, 1)


@pytest.mark.parametrize(
    ("places", "for_you", "trending"),
    [(1, 1, 0), (2, 2, 0), (3, 2, 1), (6, 5, 1), (7, 4, 3), (10, 7, 3), (25, 22, 3)],
)
def test_trending_keeps_its_places_however_many_papers_answer(places, for_you, trending):
    index = index_of(*["Robots"] * 30)

    selection = select(index, {}, [wish("robots")], Preferences(paper_count=places))

    assert len(chosen(selection, "for_you")) == for_you
    assert len(chosen(selection, "trending")) == trending


def test_trending_takes_what_for_you_leaves():
    index = index_of("Robots", *["Graphs"] * 30)

    selection = select(index, {}, [wish("robots")], Preferences(paper_count=10))

    assert len(chosen(selection, "trending")) == 9


def test_who_turned_trending_off_gets_all_places_for_their_answers():
    index = index_of(*["Robots"] * 30, "Graphs")

    selection = select(index, {31: 99}, [wish("robots")], Preferences(paper_count=10, wants_trending=False))

    assert len(chosen(selection, "for_you")) == 10
    assert chosen(selection, "trending") == []


@pytest.mark.parametrize("wants_trending", [True, False])
@pytest.mark.parametrize(("wants_it", "expected"), [(True, [2, 1]), (False, [])])
def test_when_nothing_answers_the_reader_gets_trending_or_nothing(wants_it, expected, wants_trending):
    preferences = Preferences(wants_trending=wants_trending, wants_trending_if_no_match=wants_it)

    selection = select(index_of("Robots", "Graphs"), {1: 1, 2: 2}, [wish("cooking")], preferences)

    assert chosen(selection, "trending") == expected == chosen(selection)


def test_answers_that_were_all_sent_before_count_as_no_answer():
    index = index_of("Robots", "Graphs")

    selection = select(index, {}, [wish("robots")], Preferences(wants_trending_if_no_match=False), sent_before=[1])

    assert selection.picks == ()


def test_every_pick_says_why_in_the_readers_own_words():
    index = PaperIndex([Document(1, "A study", "It is about Robots. And more.", ("graph",)), Document(2, "Else")])

    selection = select(index, {}, [wish("Robot"), wish("graphs"), wish("cooking")], Preferences())

    first, second = selection.picks
    assert {(why.interest, why.field) for why in first.why} == {("Robot", "abstract"), ("graphs", "keywords")}
    (robots,) = [why for why in first.why if why.interest == "Robot"]
    assert [robots.text[start:end] for start, end in robots.marks] == ["Robots"]
    assert second.why == ()


def test_an_answer_that_found_no_place_in_for_you_still_says_why_in_trending():
    index = index_of(*["Robots"] * 3)

    selection = select(index, {}, [wish("robots")], Preferences(paper_count=3))

    assert [(pick.section, bool(pick.why)) for pick in selection.picks] == [
        ("for_you", True),
        ("for_you", True),
        ("trending", True),
    ]


def test_no_papers_no_picks():
    selection = select(index_of(), {}, [wish("robots")], Preferences())

    assert (selection.picks, selection.considered) == ((), 0)


def test_ties_are_broken_by_trending_and_then_by_id():
    index = index_of(*["Robots"] * 4)

    assert chosen(select(index, {3: 5, 1: 0}, [wish("robots")], Preferences(paper_count=2))) == [3, 1]


# Properties -------------------------------------------------------------------------------------

titles = st.lists(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3).map(" and ".join), max_size=12)
some_wishes = st.lists(
    st.builds(
        lambda word, flag, weight: wish(word, weight=weight, is_starred=flag == "star", is_muted=flag == "mute"),
        st.sampled_from(WORDS),
        st.sampled_from(["", "", "star", "mute"]),
        st.sampled_from([1.0, 2.0, 4.0]),
    ),
    max_size=4,
)
scores = st.lists(st.sampled_from([0.0, 1.0, 2.0, 4.0]), min_size=12, max_size=12)
some_preferences = st.builds(
    Preferences,
    paper_count=st.integers(1, 25),
    trending_weight=st.sampled_from([0, 50, 100]),
    wants_trending=st.booleans(),
    wants_trending_if_no_match=st.booleans(),
)


def slowly(index, trending, wishes, preferences, sent):
    """The rules once more, as they are written and one paper at a time."""
    liked = [w for w in wishes if not w.is_muted]
    hidden = {paper for w in wishes if w.is_muted for paper in hides(index, w.query)} | sent
    papers = [paper for paper in sorted(index.documents) if paper not in hidden]
    interest = {p: sum(w.weight * answers(index, w.query).get(p, 0) for w in liked) for p in papers}
    top, loudest = max(interest.values(), default=0) or 1, max((trending[p] for p in papers), default=0) or 1
    part = preferences.trending_weight
    score = {p: ((100 - part) * (interest[p] / top) + part * (trending[p] / loudest)) / 100 for p in papers}
    starred = {p for w in liked if w.is_starred for p in answers(index, w.query)}
    ours = sorted((p for p in papers if interest[p]), key=lambda p: (p not in starred, -score[p], -trending[p], p))
    n = preferences.paper_count
    ours = ours[: n - (0 if n < 3 or not preferences.wants_trending else 1 if n < 7 else 3)]
    wanted = preferences.wants_trending if ours else preferences.wants_trending_if_no_match
    rest = sorted((p for p in papers if p not in ours), key=lambda p: (-trending[p], p))
    return ours, rest[: n - len(ours)] if wanted else []


@given(titles, some_wishes, scores, some_preferences, st.sets(st.integers(1, 12), max_size=4))
@settings(max_examples=300, deadline=None)
def test_the_selection_is_what_the_rules_say(titles, wishes, trending, preferences, sent):
    index = index_of(*titles)
    by_id = dict(enumerate(trending, start=1))

    selection = select(index, by_id, wishes, preferences, sent_before=sent)

    for_you, rest = slowly(index, by_id, wishes, preferences, sent)
    assert (chosen(selection, "for_you"), chosen(selection, "trending")) == (for_you, rest)
    assert chosen(selection) == for_you + rest
    assert all(0 <= pick.score <= 1 for pick in selection.picks)
    assert all(pick.why for pick in selection.picks if pick.section == "for_you")
