"""Which form of the score foretells a paper's votes: each beside upvotes alone, on recorded observations.

Lists before ``SPLIT`` are there to choose the constants by, later ones to see whether the choice
holds. A figure is Spearman's correlation between a form's order and what came then, the mean over
the groups in which papers are compared; ``low`` and ``high`` hold 90 % of its difference to upvotes
alone when the papers are drawn again. Where they lie on both sides of 0, the data cannot tell.
"""

import datetime as dt
import gzip
import json
import math
import random
import statistics
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from papers.trending import Signals, trending_score
from tests.benchmarks.measure import report
from tests.conftest import missing, shared_data

SPLIT = dt.date(2026, 7, 13)
# Two nights' observations are up to 24.4 hours apart.
WINDOW = dt.timedelta(hours=25)
SOON = 2  # days: further apart, how long one waited would tell more than the paper's age
FEWEST = 5  # papers that make a group
DRAWS = {"small": 100, "full": 1000}


@dataclass(frozen=True, slots=True)
class Moment:
    """What was known of a paper when it was looked at, and what the next look found."""

    listed_on: dt.date
    seen_at: dt.datetime
    upvotes: int
    growth: int | None  # None where there was no look in the day before
    comment_count: int
    waited_days: float
    upvotes_then: int

    @property
    def seen_on(self) -> dt.date:
        return self.seen_at.date()

    @property
    def week(self) -> int:
        return self.seen_at.isocalendar().week

    @property
    def age_days(self) -> int:
        return (self.seen_on - self.listed_on).days

    @property
    def age_hours(self) -> float:
        return (self.seen_at - dt.datetime.combine(self.listed_on, dt.time(), dt.UTC)) / dt.timedelta(hours=1)

    @property
    def gain(self) -> int:
        return max(0, self.upvotes_then - self.upvotes)

    @property
    def gain_per_day(self) -> float:
        return self.gain / self.waited_days


Form = Callable[[Moment], float]


@dataclass(frozen=True, slots=True)
class Task:
    """What is foretold, of which moments, and which of them are compared with each other."""

    name: str
    holds: Callable[[Moment], bool]
    group: Callable[[Moment], object]
    target: Form


@dataclass(frozen=True, slots=True)
class Foretold:
    """One line of the table: ``ratio`` is how many times better than ``peer`` on the held-out lists."""

    name: str
    size: str
    peer: str
    peer_version: str
    ratio: float
    form: str
    learned: float
    held_out: float
    low: float
    high: float


def form(growth: float = 0, gravity: float = 0, comments: float = 0) -> Form:
    """Return the form of ``trending_score`` with these constants."""

    def score(seen: Moment) -> float:
        counts = math.log1p(seen.upvotes) + growth * math.log1p(seen.growth or 0)
        counts += comments * math.log1p(seen.comment_count)
        return counts * math.pow(seen.age_days + 1, -gravity)

    return score


def ours(seen: Moment) -> float:
    signals = Signals(upvotes=seen.upvotes, growth=seen.growth or 0, comment_count=seen.comment_count)
    return trending_score(signals, seen.age_days).total


def hacker_news(seen: Moment) -> float:
    return math.pow(seen.upvotes, 0.8) / math.pow(seen.age_hours + 2, 1.8)


def reddit(seen: Moment) -> float:
    """Older is less, which is the same as later is more."""
    return math.log10(max(1, seen.upvotes)) - seen.age_hours * 3600 / 45_000


ALONE = form()
FORMS: dict[str, Form] = {
    "+ 0.1 comments": form(comments=0.1),
    **{f"+ {weight} growth": form(growth=weight) for weight in (0.1, 0.25, 0.5, 1)},
    **{f"gravity {gravity}": form(gravity=gravity) for gravity in (0.3, 0.5, 0.7, 1)},
    **{f"+ 0.5 growth, gravity {gravity}": form(0.5, gravity) for gravity in (0.3, 0.5, 1)},
    "Hacker News": hacker_news,
    "Reddit": reddit,
    "ours": ours,
}


# Papers of one morning have one age, so there no decay can tell; where ages mix, a week's looks
# are taken together, since no single moment saw papers of several ages that were seen again soon.
TASKS = [
    Task(
        "next votes of a list's second morning",
        lambda m: m.growth is not None and m.age_days == 1,
        lambda m: m.seen_on,
        lambda m: m.gain,
    ),
    Task(
        "later upvotes of a list's second morning",
        lambda m: m.growth is not None and m.age_days == 1,
        lambda m: m.seen_on,
        lambda m: m.upvotes_then,
    ),
    Task("votes a day, all ages", lambda m: m.waited_days < SOON, lambda m: m.week, lambda m: m.gain_per_day),
    Task(
        "votes a day, from the second morning on",
        lambda m: m.waited_days < SOON and m.age_days >= 1,
        lambda m: m.week,
        lambda m: m.gain_per_day,
    ),
]


