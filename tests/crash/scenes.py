"""What is done to a machine while it sends: steps, each at a seeded moment, and what came of it."""

import contextlib
import os
import signal
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.crash.machine import CELERY, CHILDREN, OPEN, Machine, Process
from tests.crash.moods import Plan
from tests.crash.oracle import Rules, Verdict, judge

# Shares of units that a provider in a bad mood treats badly; the rest is good.
BAD_DAY = (
    *(("throttled", 0.08), ("unavailable", 0.04), ("error:taken", 0.03), ("error:lost", 0.03), ("reset:taken", 0.03)),
    *(("reset:lost", 0.03), ("truncated:taken", 0.03), ("hang:taken", 0.015), ("hang:lost", 0.015)),
)


LONG_PATIENCE_S = 240.0  # a provider on a bad day is given one mail at a time


@dataclass(slots=True)
class Scene:
    """Some readers who are due while something is done to the machine."""

    machine: Machine
    name: str
    addresses: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    kills: int = 0  # processes that were killed or frozen while they might send
    problems: list[str] = field(default_factory=list)
    end: ExitStack = field(default_factory=ExitStack)  # what is undone when everybody has an outcome

    def reach(self, share: float) -> None:
        """Wait until the sink has heard of that share of the readers."""
        ours = set(self.addresses)

        def is_reached() -> bool:
            self.machine.let_time_pass()
            heard = {line["address"] for line in self.machine.record() if line.get("address") in ours}
            return len(heard) >= share * len(ours)

        self.machine.until(is_reached, f"{self.name}: {share:.0%} of the mails")

    def is_over(self) -> bool:
        """Say whether everybody has an outcome, no worker holds a chunk and no call waits; what waits is let go on."""
        machine = self.machine
        machine.let_time_pass()
        rows = machine.rows(self.addresses)
        is_open = {*OPEN, *(["unknown"] if machine.setup.policy == "resend" else [])}
        if len(rows) < len(self.addresses) or any(row.state in is_open for row in rows):
            return False
        busy = "SELECT id FROM newsletter_chunk WHERE owner <> '' UNION ALL SELECT id FROM newsletter_unitkey"
        return not machine.sql(busy)


Step = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Act:
    """Steps in a seeded order, while the sink is in a mood."""

    name: str
    steps: tuple[Step, ...] = ()
    shares: tuple[tuple[str, float], ...] = ()
    refused: float = 0.0
    events: float = 0.0


def play(machine: Machine, act: Act, count: int) -> Scene:
    """Let ``count`` readers become due, do what is to be done, and wait until everybody has an outcome."""
    scene = Scene(machine, act.name)
    machine.control(Plan(0, act.shares, machine.setup.answers_in_s, act.refused, _webhooks(machine, act), act.events))
    scene.addresses = machine.activate(count)
    steps = machine.random.sample(act.steps, len(act.steps))
    shares = sorted(machine.random.uniform(0.05, 0.8) for _ in steps)
    with scene.end:
        try:
            for step, share in zip(steps, shares, strict=True):
                scene.reach(share)
                step(scene)
            machine.until(scene.is_over, f"{act.name}: an outcome for everybody", LONG_PATIENCE_S)
        except TimeoutError as error:
            scene.problems.append(f"{error}\n{machine.open_ends()}")
    return scene


def _webhooks(machine: Machine, act: Act) -> str:
    if not act.events:
        return ""
    machine.until(lambda: _is_alive(machine.web), "a web server")
    return f"{machine.web}/anymail/postmark/tracking/"


def _is_alive(url: str) -> bool:
    with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/livez", timeout=2) as answer:  # noqa: S310 - loopback
        return bool(answer.status == 200)
    return False


def verdict(scene: Scene) -> Verdict:
    """Judge a scene by the rows and the sink's record as they are now."""
    machine, ours = scene.machine, set(scene.addresses)
    events: dict[str, list[str]] = defaultdict(list)
    for line in machine.record():
        if "event" in line and line["address"] in ours:
            events[line["address"]].append(line["event"])
    return judge(
        scene.addresses,
        machine.rows(scene.addresses),
        [mail for mail in machine.handed() if mail.address in ours],
        Rules(machine.setup.policy, machine.setup.has_keys, scene.kills),
        left=scene.left,
        events=events,
    )


# Deaths -----------------------------------------------------------------------------------------


def kill_a_child(scene: Scene) -> None:
    pid = _a_child(scene)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
        scene.kills += 1


def kill_the_worker(scene: Scene) -> None:
    _a_child(scene)
    scene.machine.kill(scene.machine.worker)
    scene.kills += CHILDREN


def stop_the_worker(scene: Scene) -> None:
    """End the worker by SIGTERM: it ends by itself after the unit at hand, and is started again."""
    _a_child(scene)
    old = scene.machine.worker.running
    old.send_signal(signal.SIGTERM)
    scene.machine.until(lambda: old.poll() is not None, "the end of a worker that is told to stop")


def freeze_a_child(scene: Scene) -> None:
    """Freeze a child beyond its lease, wake it, and let the worker end: what the woken one does is done then."""
    pid = _a_child(scene)
    os.kill(pid, signal.SIGSTOP)
    scene.kills += 1
    try:
        _outlast_the_lease(scene)
    finally:
        os.kill(pid, signal.SIGCONT)
    stop_the_worker(scene)


