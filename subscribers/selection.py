"""One reader's papers out of the scores: used by the digest, the preview and the back-test alike."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from papers.index import Document, PaperIndex
from papers.query import Query
from papers.ranking import answers, evidence, hides

Section = Literal["for_you", "trending"]


@dataclass(frozen=True, slots=True)
class Wish:
    """An interest or a mute of one reader."""

    wording: str
    query: Query
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
class Why:
    """An interest that a paper answers, and the text where it does; ``marks`` are spans in ``text``."""

    interest: str
    field: str
    text: str
    marks: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Pick:
    """A paper of the digest. ``score`` is the reader's, in [0, 1]; ``trending`` is as it was given."""

    paper_id: int
    section: Section
    score: float
    trending: float
    why: tuple[Why, ...] = ()


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


def select(
    index: PaperIndex,
    trending: Mapping[int, float],
    wishes: Iterable[Wish],
    preferences: Preferences,
    *,
    sent_before: Collection[int] = (),
) -> Selection:
    """Choose and order a reader's papers among those of ``index``.

    ``trending`` gives each paper's trending score, >= 0, 0 where it is missing; ``sent_before`` are
    the ids of papers that the reader has had. For you holds only answers, starred first; Trending
    takes what is left and its reserved places. When nothing answers, Trending stands alone, or
    nothing, as the reader prefers.
    """
    wishes = list(wishes)
    muted = {paper for wish in wishes if wish.is_muted for paper in hides(index, wish.query)}
    found = [(wish, answers(index, wish.query)) for wish in wishes if not wish.is_muted]
    matched = {paper for _wish, scores in found for paper in scores} - muted
    fresh = index.documents.keys() - muted - set(sent_before)
    ranking = _rank(found, {paper: trending.get(paper, 0.0) for paper in fresh}, preferences.trending_weight)
    for_you, rest = _fill(ranking, matched & fresh, preferences)

    def pick(paper: int, section: Section) -> Pick:
        why = tuple(_why(index.documents[paper], found))
        return Pick(paper, section, ranking.score[paper], trending.get(paper, 0.0), why)

    return Selection(
        picks=tuple([pick(paper, "for_you") for paper in for_you] + [pick(paper, "trending") for paper in rest]),
        considered=len(index),
        matched=len(matched),
        muted=len(muted),
        sent_before=len(matched & set(sent_before)),
    )


def reserved_places(preferences: Preferences) -> int:
    """Return how many places Trending has for itself: three, one in a short mail, none in a tiny one."""
    if not preferences.wants_trending or preferences.paper_count < 3:
        return 0
    return 1 if preferences.paper_count < 7 else 3


@dataclass(frozen=True, slots=True)
class _Ranking:
    """The papers that may be picked: their score for the reader, their trending score, the starred ones."""

    score: Mapping[int, float]
    trending: Mapping[int, float]
    starred: Collection[int]

    def by_score(self, paper: int) -> tuple[bool, float, float, int]:
        return (paper not in self.starred, -self.score[paper], -self.trending[paper], paper)

    def by_trending(self, paper: int) -> tuple[float, int]:
        return (-self.trending[paper], paper)


def _rank(found: Sequence[tuple[Wish, Mapping[int, float]]], trending: Mapping[int, float], weight: int) -> _Ranking:
    """Sum up a reader's interests, scale the sum and trending to [0, 1] each, and mix them."""
    interest = dict.fromkeys(trending, 0.0)
    for wish, scores in found:
        for paper in scores.keys() & trending.keys():
            interest[paper] += wish.weight * scores[paper]
    interest, scaled = _scale(interest), _scale(trending)
    return _Ranking(
        score={paper: ((100 - weight) * interest[paper] + weight * scaled[paper]) / 100 for paper in trending},
        trending=trending,
        starred={paper for wish, scores in found if wish.is_starred for paper in scores},
    )


def _scale(values: Mapping[int, float]) -> dict[int, float]:
    """Return the values as parts of the largest."""
    largest = max(values.values(), default=0.0)
    return {key: value / largest if largest else 0.0 for key, value in values.items()}


def _fill(ranking: _Ranking, matched: Collection[int], preferences: Preferences) -> tuple[list[int], list[int]]:
    """Return the papers of For you and of Trending."""
    places = preferences.paper_count
    for_you = sorted(matched, key=ranking.by_score)[: places - reserved_places(preferences)]
    wants_trending = preferences.wants_trending if for_you else preferences.wants_trending_if_no_match
    if not wants_trending:
        return for_you, []
    rest = sorted(ranking.trending.keys() - set(for_you), key=ranking.by_trending)
    return for_you, rest[: places - len(for_you)]


def _why(document: Document, found: Sequence[tuple[Wish, Mapping[int, float]]]) -> Iterator[Why]:
    """Yield the evidence of each interest that the paper answers, the one that counts most first."""
    reasons = [(wish.weight * scores[document.id], wish) for wish, scores in found if document.id in scores]
    for _score, wish in sorted(reasons, key=lambda reason: -reason[0]):
        if proof := evidence(document, wish.query):
            yield Why(wish.wording, proof.field, proof.text, tuple(proof.marks))
