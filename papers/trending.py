"""How strongly a paper is trending, and why: a sum of parts that a page can explain."""

import datetime as dt
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

# Comments hardly count: their median is 1 and their 99th percentile 3. Growth is what tells a
# paper that takes off from one that was popular; absolute stars belong to old repositories.
WEIGHTS = {"upvotes": 1.0, "growth": 0.5, "github_stars_growth": 0.3, "comment_count": 0.1}
GRAVITY = 0.5


class Counted(Protocol):
    """What a score needs of a paper."""

    pk: int
    upvotes: int | None
    comment_count: int | None


@dataclass(frozen=True, slots=True)
class Signals:
    """Counts >= 0: votes, votes gained lately, stars gained lately, comments."""

    upvotes: float = 0
    growth: float = 0
    github_stars_growth: float = 0
    comment_count: float = 0


@dataclass(frozen=True, slots=True)
class TrendingScore:
    """A number >= 0 that only orders papers at one moment, and its parts, which add up to it."""

    total: float
    parts: Mapping[str, float]


def trending_score(signals: Signals, age_days: float) -> TrendingScore:
    """Return how strongly a paper is trending, discounted by its age, and the parts of it.

    ``signals`` are counts >= 0; ``age_days`` is the time since the list date, in days, >= 0.
    ``total`` has no unit: it is >= 0, and only its order among papers scored at one moment
    means anything; ``parts`` add up to it. Raises ``ValueError`` on a negative or non-finite argument.

    Source: the sum of weight x ln(signal + 1) over a power of the age is ResearchHub's form; its
    age is in hours, ours in days because lists come in one batch a day. The constants are a first
    guess inside the range that others use: one morning's list has one age, so it cannot tell.
    """
    if not all(math.isfinite(n) and n >= 0 for n in (age_days, *(getattr(signals, name) for name in WEIGHTS))):
        raise ValueError(f"counts and ages are finite and >= 0, not {signals} at {age_days} days")
    decay = (age_days + 1) ** -GRAVITY
    parts = {name: weight * math.log1p(getattr(signals, name)) * decay for name, weight in WEIGHTS.items()}
    return TrendingScore(sum(parts.values()), parts)


def scores(
    papers: Iterable[Counted], on: dt.date, list_dates: Mapping[int, dt.date], growth: Mapping[int, int]
) -> dict[int, TrendingScore]:
    """Return the score of each paper on a date, by paper id.

    ``list_dates`` are the newest list dates and ``growth`` the votes gained lately, both by paper
    id; a paper without a list date counts as listed on ``on``, one without votes as having none.
    """
    return {
        paper.pk: trending_score(
            Signals(
                upvotes=paper.upvotes or 0,
                growth=growth.get(paper.pk, 0),
                comment_count=paper.comment_count or 0,
            ),
            age_days=max(0, (on - list_dates.get(paper.pk, on)).days),
        )
        for paper in papers
    }
