"""How strongly a paper is trending, and why: a sum of parts that a page can explain."""

import datetime as dt
import math
from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

# Fitted by `make bench ONLY=trending` on the upvotes of 534 papers, lists before 13 July 2026 to
# learn from and later ones to foretell (Spearman; the README has the table). What it decided:
# - growth: as good as nothing. It does not foretell the next votes better than the upvotes do,
#   whatever its weight (0.50 to 0.54 beside 0.52), and foretells the later upvotes worse: 0.89
#   without it and at 0.1, 0.85 at 0.25, 0.81 at 0.5. At 0.1 it decides between equals and costs
#   nothing; an older paper that takes off may deserve more, but the data have none.
# - the others no data could tell. Stars count by their growth, since absolute stars belong to old
#   repositories; comments hardly at all, their median is 1 and their 99th percentile 3. A paper
#   above all of its field counts like one with about twice the upvotes: that brings fields
#   together and leaves the order inside a field as the upvotes have it. All three signs together
#   (0.28) stay below one upvote (0.69): what only arXiv lists is ranked, and drowns no voted paper.
WEIGHTS = {
    "upvotes": 1.0,
    "growth": 0.1,
    "standing": 1.0,
    "github_stars_growth": 0.2,
    "comment_count": 0.1,
    "signs": 0.2,
}
# Some decay is better than none (0.46 at 0.3, 0.50 at 0.5 and 0.54 at 1, beside 0.36), but all of
# that is the step from a list's first morning to its second, and no edition holds a voted paper
# before the second. From there on 0.3, 0.5 and 1 are the same (0.42 each, 0.40 without), so it
# stays gentle: at 1 a weekly digest would hold little but its last days.
GRAVITY = 0.5
ENOUGH = 30  # papers with votes, from which a field speaks for itself


class Counted(Protocol):
    """What a score needs of a paper."""

    pk: int
    upvotes: int | None
    comment_count: int | None
    categories: list[str]
    code_url: str
    project_url: str


@dataclass(frozen=True, slots=True)
class Growth:
    """What a paper gained between two of our snapshots, >= 0."""

    upvotes: int = 0
    github_stars: int = 0


@dataclass(frozen=True, slots=True)
class Signals:
    """What is known of a paper, all >= 0.

    Votes; votes gained lately; the standing of its votes in its field, 0 to 1; stars gained
    lately; comments; and ``signs`` of a paper that one can do more with than read, 0 to 3.
    """

    upvotes: float = 0
    growth: float = 0
    standing: float = 0
    github_stars_growth: float = 0
    comment_count: float = 0
    signs: float = 0


@dataclass(frozen=True, slots=True)
class TrendingScore:
    """A number >= 0 that only orders papers at one moment, and its parts, which add up to it."""

    total: float
    parts: Mapping[str, float]


def trending_score(signals: Signals, age_days: float) -> TrendingScore:
    """Return how strongly a paper is trending, discounted by its age, and the parts of it.

    ``signals`` are >= 0; ``age_days`` is the time since the list date, in days, >= 0.
    ``total`` has no unit: it is >= 0, and only its order among papers scored at one moment
    means anything; ``parts`` add up to it. Raises ``ValueError`` on a negative or non-finite argument.

    Source: the sum of weight x ln(signal + 1) over a power of the age is ResearchHub's form; its
    age is in hours, ours in days because lists come in one batch a day, stamped midnight: a decay
    by the hour would measure when we polled. Where the constants are from is said beside them.
    """
    if not all(math.isfinite(n) and n >= 0 for n in (age_days, *(getattr(signals, name) for name in WEIGHTS))):
        raise ValueError(f"counts and ages are finite and >= 0, not {signals} at {age_days} days")
    decay = (age_days + 1) ** -GRAVITY
    parts = {name: weight * math.log1p(getattr(signals, name)) * decay for name, weight in WEIGHTS.items()}
    return TrendingScore(sum(parts.values()), parts)


# Comparable across fields -----------------------------------------------------------------------


def quantile(value: float, ordered: Sequence[float]) -> float:
    """Return the share of ``ordered``, ascending, that is less than ``value``: 0 to 1, 0 where there is none."""
    return bisect_left(ordered, value) / len(ordered) if ordered else 0.0


def shrunk_quantile(value: float, of_field: Sequence[float], of_all: Sequence[float]) -> float:
    """Return the quantile of ``value`` in its field, 0 to 1, both sequences ascending.

    A field of fewer than ``ENOUGH`` values speaks for its share of them, and the whole for the rest.
    """
    trust = min(1.0, len(of_field) / ENOUGH)
    return trust * quantile(value, of_field) + (1 - trust) * quantile(value, of_all)


@dataclass(frozen=True, slots=True)
class Votes:
    """The upvotes of the papers one compares with, ascending: of all of them, and by primary category."""

    of_all: Sequence[int] = ()
    by_field: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def standing(self, upvotes: int, categories: Sequence[str]) -> float:
        """Return which share of its field a paper is above, 0 to 1; of all papers where it has no category."""
        return shrunk_quantile(upvotes, self.by_field.get(categories[0], ()) if categories else (), self.of_all)


# Papers -----------------------------------------------------------------------------------------


def signs(paper: Counted) -> int:
    """Return how many of three things a paper has: code, a project page, a second category. 0 to 3."""
    return bool(paper.code_url) + bool(paper.project_url) + (len(paper.categories) > 1)


def scores(
    papers: Iterable[Counted],
    on: dt.date,
    list_dates: Mapping[int, dt.date],
    growth: Mapping[int, Growth],
    votes: Votes,
) -> dict[int, TrendingScore]:
    """Return the score of each paper on a date, by paper id.

    ``list_dates`` are the newest list dates and ``growth`` what was gained lately, both by paper
    id; ``votes`` are those that a paper's own are compared with. A paper without a list date
    counts as listed on ``on``, one without votes as having none.
    """

    def signals(paper: Counted) -> Signals:
        gained = growth.get(paper.pk, Growth())
        return Signals(
            upvotes=paper.upvotes or 0,
            growth=gained.upvotes,
            standing=votes.standing(paper.upvotes or 0, paper.categories),
            github_stars_growth=gained.github_stars,
            comment_count=paper.comment_count or 0,
            signs=signs(paper),
        )

    return {
        paper.pk: trending_score(signals(paper), age_days=max(0, (on - list_dates.get(paper.pk, on)).days))
        for paper in papers
    }
