"""What is done to a machine while it sends: steps, each at a seeded moment, and what came of it."""

import contextlib
import os
import signal
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.crash.machine import CELERY, CHILDREN, OPEN, Machine, Process
from tests.crash.moods import MOODS, Plan, fault
from tests.crash.oracle import AMBIGUOUS, Rules, Verdict, judge

# Shares of units that a provider in a bad mood treats badly; the rest is good.
BAD_DAY = (
    *(("throttled", 0.08), ("unavailable", 0.04), ("error:taken", 0.03), ("error:lost", 0.03), ("reset:taken", 0.03)),
    *(("reset:lost", 0.03), ("truncated:taken", 0.03), ("hang:taken", 0.015), ("hang:lost", 0.015)),
)


LONG_PATIENCE_S = 240.0  # a provider on a bad day is given one mail at a time
# As the workers' settings have them, which are read there alone.
MARKED, ANSWERED, REPEATS = "marked", "answered", 10


@dataclass(slots=True)
class Scene:
    """Some readers who are due while something is done to the machine."""

    machine: Machine
    name: str
    plan: Plan
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
        return not machine.sql(BUSY)

    def is_over_without_the_first(self) -> bool:
        """Say whether nobody waits whose mail the first provider surely did not take."""
        machine = self.machine
        machine.let_time_pass()
        waiting = "SELECT 1 FROM newsletter_delivery WHERE state IN ('pending', 'retry') AND NOT may_have_gone"
        return len(machine.rows(self.addresses)) == len(self.addresses) and not machine.sql(waiting)


# A chunk that a worker holds, a call that may be made again, an event whose mail is known by now.
BUSY = """
SELECT 1 FROM newsletter_chunk WHERE owner <> ''
UNION ALL SELECT 1 FROM newsletter_unitkey
UNION ALL SELECT 1 FROM newsletter_deliveryevent e JOIN newsletter_delivery d USING (provider_message_id)
WHERE e.delivery_id IS NULL AND e.provider_message_id <> ''
"""

Step = Callable[[Scene], None]


@dataclass(frozen=True, slots=True)
class Act:
    """Steps in a seeded order, while the sink is in a mood; ``first`` is done before anybody is due.

    ``until`` is the share of the mails after which there is no step any more.
    """

    name: str
    steps: tuple[Step, ...] = ()
    first: tuple[Step, ...] = ()
    until: float = 0.8
    shares: tuple[tuple[str, float], ...] = ()
    refused: float = 0.0
    events: float = 0.0
    anonymous: float = 0.0
    has_every_fault: bool = False

    def plan(self, machine: Machine) -> Plan:
        each = tuple(machine.random.sample(sorted(MOODS), len(MOODS))) if self.has_every_fault else ()
        return Plan(
            shares=self.shares,
            each=each,
            delay_s=machine.setup.answers_in_s,
            refused=self.refused,
            webhooks=_webhooks(machine, self),
            events=self.events,
            anonymous=self.anonymous,
        )


def play(machine: Machine, act: Act, count: int) -> Scene:
    """Let ``count`` readers become due, do what is to be done, and wait until everybody has an outcome."""
    scene = Scene(machine, act.name, act.plan(machine))
    machine.control(scene.plan)
    for step in act.first:
        step(scene)
    scene.addresses = machine.activate(count)
    steps = machine.random.sample(act.steps, len(act.steps))
    shares = sorted(machine.random.uniform(0.05, act.until) for _ in steps)
    with scene.end:
        try:
            for step, share in zip(steps, shares, strict=True):
                scene.reach(share)
                step(scene)
            machine.until(scene.is_over, f"{act.name}: an outcome for everybody", LONG_PATIENCE_S)
            scene.problems += _left_out(scene) if act.has_every_fault else []
        except TimeoutError as error:
            scene.problems.append(f"{error}\n{machine.open_ends()}")
    return scene