def freeze_the_worker(scene: Scene) -> None:
    """Freeze a worker with its children while another goes on."""
    machine = scene.machine
    _a_child(scene)
    other = machine.run(*CELERY, "worker", "-n", "other@%h", "--concurrency", str(CHILDREN), "--loglevel", "INFO")
    scene.end.callback(machine.stop, other)
    group = machine.worker.running.pid
    os.killpg(group, signal.SIGSTOP)
    scene.kills += CHILDREN
    try:
        _outlast_the_lease(scene)
    finally:
        os.killpg(group, signal.SIGCONT)
    stop_the_worker(scene)


def _a_child(scene: Scene) -> int:
    """Return the id of one of the worker's children, when they are all there."""
    worker: Process = scene.machine.worker
    scene.machine.until(lambda: len(worker.children()) == CHILDREN, "a worker with its children")
    return scene.machine.random.choice(worker.children())


def _outlast_the_lease(scene: Scene) -> None:
    """Wait until others have taken over; not for ever, since the frozen one may hold a lock that they wait for."""
    ends = time.monotonic() + 2.5 * scene.machine.setup.lease_s
    scene.machine.until(lambda: scene.is_over() or time.monotonic() > ends, "the end of a lease")


# Servers that fail ------------------------------------------------------------------------------


def flush_redis(scene: Scene) -> None:
    scene.machine.redis.flush()


def restart_redis(scene: Scene) -> None:
    scene.machine.redis.stop()
    scene.machine.redis.start()


def take_redis_away(scene: Scene, seconds: float = 30) -> None:
    scene.machine.redis.stop()
    ends = time.monotonic() + seconds
    scene.machine.until(lambda: time.monotonic() > ends, "the end of an outage")
    scene.machine.redis.start()


def take_redis_away_for_a_moment(scene: Scene) -> None:
    take_redis_away(scene, 3)


def restart_postgresql(scene: Scene) -> None:
    _restart_postgresql(scene, signal.SIGINT)


def crash_postgresql(scene: Scene) -> None:
    _restart_postgresql(scene, signal.SIGQUIT)


def _restart_postgresql(scene: Scene, how: signal.Signals) -> None:
    scene.machine.postgres.stop(how)
    scene.machine.postgres.start()
    scene.kills += CHILDREN  # a commit that is broken off may or may not be one


# Too much of a good thing -----------------------------------------------------------------------


def repeat_every_message(scene: Scene) -> None:
    """From now on, put whatever is put into Celery's queue there ten times."""
    repeat = scene.machine.folder / "var" / "repeat"
    repeat.touch()
    scene.end.callback(repeat.unlink)


def start_a_second_beat(scene: Scene) -> None:
    machine = scene.machine
    second = machine.run(*CELERY, "beat", "-s", str(machine.folder / "second"), "--loglevel", "INFO")
    scene.end.callback(machine.stop, second)


def plan_and_sweep_at_once(scene: Scene) -> None:
    for task in ("sweep", "deliver") * 4:
        scene.machine.call(task)


# Readers ----------------------------------------------------------------------------------------


def let_readers_leave(scene: Scene) -> None:
    left = scene.machine.sql(
        "UPDATE subscribers_subscriber SET state = 'unsubscribed', unsubscribed_at = now() WHERE id IN"
        " (SELECT subscriber_id FROM newsletter_delivery WHERE state = 'pending' ORDER BY id DESC LIMIT 2)"
        " RETURNING email"
    )
    scene.left += [address for (address,) in left]


# The matrix -------------------------------------------------------------------------------------

ALL_AT_ONCE = (kill_a_child, kill_the_worker, stop_the_worker, flush_redis, restart_postgresql, let_readers_leave)
LONG = (
    Act("children are killed", (kill_a_child,) * 4),
    Act("workers are killed", (kill_the_worker,) * 2),
    Act("workers are stopped", (stop_the_worker,) * 2),
    Act("a child is frozen", (freeze_a_child,)),
    Act("a worker is frozen", (freeze_the_worker,)),
    Act("Redis is flushed", (flush_redis,) * 3),
    Act("Redis restarts", (restart_redis,) * 2),
    Act("Redis is away for 30 s", (take_redis_away,)),
    Act("PostgreSQL restarts", (restart_postgresql, crash_postgresql)),
    Act("messages come ten times", (repeat_every_message, *(plan_and_sweep_at_once,) * 2)),
    Act("two beats and sweepers", (start_a_second_beat, *(plan_and_sweep_at_once,) * 2)),
    Act("the provider has a bad day", shares=BAD_DAY, refused=0.05),
    Act("readers leave", (let_readers_leave,) * 3),
    Act("events before the commit", events=0.7),
    Act("all at once", ALL_AT_ONCE, shares=BAD_DAY, refused=0.05),
)
SHORT = (
    Act("killed and stopped", (kill_a_child, kill_a_child, kill_the_worker, stop_the_worker)),
    Act("frozen", (freeze_a_child,)),
    Act("Redis fails", (flush_redis, restart_redis, take_redis_away_for_a_moment)),
    Act("PostgreSQL fails", (crash_postgresql,)),
    Act("messages come ten times", (repeat_every_message, start_a_second_beat, plan_and_sweep_at_once)),
    Act("a bad day, readers leave", (let_readers_leave,), shares=BAD_DAY, refused=0.05),
    Act("events before the commit", events=0.7),
)
