"""A reader's papers: answers first, each list scaled for the reader, mutes and repetitions out, places kept."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from papers.index import Document, PaperIndex
from papers.matching import match
from papers.query import parse
from papers.ranking import answers, evidence, hides
from subscribers.candidates import Candidates
from subscribers.fanout import WORTH_COMPILING
from subscribers.selection import Preferences, Reader, Wish, select_all

WORDS = ["robot", "graph", "agent", "survey"]


def wish(wording, **fields):
    return Wish(wording, parse(wording).canonical, **fields)


def index_of(*titles):
    """Papers 1, 2, 3… with these titles."""
    return PaperIndex(Document(id=n, title=title) for n, title in enumerate(titles, start=1))


def select(index, trending, wishes, preferences, *, sent_before=()):
    """One reader's selection."""
    return select_all(Candidates(index, trending), [Reader(wishes, preferences, sent_before)])[0]


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
    """The rules once more, as they are written: the papers that are left, each one's score, the starred, the room."""
    liked = [w for w in wishes if not w.is_muted]
    hidden = {paper for w in wishes if w.is_muted for paper in hides(index, parse(w.wording))} | sent
    papers = [paper for paper in sorted(index.documents) if paper not in hidden]
    interest = {p: sum(w.weight * answers(index, parse(w.wording)).get(p, 0) for w in liked) for p in papers}
    top, loudest = max(interest.values(), default=0) or 1, max((trending[p] for p in papers), default=0) or 1
    part = preferences.trending_weight
    score = {p: ((100 - part) * (interest[p] / top) + part * (trending[p] / loudest)) / 100 for p in papers}
    starred = {p for w in liked if w.is_starred for p in answers(index, parse(w.wording))}
    n = preferences.paper_count
    room = n - (0 if n < 3 or not preferences.wants_trending else 1 if n < 7 else 3)
    return score, {p for p in papers if interest[p]}, starred, room


@given(titles, some_wishes, scores, some_preferences, st.sets(st.integers(1, 12), max_size=4))
@settings(max_examples=150, deadline=None)
def test_the_selection_is_what_the_rules_say(titles, wishes, trending, preferences, sent):
    index = index_of(*titles)
    by_id = dict(enumerate(trending, start=1))

    selection = select(index, by_id, wishes, preferences, sent_before=sent)

    score, matched, starred, room = slowly(index, by_id, wishes, preferences, sent)
    for_you, rest = chosen(selection, "for_you"), chosen(selection, "trending")
    assert set(for_you) <= matched
    assert len(for_you) == min(len(matched), room)
    assert len(starred & set(for_you)) == min(len(starred & matched), room)
    reader = {pick.paper_id: pick.score for pick in selection.picks}
    assert reader == pytest.approx({paper: score[paper] for paper in for_you + rest}, abs=1e-6)
    assert for_you == sorted(for_you, key=lambda p: (p not in starred, -reader[p], -by_id[p], p))
    wanted = preferences.wants_trending if for_you else preferences.wants_trending_if_no_match
    left = sorted(score.keys() - set(for_you), key=lambda p: (-by_id[p], p))
    assert rest == (left[: preferences.paper_count - len(for_you)] if wanted else [])
    assert chosen(selection) == for_you + rest
    assert all(pick.why for pick in selection.picks if pick.section == "for_you")


# Variety and thumbs -----------------------------------------------------------------------------


def test_of_too_many_answers_for_you_takes_those_that_have_less_in_common():
    alike = ["Robots that grasp soft fruit", "Robots that grasp soft fruits", "Robots grasp soft fruit"]
    index = index_of(*alike, "Robots that dance", "Robots in space")
    trending = {1: 5, 2: 4, 3: 3, 4: 2, 5: 1}
    wishes = [wish("robots")]

    few = select(index, trending, wishes, Preferences(paper_count=4, trending_weight=100))
    all_of_them = select(index, trending, wishes, Preferences(paper_count=7, wants_trending=False, trending_weight=100))

    assert chosen(few, "for_you") == [1, 4, 5]
    assert chosen(all_of_them) == [1, 2, 3, 4, 5]


