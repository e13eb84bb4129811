"""A million readers' morning, end to end: planned, matched, composed and handed over in batches, with workers killed.

Everything runs as the product does, on all cores: beat, a Celery worker with a child for each core that
takes the stages and the digests, Redis, PostgreSQL, and on the same cores a provider that takes Postmark's
calls. All readers are due at once; they had yesterday's digest, and have five interests each by Zipf's law.
One child after the other is killed, and each third time the whole worker. At the end every reader is looked
up: in the rows, and in what the provider took.

``python -m tests.benchmarks.million 50000`` takes another number of readers (in an environment like that of
``run.py``).
"""

import datetime as dt
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import django
import numpy as np
import psycopg
from celery import Celery
from django.core.management import call_command
from django.db import connection

from tests.benchmarks.crowd import FOLLOWS, Crowd, interests, recorded
from tests.benchmarks.measure import report
from tests.benchmarks.planning import MORE_READERS, have
from tests.conftest import ROOT, missing
from tests.crash.servers import Redis, until

READERS = {"small": 3_000, "full": 1_000_000}
PAPERS, INTERESTS_A_READER, MOST_INTERESTS = 300, 0.5, 200_000
CHILDREN = os.cpu_count() or 1
SMALL = 20_000  # readers; below, all is over before the first minute is, so that its times are shorter
BEAT_S, KILL_EVERY_S, LEASE_S = {True: 2, False: 60}, {True: 10, False: 60}, {True: 5, False: 60}
KILLED_UNTIL = 0.85  # of the mails: what the last one held is to be sent before the end
SLOWEST_MAILS_A_SECOND = 100  # by which a morning that does not end is given up
TICKS = os.sysconf("SC_CLK_TCK")
PAGE_OF_FOLLOWS = 500_000


@dataclass(frozen=True, slots=True)
class Morning:
    """``mails_a_minute`` from the first plan to the last row that is settled; ``cpu_us`` for each mail, by who used it.

    ``lost`` have no final state with a reason, ``twice`` were mailed twice, ``unknown_units`` may have gone
    when a worker was killed. ``seconds_to_99`` is when 99 % of the mails were taken.
    """

    name: str
    size: str
    peer: str
    peer_version: str
    ratio: float
    mails_a_minute: float
    seconds: float
    seconds_to_99: float
    accepted: int
    unknown: int
    unknown_units: int
    kills: int
    lost: int
    twice: int
    worker_peak_mib: float
    mail_kb: float
    cpu_us: dict[str, float]


# The readers --------------------------------------------------------------------------------------


def store(readers: int) -> int:
    """Make today's edition, and readers who are due now; return the edition's id."""
    from papers.models import Paper  # noqa: PLC0415 - models exist after setup()
    from subscribers.interests import shared_interests  # noqa: PLC0415
    from tests.benchmarks import morning  # noqa: PLC0415
    from tests.factories import make_delivery, make_subscriber  # noqa: PLC0415

    hour = dt.datetime.now(dt.UTC).replace(minute=0, second=0, microsecond=0)
    closed_at = hour - dt.timedelta(minutes=30)
    papers = Paper.objects.bulk_create(
        Paper(
            arxiv_id=paper["id"], title=paper["title"], abstract=paper["abstract"], authors=paper["authors"],
            categories=paper["categories"], submitted_on=closed_at.date(),
        )
        for paper in recorded()[:PAPERS]
    )  # fmt: skip
    yesterday = morning.make_edition([], closed_at.date() - morning.DAY)
    edition = morning.make_edition(papers, closed_at.date())
    edition.scheduled_at = edition.closed_at = closed_at
    edition.save()
    scores = np.random.default_rng(2).pareto(1.5, len(papers)).tolist()
    rows = list(edition.papers.all())
    for row, score in zip(rows, scores, strict=True):
        row.score = score
    edition.papers.bulk_update(rows, ["score"], batch_size=500)
    like = make_subscriber(email="reader1@example.org", confirmed_at=yesterday.closed_at, hour=hour.hour)
    canonicals = interests(min(MOST_INTERESTS, int(readers * INTERESTS_A_READER)))
    shared = {canonical: row.pk for canonical, row in shared_interests(canonicals).items()}
    with connection.cursor() as cursor:
        cursor.execute(MORE_READERS, [readers, like.pk])
    follow(Crowd(readers, canonicals), np.array([shared[canonical] for canonical in canonicals]), like.pk)
    had = make_delivery(yesterday, like, state="accepted", accepted_at=closed_at, chunk=None)
    have(yesterday.pk, yesterday.date, had.pk)
    return edition.pk