def _left_out(scene: Scene) -> list[str]:
    """Return the faults of which there was none."""
    ours = set(scene.addresses)
    seen = {(mail.answer, mail.stored) for mail in scene.machine.handed() if mail.address in ours}
    wanted = {fault(mood, scene.machine.setup.provider) for mood in scene.plan.each}
    return [f"no answer was {answer}, taken: {is_taken}" for answer, is_taken in sorted(wanted - seen)]


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
    handed = [mail for mail in machine.handed() if mail.address in ours]
    unheard = {mail.address for mail in handed if mail.answer in AMBIGUOUS}
    events: dict[str, list[str]] = defaultdict(list)
    for line in machine.record():
        # What an event is about that has the provider's id alone, only the answer tells.
        if "event" in line and line["address"] in ours and not (line["is_anonymous"] and line["address"] in unheard):
            events[line["address"]].append(line["event"])
    return judge(
        scene.addresses,
        machine.rows(scene.addresses),
        handed,
        Rules(machine.setup.policy, machine.setup.has_keys, scene.kills, machine.setup.second),
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
    _wake(scene, pid)


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


def kill_before_the_call(scene: Scene) -> None:
    _trap(scene, MARKED, signal.SIGKILL)
    scene.kills += 1


def kill_after_the_call(scene: Scene) -> None:
    _trap(scene, ANSWERED, signal.SIGKILL)
    scene.kills += 1


def freeze_before_the_call(scene: Scene) -> None:
    """Freeze a child that has marked its unit: it must find out that its lease is over, so this excuses nothing."""
    _wake(scene, _trap(scene, MARKED, signal.SIGSTOP))


def freeze_after_the_call(scene: Scene) -> None:
    """Freeze a child that has its answer: what it knows must come into the rows, unless others sent again by then."""
    _wake(scene, _trap(scene, ANSWERED, signal.SIGSTOP))
    scene.kills += scene.machine.setup.policy == "resend" and not scene.machine.setup.has_keys


def _trap(scene: Scene, place: str, signum: signal.Signals) -> int:
    """Let the next child that comes to a place get a signal; return its id when it has it."""
    folder = scene.machine.folder / "var"
    (folder / "trap").write_text(str(int(signum)))
    (folder / "trap").rename(folder / place)
    try:
        scene.machine.until(lambda: list(folder.glob(f"{place}.*")), f"a child at {place}")
    finally:
        (folder / place).unlink(missing_ok=True)
    [sprung] = folder.glob(f"{place}.*")
    sprung.unlink()
    return int(sprung.suffix[1:])


def _wake(scene: Scene, pid: int) -> None:
    """Wake a frozen child when its lease is over, and let the worker end: what the woken one does is done then."""
    try:
        _outlast_the_lease(scene)
    finally:
        os.kill(pid, signal.SIGCONT)
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


DEATHS = {kill_a_child, kill_the_worker, kill_before_the_call, kill_after_the_call}
FREEZES = {freeze_a_child, freeze_the_worker, freeze_before_the_call, freeze_after_the_call}


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


# The first provider goes down, and the second stands in ----------------------------------------


def refuse_connections(scene: Scene) -> None:
    _take_the_first_away(scene, Plan(is_down=True))


def hang(scene: Scene) -> None:
    _take_the_first_away(scene, Plan(shares=(("hang:lost", 1.0),)))


def reset_after_accepting(scene: Scene) -> None:
    _take_the_first_away(scene, Plan(shares=(("reset:taken", 1.0),)))


def deny_our_key(scene: Scene) -> None:
    _take_the_first_away(scene, Plan(shares=(("denied", 1.0),)))


def die_while_the_first_is_away(scene: Scene) -> None:
    _take_the_first_away(scene, Plan(is_down=True), kill_a_child)


def _take_the_first_away(scene: Scene, how: Plan, *steps: Step) -> None:
    """Let the first provider fail until all have an outcome that it surely did not take; those it may have wait."""
    machine, first = scene.machine, scene.machine.setup.provider
    before = len(machine.handed())
    machine.is_first_away = True
    machine.control(replace(how, provider=first, delay_s=scene.plan.delay_s))
    try:
        for step in steps:
            step(scene)
        machine.until(scene.is_over_without_the_first, f"{scene.name}: an outcome without {first}", LONG_PATIENCE_S)
    finally:
        machine.is_first_away = False
        machine.control(scene.plan)
    if machine.setup.second not in {mail.provider for mail in machine.handed()[before:]}:
        scene.problems.append(f"nothing went by {machine.setup.second} while {first} was away")


# Too much of a good thing -----------------------------------------------------------------------


def repeat_every_message(scene: Scene) -> None:
    """From now on, put whatever is put into Celery's queue there ten times."""
    repeat = scene.machine.folder / "var" / "repeat"
    repeat.touch()
    scene.end.callback(_end_the_repeats, scene, repeat)


def _end_the_repeats(scene: Scene, repeat: Path) -> None:
    repeat.unlink()
    scene.machine.redis.flush()  # what is left of them would keep the workers from the next scene
    if (most := scene.machine.most_repeated()) < REPEATS:
        scene.problems.append(f"no message came more than {most} times")


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
        " (SELECT s.id FROM subscribers_subscriber s JOIN newsletter_delivery d ON d.subscriber_id = s.id"
        " WHERE s.state = 'active' AND d.state = 'pending' ORDER BY d.id DESC LIMIT 2)"
        " RETURNING email"
    )
    scene.left += [address for (address,) in left]


