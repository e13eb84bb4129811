"""Readers' papers out of the scores: used by the digest, the preview and the back-test alike."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, chain
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from papers.index import Document
from subscribers.candidates import Candidates
from subscribers.fanout import MUTED, STARRED, Best, Floats, Integers, Lines, Readers, fan_out
from subscribers.places import Picks, Places, candidates_for, settle

Section = Literal["for_you", "trending"]

# How much thumbs move a paper that is like those they were for: Rocchio, by factors, so that no thumb makes an
# answer. On hf_ai_keywords three up and three down of yesterday's papers are worth 3.3 % of nDCG@10 today
# (`make bench ONLY=taste SIZE=full`).
LIKED, DISLIKED = np.float32(2), np.float32(2)
FAINTEST = 0.01  # an answer that is like what was voted down is still an answer


class Wish(NamedTuple):
    """An interest or a mute of one reader, in their own words and as a canonical query."""

    wording: str
    canonical: str
    weight: float = 1.0
    is_starred: bool = False
    is_muted: bool = False


@dataclass(frozen=True, slots=True)
class Preferences:
    """How many papers, and in which mixture. ``trending_weight`` is a percentage: 0 interests, 100 trending."""

    paper_count: int = 10
    trending_weight: int = 30
    wants_trending: bool = True
    wants_trending_if_no_match: bool = True


@dataclass(frozen=True, slots=True)
class Reader:
    """What one reader asked for and what they had.

    ``sent_before`` are ids of papers. ``liked`` and ``disliked`` are papers they voted for and against; what is
    like them goes up or down, and the latter themselves are left out.
    """

    wishes: Sequence[Wish]
    preferences: Preferences = Preferences()
    sent_before: Collection[int] = ()
    liked: Sequence[Document] = ()
    disliked: Sequence[Document] = ()


class Why(NamedTuple):
    """An interest that a paper answers, and the text where it does; ``marks`` are spans in ``text``."""

    interest: str
    field: str
    text: str
    marks: tuple[tuple[int, int], ...] = ()


class Then(NamedTuple):
    """How a paper stood when it was new: its upvotes, and how many days ago that was."""

    upvotes: int
    days: int


class Pick(NamedTuple):
    """A paper of the digest. ``score`` is the reader's, in [0, 1]; ``trending`` is as it was given.

    ``then`` is set for a second chance.
    """

    paper_id: int
    section: Section
    score: float
    trending: float
    why: tuple[Why, ...] = ()
    then: Then | None = None


@dataclass(frozen=True, slots=True)
class Selection:
    """The picks in the order of the mail, and what they were chosen from.

    ``considered``: papers looked at. ``muted``: those that a mute hides. ``matched``: those that
    answer an interest and are not muted; ``sent_before`` of them were left out.
    """

    picks: tuple[Pick, ...]
    considered: int
    matched: int
    muted: int
    sent_before: int = 0


def select_all(candidates: Candidates, readers: Sequence[Reader]) -> list[Selection]:
    """Choose and order each reader's papers.

    For you holds only answers, starred first; Trending takes what is left and its reserved places.
    When nothing answers, Trending stands alone, or nothing, as the reader prefers.
    """
    asked, places = asked_by(candidates, readers), places_of(readers)
    best = fan_out(candidates.board, asked, candidates_for(places))
    picks = settle(candidates.board, asked, best, places, lambda: candidates.sketches)
    return list(_selections(candidates, readers, asked, best, picks))


def reserved_places(preferences: Preferences) -> int:
    """Return how many places Trending has for itself: three, one in a short mail, none in a tiny one."""
    if not preferences.wants_trending or preferences.paper_count < 3:
        return 0
    return 1 if preferences.paper_count < 7 else 3


# Into arrays ------------------------------------------------------------------------------------


def asked_by(candidates: Candidates, readers: Sequence[Reader]) -> Readers:
    """Return what the readers asked for as arrays; what nobody asked for before is matched."""
    wishes = [wish for reader in readers for wish in reader.wishes]
    interests, mutes = candidates.learn(
        (wish.canonical for wish in wishes if not wish.is_muted), (wish.canonical for wish in wishes if wish.is_muted)
    )
    f = len(wishes)
    query = ((mutes if wish.is_muted else interests)[wish.canonical] for wish in wishes)
    boost_of, boosts = _boosts(candidates, readers)
    return Readers(
        ends=_ends(len(reader.wishes) for reader in readers),
        query=np.fromiter(query, np.int32, f),
        weight=np.fromiter((wish.weight for wish in wishes), np.float32, f),
        flags=np.fromiter((wish.is_starred * STARRED | wish.is_muted * MUTED for wish in wishes), np.uint8, f),
        mix=np.array([reader.preferences.trending_weight for reader in readers], np.float32) / np.float32(100),
        left_out=_left_out(candidates, readers),
        boost_of=boost_of,
        boosts=boosts,
    )


def places_of(readers: Sequence[Reader]) -> Places:
    wanted = [reader.preferences for reader in readers]
    total = np.array([one.paper_count for one in wanted], np.int32)
    return Places(
        total=total,
        for_you=total - np.array([reserved_places(one) for one in wanted], np.int32),
        wants_rest=np.array([(one.wants_trending_if_no_match, one.wants_trending) for one in wanted]).reshape(-1, 2),
    )


def _ends(lengths: Iterable[int]) -> NDArray[np.int64]:
    return np.fromiter(accumulate(lengths, initial=0), np.int64)


def _left_out(candidates: Candidates, readers: Sequence[Reader]) -> Lines:
    had = [
        candidates.rows({*reader.sent_before, *(paper.id for paper in reader.disliked)})
        if reader.sent_before or reader.disliked
        else ()
        for reader in readers
    ]
    return Lines(_ends(map(len, had)), np.fromiter(chain.from_iterable(had), np.uint32), np.zeros(0, np.float32))


def _boosts(candidates: Candidates, readers: Sequence[Reader]) -> tuple[Integers, Floats]:
    """Return the line of each reader who voted, -1 for the others, and by what each paper's score is multiplied.

    Rocchio: closeness to the mean of what they liked, less closeness to the mean of what they did not.
    """
    boost_of = np.full(len(readers), -1, np.int32)
    boosts: list[Floats] = []
    for number, reader in enumerate(readers):
        if reader.liked or reader.disliked:
            boost_of[number] = len(boosts)
            liked, disliked = candidates.words.closeness(reader.liked), candidates.words.closeness(reader.disliked)
            boosts.append(np.maximum(1 + LIKED * liked - DISLIKED * disliked, np.float32(FAINTEST)))
    return boost_of, np.array(boosts, np.float32).reshape(len(boosts), len(candidates))


# Out of arrays ----------------------------------------------------------------------------------


def _selections(
    candidates: Candidates, readers: Sequence[Reader], asked: Readers, best: Best, picks: Picks
) -> Iterator[Selection]:
    reasons = _reasons(readers, asked, picks)
    counts, rows, scores = best.counts.tolist(), picks.rows.tolist(), picks.scores.tolist()
    for number, for_you in enumerate(picks.for_you.tolist()):
        matched, muted, sent_before = counts[number]
        chosen = []
        for place, (row, score) in enumerate(zip(rows[number], scores[number], strict=True)):
            if row < 0:
                break
            wishes = reasons.get((number, place))
            why = tuple(_why(candidates, row, wishes)) if wishes else ()
            section: Section = "for_you" if place < for_you else "trending"
            chosen.append(Pick(candidates.ids[row], section, score, candidates.trending[row], why))
        yield Selection(tuple(chosen), len(candidates), matched, muted, sent_before)


def _why(candidates: Candidates, row: int, wishes: Iterable[Wish]) -> Iterator[Why]:
    for wish in wishes:
        if proof := candidates.proof(wish.canonical, row):
            yield Why(wish.wording, proof.field, proof.text, proof.marks)


def _reasons(readers: Sequence[Reader], asked: Readers, picks: Picks) -> dict[tuple[int, int], list[Wish]]:
    """Return the wishes that each pick answers by reader and place, the one that counts most first."""
    follow, place = np.nonzero(picks.parts)
    reader = np.searchsorted(asked.ends, follow, side="right") - 1
    order = np.lexsort((follow, -picks.parts[follow, place], place, reader))
    wishes = [wish for reader in readers for wish in reader.wishes]
    reasons: dict[tuple[int, int], list[Wish]] = {}
    for number, at, wish in zip(reader[order].tolist(), place[order].tolist(), follow[order].tolist(), strict=True):
        reasons.setdefault((number, at), []).append(wishes[wish])
    return reasons