def follow(crowd: Crowd, ids: Any, first: int) -> None:
    """Let the readers, whose ids begin with ``first``, follow what they ask for; ``ids`` are those of the interests."""
    reader = np.repeat(np.arange(len(crowd)) + first, FOLLOWS)
    _, once = np.unique(reader * len(ids) + crowd.asked, return_index=True)
    into = "subscriber_id, interest_id, wording, weight, is_starred, is_muted, created_at"
    with connection.cursor() as cursor:
        # Five million look-ups of what is there, as was just seen, take longer than all the rest.
        cursor.execute("SET session_replication_role = replica")
        with cursor.copy(f"COPY subscribers_follow ({into}) FROM STDIN") as rows:
            for start in range(0, len(once), PAGE_OF_FOLLOWS):
                rows.write("".join(lines(crowd, reader, ids, once[start : start + PAGE_OF_FOLLOWS])))
        cursor.execute("SET session_replication_role = DEFAULT")


def lines(crowd: Crowd, reader: Any, ids: Any, chosen: Any) -> Iterator[str]:
    from subscribers.fanout import MUTED, STARRED  # noqa: PLC0415 - compiles when it is first asked for

    asked = crowd.asked[chosen]
    columns = (reader[chosen], ids[asked], asked, crowd.flags[chosen])
    for reader_id, interest_id, number, flags in zip(*(column.tolist() for column in columns), strict=True):
        said = crowd.canonicals[number], flags == STARRED, flags == MUTED
        yield f"{reader_id}\t{interest_id}\t{said[0]}\t1\t{said[1]}\t{said[2]}\t2026-01-01\n"


# The processes ------------------------------------------------------------------------------------