def test_starred_matches_are_taken_in_the_order_of_their_scores_however_alike_they_are():
    index = index_of(*["Robots that grasp soft fruit"] * 3, "Robots that dance")

    selection = select(
        index, {1: 3, 2: 2, 3: 1}, [wish("robots", is_starred=True)], Preferences(paper_count=3, trending_weight=100)
    )

    assert chosen(selection, "for_you") == [1, 2]


def selected(index, *readers):
    return select_all(Candidates(index, {}), readers)


def test_what_is_like_a_paper_voted_up_rises_and_what_is_like_one_voted_down_falls():
    index = index_of("Robots that grasp fruit", "Robots that dance ballet", "Graphs")
    fruit, ballet = Document(8, "Grasp fruit"), Document(9, "Dance ballet")
    wishes, preferences = [wish("robots")], Preferences(trending_weight=0)

    first, second = selected(
        index,
        Reader(wishes, preferences, liked=[fruit], disliked=[ballet]),
        Reader(wishes, preferences, liked=[ballet], disliked=[fruit]),
    )

    assert chosen(first, "for_you") == [1, 2]
    assert chosen(second, "for_you") == [2, 1]


def test_a_paper_that_was_voted_down_is_left_out_of_every_section():
    index = index_of("Robots", "Robots", "Graphs")

    (selection,) = selected(index, Reader([wish("robots")], disliked=[index.documents[1], index.documents[3]]))

    assert chosen(selection) == [2]


# Batches ----------------------------------------------------------------------------------------


def test_a_reader_gets_the_same_in_a_batch_of_any_size():
    pytest.importorskip("numba", reason="without numba (the extra `fast`) all batches run the same code")
    draw = random.Random(4)
    index = index_of(*(" ".join(draw.choices([*WORDS, "deep", "sparse"], k=4)) for _ in range(60)))
    trending = {paper: draw.choice([0, 1, 2.5, 7]) for paper in index.documents}
    readers = [
        Reader(
            [wish(word, weight=draw.choice([1, 2]), is_muted=draw.random() < 0.2) for word in draw.sample(WORDS, 3)],
            Preferences(draw.randint(1, 25), draw.choice([0, 30, 100]), draw.random() < 0.7, draw.random() < 0.7),
            sent_before=draw.sample(range(1, 60), 5),
            liked=[index.documents[draw.randint(1, 60)]] if draw.random() < 0.2 else [],
        )
        for _ in range(WORTH_COMPILING)
    ]
    candidates = Candidates(index, trending)

    together = select_all(candidates, readers)

    assert together == [select_all(candidates, [reader])[0] for reader in readers]


def test_interests_are_matched_once_however_many_batches_ask():
    asked: list[str] = []

    def counting(index, queries):
        asked.extend(query.canonical for query in queries)
        return match(index, queries)

    candidates = Candidates(index_of("Robots", "Graphs"), {}, counting)
    for _ in range(2):
        select_all(candidates, [Reader([wish("robot")]), Reader([wish("Robots"), wish("graphs", is_muted=True)])])

    assert asked == ["robot"]


def test_no_more_proofs_are_kept_than_fit_and_a_forgotten_one_is_looked_up_again(monkeypatch):
    monkeypatch.setattr("subscribers.candidates.MOST_PROOFS", 2)
    index = PaperIndex(Document(number, f"Robots and weather {number}", "") for number in range(1, 5))
    calls: list[int] = []

    def prove(document, query):
        calls.append(document.id)
        return evidence(document, query)

    candidates = Candidates(index, {}, prove=prove)
    robots = parse("robots").canonical

    proofs = [candidates.proof(robots, row) for row in (0, 1, 2, 2, 0)]

    assert calls == [1, 2, 3, 1]
    assert proofs[0] == proofs[4]