# The matrix -------------------------------------------------------------------------------------

ALL_AT_ONCE = (kill_a_child, kill_the_worker, stop_the_worker, flush_redis, restart_postgresql, let_readers_leave)
LONG = (
    Act("children are killed", (kill_a_child,) * 4),
    Act("workers are killed", (kill_the_worker,) * 2),
    Act("killed around the call", (kill_before_the_call, kill_after_the_call), until=0.4),
    Act("workers are stopped", (stop_the_worker,) * 2),
    Act("a child is frozen", (freeze_a_child,)),
    Act("frozen before the call", (freeze_before_the_call,), until=0.4),
    Act("frozen after the call", (freeze_after_the_call,), until=0.4),
    Act("a worker is frozen", (freeze_the_worker,)),
    Act("Redis is flushed", (flush_redis,) * 3),
    Act("Redis restarts", (restart_redis,) * 2),
    Act("Redis is away for 30 s", (take_redis_away,)),
    Act("PostgreSQL restarts", (restart_postgresql, crash_postgresql)),
    Act("messages come ten times", (plan_and_sweep_at_once,) * 2, first=(repeat_every_message,)),
    Act("two beats and sweepers", (plan_and_sweep_at_once,) * 2, first=(start_a_second_beat,)),
    Act("every fault of the provider", has_every_fault=True),
    Act("the provider has a bad day", shares=BAD_DAY, refused=0.05, events=0.3),
    Act("readers leave", (let_readers_leave,) * 3),
    Act("events before the commit", events=0.7, anonymous=0.5),
    Act("all at once", ALL_AT_ONCE, shares=BAD_DAY, refused=0.05),
)
AWAY = (
    Act("the first refuses connections", (refuse_connections,), until=0.4),
    Act("the first hangs", (hang,), until=0.4),
    Act("the first takes and resets", (reset_after_accepting,), until=0.4),
    Act("the first denies our key", (deny_our_key,), until=0.4),
    Act("the first is away, a child dies", (die_while_the_first_is_away,), until=0.4),
)
SHORT = (
    Act("killed and stopped", (kill_a_child, kill_the_worker, stop_the_worker)),
    Act("Redis fails", (flush_redis, restart_redis, take_redis_away_for_a_moment)),
    Act("PostgreSQL fails", (crash_postgresql,)),
    Act("messages come ten times", (start_a_second_beat, plan_and_sweep_at_once), first=(repeat_every_message,)),
    Act("a bad day, readers leave", (let_readers_leave,), shares=BAD_DAY, refused=0.05),
    Act("events before the commit", events=0.7, anonymous=0.5),
    Act("killed around the call", (kill_before_the_call, kill_after_the_call), until=0.4),
    Act("frozen before the call", (freeze_before_the_call,), until=0.4),
    Act("the first is away, a child dies", (die_while_the_first_is_away,), until=0.4),
)