class Machine:
    """The product's processes and the provider; ``with Machine(readers, folder) as machine``."""

    def __init__(self, readers: int, folder: Path) -> None:
        self.readers, self.folder, self.is_small = readers, folder, readers <= SMALL
        self.kills = 0
        self.peak_kib = 0
        self.worker_cpu_s = 0.0
        self.random = random.Random(1)
        self.backends: dict[int, tuple[float, float]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self.redis = stack.enter_context(Redis(self.folder / "redis"))
            self.sink = stack.enter_context(self._start_sink())
            stack.callback(self.sink.kill)
            assert self.sink.stdout
            self.port = json.loads(self.sink.stdout.readline())["port"]
            self.database = stack.enter_context(psycopg.connect(os.environ["DATABASE_URL"], autocommit=True))
            stack.callback(self.end)
            self.worker = self._start_worker()
            until(lambda: len(self.children()) == CHILDREN, "a worker with its children")
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _start_sink(self) -> "subprocess.Popen[str]":
        command = [
            sys.executable,
            "-m",
            "tests.benchmarks.million_sink",
            str(self.readers),
            str(self.folder / "counts"),
        ]
        return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def taken(self) -> dict[str, int]:
        """Return how many mails and octets the provider took, and have it write down whom they were to."""
        assert self.sink.stdin
        assert self.sink.stdout
        self.sink.stdin.write("\n")
        self.sink.stdin.flush()
        answer: dict[str, int] = json.loads(self.sink.stdout.readline())
        return answer

    def _start_worker(self) -> "subprocess.Popen[bytes]":
        return self._celery("worker", "--queues", "celery,digests", "--concurrency", str(CHILDREN))

    def start_morning(self) -> None:
        """Put the first plan into the queue, and let beat go on from there."""
        app = Celery(broker=self.redis.url)
        app.conf.broker_transport_options = {"global_keyprefix": "paperboy:"}
        with app.connection_for_write() as broker:
            app.send_task("newsletter.tasks.deliver", connection=broker)
        self.beat = self._celery("beat", "-s", str(self.folder / "schedule"))

    def _celery(self, *command: str) -> "subprocess.Popen[bytes]":
        told = {
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.million_settings",
            "TMPDIR": str(self.folder),
            "REDIS_URL": self.redis.url,
            "EMAIL_PROVIDER": "postmark",
            "ANYMAIL_POSTMARK_SERVER_TOKEN": "made-up",
            "ANYMAIL_POSTMARK_API_URL": f"http://127.0.0.1:{self.port}/",
            "ANYMAIL_WEBHOOK_SECRET": "made:up",
            "BENCH_LEASE_S": str(LEASE_S[self.is_small]),
            "BENCH_BEAT_S": str(BEAT_S[self.is_small]),
        }
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "celery", "-A", "newsletter", *command, "--loglevel", "WARNING"],
                cwd=ROOT, env=os.environ | told, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def children(self) -> list[int]:
        pid = self.worker.pid
        with suppress(FileNotFoundError, ProcessLookupError):
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        return []

    def kill(self) -> None:
        """Kill a child, which the worker replaces, or each third time the worker, which is started again."""
        children = self.children()
        if self.kills % 4 == 2:
            # Of children that nobody waits for, the time is as it was last seen.
            self.worker_cpu_s += sum(map(_cpu_s, children))
            os.killpg(self.worker.pid, signal.SIGKILL)
            self._has_ended(wait=True)
            self.worker = self._start_worker()
            self.kills += len(children)
        elif children:
            os.kill(self.random.choice(children), signal.SIGKILL)
            self.kills += 1

    def stop(self) -> None:
        """End the worker as an operator does."""
        self.worker.send_signal(signal.SIGTERM)
        self._has_ended(wait=True)

    def tend(self) -> None:
        """Start the worker anew where it has ended: it does so when a child is killed that had just begun."""
        if self._has_ended():
            self.worker = self._start_worker()

    def _has_ended(self, *, wait: bool = False) -> bool:
        """Say whether the worker has, and keep account of its time and its children's."""
        pid, status, usage = os.wait4(self.worker.pid, 0 if wait else os.WNOHANG)
        if pid:
            self.worker.returncode = os.waitstatus_to_exitcode(status)
            self.worker_cpu_s += usage.ru_utime + usage.ru_stime
        return bool(pid)

    def end(self) -> None:
        for process in (self.worker, getattr(self, "beat", None)):
            if process and process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()

    def look(self) -> None:
        """Note the memory of the children, and the time of PostgreSQL's processes."""
        for child in self.children():
            self.peak_kib = max(self.peak_kib, _peak_kib(child))
        pids = self.sql(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        for (pid,) in pids:
            now = _cpu_s(pid)
            self.backends[pid] = (self.backends.get(pid, (now, now))[0], now)

    def is_over(self, edition: int) -> bool:
        """Say whether a planner came to the end, and nothing is left to be sent."""
        return bool(
            self.sql(
                "SELECT 1 FROM newsletter_edition WHERE id = %s AND planned_until IS NOT NULL AND NOT EXISTS"
                " (SELECT 1 FROM newsletter_delivery WHERE state IN ('pending', 'retry', 'sending'))",
                edition,
            )
        )

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        return self.database.execute(query.encode(), parameters).fetchall()


def _cpu_s(pid: int) -> float:
    """Return the seconds that a process has used; 0 when it is gone."""
    with suppress(FileNotFoundError, ProcessLookupError):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS
    return 0.0


def _peak_kib(pid: int) -> int:
    with suppress(FileNotFoundError, ProcessLookupError, IndexError):
        return int(Path(f"/proc/{pid}/status").read_text().partition("VmHWM:")[2].split()[0])
    return 0


# The morning --------------------------------------------------------------------------------------


def run(machine: Machine, edition: int) -> SimpleNamespace:
    """Let everybody be sent theirs; return the seconds to 99 % of the mails, and to the end."""
    machine.start_morning()
    started = looked_at = time.monotonic()
    killed_at = started - KILL_EVERY_S[machine.is_small] / 2
    to_99 = None
    while not machine.is_over(edition):
        time.sleep(0.2)
        machine.tend()
        now = time.monotonic()
        if now - looked_at > 1 or machine.is_small:
            looked_at, mails = now, machine.taken()["mails"]
            machine.look()
            to_99 = to_99 or (now - started if mails >= 0.99 * machine.readers else None)
            if now - killed_at > KILL_EVERY_S[machine.is_small] and 0 < mails < KILLED_UNTIL * machine.readers:
                killed_at = now
                machine.kill()
        if now - started > 60 + machine.readers / SLOWEST_MAILS_A_SECOND:
            raise TimeoutError(f"the morning does not end\n{(machine.folder / 'log').read_text()[-5000:]}")
    ended = time.monotonic()
    machine.look()
    return SimpleNamespace(seconds=ended - started, to_99=to_99 or ended - started)


def judge(machine: Machine, edition: int) -> SimpleNamespace:
    """Compare the rows of all readers with what the provider took; raises ``RuntimeError`` on a broken promise."""
    taken = machine.taken()
    counts = (machine.folder / "counts").read_bytes()
    found = machine.sql(
        "SELECT substring(s.email FROM 7 FOR position('@' IN s.email) - 7)::int, d.state, d.reason, d.error, d.unit"
        " FROM subscribers_subscriber s"
        " LEFT JOIN newsletter_delivery d ON d.subscriber_id = s.id AND d.edition_id = %s",
        edition,
    )
    states: Counter[str] = Counter()
    units: set[str] = set()
    lost = twice = wrong = 0
    for number, state, reason, error, unit in found:
        states[state] += 1
        twice += counts[number] > 1
        is_explained = (
            state == "accepted" or (state == "skipped" and reason) or (state in {"failed", "unknown"} and error)
        )
        lost += not is_explained
        wrong += counts[number] != {"accepted": 1, "unknown": counts[number]}.get(state, 0)
        units |= {unit} if state == "unknown" else set()
    said = SimpleNamespace(
        states=states, units=len(units), lost=lost, twice=twice, mail_kb=taken["octets"] / taken["mails"] / 1000
    )
    if lost or twice or wrong or len(units) > machine.kills or len(found) != machine.readers:
        raise RuntimeError(f"{said}: {wrong} rows say what the provider does not, after {machine.kills} kills")
    return said


def main(size: str) -> None:
    if need := missing("data"):
        print(f"million: left out: {need}", file=sys.stderr)  # noqa: T201
        return
    readers = READERS.get(size) or int(size)
    django.setup()
    call_command("migrate", verbosity=0)
    edition = store(readers)
    with tempfile.TemporaryDirectory() as folder, Machine(readers, Path(folder)) as machine:
        before = _cpu_s(machine.sink.pid)
        took = run(machine, edition)
        sink_s = _cpu_s(machine.sink.pid) - before
        machine.stop()
        said = judge(machine, edition)
    cpu_s = {
        "workers": machine.worker_cpu_s,
        "postgresql": sum(last - first for first, last in machine.backends.values()),
        "provider": sink_s,
    }
    rate = 60 * readers / took.seconds
    report(
        Morning(
            name="million",
            size=f"{readers} readers, {PAPERS} papers, {CHILDREN} children",
            peer="listmonk's published 50,000 mails a minute",
            peer_version="published",
            ratio=rate / 50_000,
            mails_a_minute=rate,
            seconds=took.seconds,
            seconds_to_99=took.to_99,
            accepted=said.states["accepted"],
            unknown=said.states["unknown"],
            unknown_units=said.units,
            kills=machine.kills,
            lost=said.lost,
            twice=said.twice,
            worker_peak_mib=machine.peak_kib / 1024,
            mail_kb=said.mail_kb,
            cpu_us={who: round(1e6 * seconds / readers, 1) for who, seconds in cpu_s.items()},
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
