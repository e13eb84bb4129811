"""Ours beside a peer's way, in turns, in one process on one core."""

import json
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Figure:
    """One line of ``var/bench.jsonl``: ``ratio`` is how many times cheaper than ``peer`` ours is."""

    name: str
    size: str
    peer: str
    peer_version: str
    ratio: float
    seconds: float
    peer_seconds: float


def one_core() -> None:
    """Keep this process on one core, where the system can."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def other_cores() -> None:
    """Leave that core alone, where there is another: a sink on it would take the sender's place in its caches."""
    if hasattr(os, "sched_setaffinity"):
        cores = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores - {min(cores)} or cores)


def in_turns(
    ours: Callable[[int], object],
    peers: Callable[[int], object],
    clock: Callable[[], float] = time.perf_counter,
) -> tuple[float, float]:
    """Return the median seconds of both, who take turns; each is told the number of the round."""
    pairs = [(_seconds(ours, number, clock), _seconds(peers, number, clock)) for number in range(ROUNDS)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


def _seconds(work: Callable[[int], object], number: int, clock: Callable[[], float]) -> float:
    started = clock()
    work(number)
    return clock() - started


def report(figure: Any) -> None:
    """Print a figure, which is a dataclass, as a line of JSON."""
    rounded = {key: round(value, 4) if isinstance(value, float) else value for key, value in asdict(figure).items()}
    print(json.dumps(rounded))  # noqa: T201 - the line is the result
