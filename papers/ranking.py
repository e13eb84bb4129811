"""One query alone: which papers answer or are hidden, in what order. Many at once are ``papers.matching``'s.

A paper answers when every phrase stands in its title, abstract or keywords, every topic does too, in
whatever near form, or has all its content words in the title or in one sentence, every field holds,
and no exclusion stands in it.
"""

from collections.abc import Mapping

from papers.evidence import Evidence, evidence
from papers.index import PaperIndex
from papers.likeness import Like
from papers.matching import hide, match, related
from papers.query import Query

__all__ = ["Evidence", "answers", "evidence", "hides", "ranked"]


def answers(index: PaperIndex, query: Query, likes: Mapping[str, Like] | None = None) -> dict[int, float]:
    """Return the papers that answer ``query`` with a score in (0, 1], comparable between queries."""
    found = match(index, [query], likes)
    return dict(zip(index.ids[found.rows].tolist(), found.scores.tolist(), strict=True))


def ranked(index: PaperIndex, query: Query, likes: Mapping[str, Like] | None = None) -> list[tuple[int, float]]:
    """Return all papers that hold a word of ``query``, best first: the answers, then the rest.

    Scores are in (0, 1]; those of answers are above 0.5. A phrase, a field or an exclusion binds the rest too.
    """
    is_answer, found = answers(index, query, likes), related(index, [query], likes)
    score = zip(index.ids[found.rows].tolist(), found.scores.tolist(), strict=True)
    placed = [(paper, (value + (paper in is_answer)) / 2) for paper, value in score]
    return sorted(placed, key=lambda item: (-item[1], item[0]))


def hides(index: PaperIndex, query: Query) -> set[int]:
    """Return the papers that ``query``, as a mute, hides: by phrase, near form or field, never by single words."""
    return set(index.ids[hide(index, [query]).rows].tolist())
