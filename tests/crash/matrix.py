"""The crash matrix: which scenes are played on which machines, and the table of what came of them.

``python -m tests.crash.matrix`` plays the long form (``make crash``); SEED repeats one.
"""

import argparse
import random
import signal
import sys
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.crash import scenes, servers
from tests.crash.machine import Machine, Setup, template
from tests.crash.oracle import Verdict
from tests.crash.scenes import Act, Scene

Story = tuple[Setup, Sequence[Act]]


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the table."""

    machine: str
    scene: str
    kills: int
    verdict: Verdict
    problems: tuple[str, ...]


def play(story: Story, folder: Path, like: Path, seed: int) -> list[Line]:
    """Play the scenes of one machine; they are judged when all its processes have ended."""
    setup, acts = story
    folder.mkdir()
    with Machine(folder, like, setup, seed) as machine:
        played = [scenes.play(machine, act, setup.mails) for act in acts]
        machine.stop(machine.beat)
        machine.stop(machine.worker)
        return [_line(scene) for scene in played]


def _line(scene: Scene) -> Line:
    judged = scenes.verdict(scene)
    conflicts = [f"the key {line['conflict']} was used twice" for line in scene.machine.record() if "conflict" in line]
    problems = (*scene.problems, *judged.problems[:5], *conflicts[:5])
    return Line(scene.machine.setup.name, scene.name, scene.kills, judged, problems)


def play_all(stories: Sequence[Story], seed: int, at_once: int) -> list[Line]:
    """Play stories, ``at_once`` of them at a time, on servers of their own; return the lines of the table."""
    most = max(setup.mails * len(acts) for setup, acts in stories)
    with scratch() as folder, template(folder, most) as like, ThreadPoolExecutor(at_once) as pool:
        told = partial(play, like=like, seed=seed)
        tasks = [pool.submit(told, story, folder / f"{n}") for n, story in enumerate(stories)]
        try:
            return [line for task in tasks for line in task.result()]
        except BaseException:
            # Interrupted, say: every machine ends what it started, now.
            servers.ended.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@contextmanager
def scratch() -> Iterator[Path]:
    """Yield a folder that PostgreSQL's user may enter, and leave nothing of it."""
    with tempfile.TemporaryDirectory(prefix="paperboy-crash-", ignore_cleanup_errors=False) as folder:
        Path(folder).chmod(0o777)
        yield Path(folder)


HEAD = ("fault", "mails", "kills", "accepted", "unknown", "skipped", "failed", "twice", "lost")


def table(lines: Sequence[Line]) -> str:
    """Return the table that the short and the long form print, with a sum."""
    cells = [_cells(f"{line.machine}: {line.scene}", line.kills, line.verdict) for line in lines]
    sums = ("all", *(f"{sum(int(row[n]) for row in cells)}" for n in range(1, len(HEAD))))
    rows = [HEAD, *cells, sums]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"{row[0]:<{width}}" + "".join(f"{cell:>10}" for cell in row[1:]) for row in rows)


def _cells(name: str, kills: int, of: Verdict) -> tuple[str, ...]:
    numbers = (of.due, kills, of.accepted, of.unknown, of.skipped, of.failed, of.twice, of.lost)
    return (name, *map(str, numbers))


def problems(lines: Sequence[Line]) -> list[str]:
    return [f"{line.machine}: {line.scene}: {problem}" for line in lines for problem in line.problems]


# A call of a batch is longer in flight than one mail's.
SLOW_S = (0.1, 0.3)
# Where another provider's machine shows the rest already.
SOME = (
    *("children are killed", "workers are killed", "a child is frozen", "a worker is frozen"),
    *("killed around the call", "frozen before the call", "frozen after the call", "every fault of the provider"),
    *("the provider has a bad day", "readers leave", "events before the commit", "all at once"),
)
SOME_ACTS = tuple(act for act in scenes.LONG if act.name in SOME)
LONG: tuple[Story, ...] = (
    (Setup(has_web=True), scenes.LONG),
    (Setup("postmark", mails=160, chunk_size=20, answers_in_s=SLOW_S, has_web=True), scenes.LONG),
    (Setup("resend", mails=160, chunk_size=20, answers_in_s=SLOW_S, has_web=True), scenes.LONG),
    (Setup(policy="resend", has_web=True), SOME_ACTS),
    (Setup("postmark", policy="resend", mails=100, answers_in_s=SLOW_S, has_web=True), SOME_ACTS),
    (Setup("brevo", mails=100, answers_in_s=SLOW_S, has_web=True), SOME_ACTS),
    (Setup("sparkpost", has_web=True), SOME_ACTS),
    (Setup("resend", policy="resend", mails=100, answers_in_s=SLOW_S, has_web=True), SOME_ACTS),
    (Setup("smtp", "postmark"), scenes.AWAY),
    (Setup("postmark", "smtp", policy="resend", answers_in_s=SLOW_S), scenes.AWAY),
    (Setup("resend", "brevo", mails=100, answers_in_s=SLOW_S), scenes.AWAY),
)
SHORT: tuple[Story, ...] = (
    (Setup(mails=24, chunk_size=4), scenes.SHORT[:1]),
    (Setup(mails=24, chunk_size=4), scenes.SHORT[1:4]),
    (Setup("sparkpost", mails=24, chunk_size=4, has_web=True), scenes.SHORT[4:6]),
    (Setup("resend", mails=48, chunk_size=6, answers_in_s=SLOW_S), scenes.SHORT[6:8]),
    (Setup("postmark", "smtp", policy="resend", mails=48, chunk_size=6, answers_in_s=SLOW_S), scenes.SHORT[8:]),
)


def _only(wanted: str) -> Sequence[Story]:
    """Return what of the long form has these words in its name, as ``postmark, hold: children``."""
    found = [(setup, [act for act in acts if wanted in f"{setup.name}: {act.name}"]) for setup, acts in LONG]
    return [(setup, acts) for setup, acts in found if acts]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", default="", help="machines and scenes whose names hold this")
    parser.add_argument("--at-once", type=int, default=3, help="machines")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"SEED={asked.seed}", flush=True)  # noqa: T201
    lines = play_all(_only(asked.only), asked.seed, asked.at_once)
    print(table(lines))  # noqa: T201
    for problem in problems(lines):
        print(problem)  # noqa: T201
    return 1 if problems(lines) else 0


if __name__ == "__main__":
    sys.exit(main())
