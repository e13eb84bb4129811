"""A chunk of 500 readers with a warm index, step by step, beside composing their mails.

Every round has readers of its own, so that their papers and evidence are as new as those of the next
chunk of a morning; what other readers asked for before is known.
"""

import datetime as dt
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, ParamSpec, TypeVar

import django
import numpy as np
from django.core.management import call_command

from tests.benchmarks.crowd import Crowd, interests, recorded
from tests.benchmarks.measure import ROUNDS, Figure, one_core, report

P = ParamSpec("P")
Result = TypeVar("Result")

PAPERS = {"small": 300, "full": 1_500}
INTERESTS = {"small": 300, "full": 5_000}
CHUNK, TOP, WARM = 500, 10, 3  # chunks that went before


@dataclass(frozen=True, slots=True)
class Line(Figure):
    """``parts`` are microseconds a reader."""

    parts: dict[str, float]


def store(papers: int, crowd: Crowd) -> SimpleNamespace:
    """Store the edition and the readers with what they follow; return them."""
    from papers.models import Paper  # noqa: PLC0415 - models exist after setup()
    from subscribers.interests import shared_interests  # noqa: PLC0415
    from subscribers.models import Follow  # noqa: PLC0415
    from tests.benchmarks import morning  # noqa: PLC0415

    stored = Paper.objects.bulk_create(
        Paper(
            arxiv_id=paper["id"], title=paper["title"], abstract=paper["abstract"], authors=paper["authors"],
            categories=paper["categories"], submitted_on=morning.DATE,
        )
        for paper in recorded()[:papers]
    )  # fmt: skip
    edition = morning.make_edition(stored)
    rows = list(edition.papers.all())
    for row, score in zip(rows, np.random.default_rng(2).pareto(1.5, papers).tolist(), strict=True):
        row.score = score
    edition.papers.bulk_update(rows, ["score"], batch_size=500)
    readers = morning.make_readers(len(crowd))
    shared = shared_interests(crowd.canonicals)
    follows = {
        (reader.pk, canonical): Follow(
            subscriber=reader, interest=shared[canonical], wording=canonical, is_muted=is_muted, is_starred=is_starred
        )
        for number, reader in enumerate(readers)
        for canonical, is_muted, is_starred in crowd.follows(number)
    }
    Follow.objects.bulk_create(follows.values(), batch_size=5_000)
    return SimpleNamespace(edition=edition, readers=readers, now=dt.datetime.combine(morning.DATE, dt.time(12), dt.UTC))


def rounds(world: SimpleNamespace) -> Iterator[dict[str, float]]:
    """Yield the seconds of each step for a chunk of readers, of whom nothing was asked before."""
    from newsletter.contents import Book, contents  # noqa: PLC0415
    from newsletter.planning import plan  # noqa: PLC0415
    from newsletter.schedule import Due  # noqa: PLC0415
    from subscribers.fanout import fan_out  # noqa: PLC0415
    from subscribers.interests import wishes_of  # noqa: PLC0415
    from subscribers.selection import Reader, asked_by, select_all  # noqa: PLC0415

    day, book = world.edition.date, Book(world.edition)
    chunks = [world.readers[at : at + CHUNK] for at in range(0, len(world.readers), CHUNK)]
    for chunk in chunks[:WARM]:
        contents(book, [(reader, Due(day, day, day)) for reader in chunk])
    planned = clocked(plan, world.edition, world.now)[1] * CHUNK / len(world.readers)
    candidates = book.covered(day).candidates
    for chunk in chunks[WARM:]:
        wishes, reading = clocked(wishes_of, [reader.pk for reader in chunk])
        readers = [Reader(wishes[reader.pk]) for reader in chunk]
        _, matching = clocked(asked_by, candidates, readers)
        asked, asking = clocked(asked_by, candidates, readers)
        _, best = clocked(fan_out, candidates.board, asked, TOP)
        _, selection = clocked(select_all, candidates, readers)
        _, again = clocked(select_all, candidates, readers)
        steps = {"reading": reading, "matching": matching - asking, "asked": asking, "best": best}
        yield steps | {"selection": selection, "known evidence": again, "plan": planned} | composing(world, chunk)


def composing(world: SimpleNamespace, chunk: list[Any]) -> dict[str, float]:
    from newsletter import messages, rendering  # noqa: PLC0415
    from newsletter.models import Delivery  # noqa: PLC0415

    deliveries = list(Delivery.objects.filter(subscriber__in=chunk).select_related("subscriber", "edition", "picks"))
    of = rendering.material(deliveries)
    mails, seconds = clocked(lambda: [messages.message(delivery, of) for delivery in deliveries])
    _, serialising = clocked(lambda: [mail.message().as_bytes() for mail in mails])
    return {"composing": seconds, "composing and serialising": seconds + serialising}


def clocked(work: Callable[P, Result], *arguments: P.args, **named: P.kwargs) -> tuple[Result, float]:
    """Return what ``work`` returns and the seconds of processor time that it took."""
    started = time.process_time()
    return work(*arguments, **named), time.process_time() - started


def main(size: str) -> None:
    one_core()
    django.setup()
    call_command("migrate", verbosity=0)
    measured = list(rounds(store(PAPERS[size], Crowd((WARM + ROUNDS) * CHUNK, interests(INTERESTS[size])))))
    parts = {name: statistics.median(each[name] for each in measured) * 1e6 / CHUNK for name in measured[0]}
    said = f"{CHUNK} readers x 5 of {INTERESTS[size]} interests x {PAPERS[size]} papers"
    ours = {name: round(value, 1) for name, value in parts.items()}
    for name, mine in (("top ten", parts["asked"] + parts["best"]), ("varied, with evidence", parts["selection"])):
        for peer in ("composing", "composing and serialising"):
            seconds = parts[peer] * CHUNK / 1e6
            report(
                Line(
                    "chunk", f"{name}, {said}", peer, "same code", parts[peer] / mine, mine * CHUNK / 1e6, seconds, ours
                )
            )


if __name__ == "__main__":
    main(sys.argv[1])