# The observations -------------------------------------------------------------------------------


def folder() -> Path:
    return (shared_data() or Path()) / "huggingface"


def list_dates() -> dict[str, dt.date]:
    lists = map(json.loads, (folder() / "next_morning.jsonl").read_text().splitlines())
    return {paper["id"]: dt.date.fromisoformat(day["list_date"]) for day in lists for paper in day["papers"]}


def moments() -> list[Moment]:
    """Return every look at a paper that was followed by another, six hours later or more."""
    seen: defaultdict[str, list[tuple[dt.datetime, int, int]]] = defaultdict(list)
    with gzip.open(folder() / "upvote_observations.jsonl.gz", "rt") as lines:
        for look in map(json.loads, lines):
            at = dt.datetime.fromisoformat(look["observed_at"])
            seen[look["id"]].append((at, look["upvotes"], look.get("comments", 0)))
    listed_on = list_dates()
    return [moment for arxiv_id, looks in seen.items() for moment in _followed(listed_on[arxiv_id], sorted(looks))]


def _followed(listed_on: dt.date, looks: list[tuple[dt.datetime, int, int]]) -> Iterator[Moment]:
    for number, (at, upvotes, comments) in enumerate(looks):
        later = next((look for look in looks[number + 1 :] if look[0] - at >= dt.timedelta(hours=6)), None)
        if later is None:
            continue
        before = [look[1] for look in looks[:number] if at - look[0] <= WINDOW]
        grew = max(0, upvotes - before[0]) if before else None
        yield Moment(listed_on, at, upvotes, grew, comments, (later[0] - at) / dt.timedelta(days=1), later[1])


# How well a form foretells ----------------------------------------------------------------------


def ranks(values: list[float]) -> list[float]:
    """Return each value's place, 0 the lowest; equal values share the mean of their places."""
    places: defaultdict[float, list[int]] = defaultdict(list)
    for place, value in enumerate(sorted(values)):
        places[value].append(place)
    return [statistics.fmean(places[value]) for value in values]


def spearman(left: list[float], right: list[float]) -> float | None:
    """Return the correlation of two orders, -1 to 1; None where one side has all equal."""
    if len(set(left)) < 2 or len(set(right)) < 2:
        return None
    return statistics.correlation(ranks(left), ranks(right))


def foretells(one: Form, groups: list[list[Moment]], target: Form) -> float:
    """Return the mean correlation of a form with what came, over groups."""
    found = (spearman([one(m) for m in group], [target(m) for m in group]) for group in groups)
    return statistics.fmean(value for value in found if value is not None)


def groups_of(task: Task, seen: list[Moment]) -> list[list[Moment]]:
    grouped: defaultdict[object, list[Moment]] = defaultdict(list)
    for moment in filter(task.holds, seen):
        grouped[task.group(moment)].append(moment)
    return [group for group in grouped.values() if len(group) >= FEWEST]


def spread(one: Form, groups: list[list[Moment]], target: Form, draws: int) -> tuple[float, float]:
    """Return what holds 90 % of a form's difference to upvotes alone, each group drawn again with repeats."""
    draw = random.Random(1)
    differences = []
    for _ in range(draws):
        drawn = [draw.choices(group, k=len(group)) for group in groups]
        differences.append(foretells(one, drawn, target) - foretells(ALONE, drawn, target))
    cuts = statistics.quantiles(differences, n=20)
    return cuts[0], cuts[-1]


def main(size: str) -> None:
    if need := missing("data"):
        print(f"trending: left out: {need}", file=sys.stderr)  # noqa: T201
        return
    seen = moments()
    for task in TASKS:
        learn = groups_of(task, [m for m in seen if m.listed_on < SPLIT])
        test = groups_of(task, [m for m in seen if m.listed_on >= SPLIT])
        alone = foretells(ALONE, test, task.target)
        for name, one in {"upvotes alone": ALONE, **FORMS}.items():
            low, high = spread(one, test, task.target, DRAWS[size])
            held_out = foretells(one, test, task.target)
            report(
                Foretold(
                    name="trending",
                    size=f"{task.name}: {sum(map(len, test))} looks held out",
                    peer="upvotes alone",
                    peer_version="same looks",
                    ratio=held_out / alone,
                    form=name,
                    learned=foretells(one, learn, task.target),
                    held_out=held_out,
                    low=low,
                    high=high,
                )
            )


if __name__ == "__main__":
    main(sys.argv[1])
