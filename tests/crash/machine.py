"""One instance under fire: its own servers, its workers, beats and web server as processes, and a sink."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Self

import psycopg
from celery import Celery

from tests.conftest import ROOT
from tests.crash import servers
from tests.crash.moods import Plan
from tests.crash.oracle import Handed, Policy, Row
from tests.crash.servers import PATIENCE_S, Postgres, Redis
from tests.crash.sink import WEBHOOK_SECRET

DATABASE = "paperboy"
CELERY = ("-m", "celery", "-A", "newsletter")
CHILDREN = 2
OPEN = ["pending", "retry", "sending"]
KEYED = {"resend", "brevo"}


@dataclass(frozen=True, slots=True)
class Setup:
    """Which provider and policy a machine has, and the sizes of what it works on."""

    provider: str = "smtp"
    second: str = ""  # the provider that stands in for the first
    policy: Policy = "hold"
    mails: int = 60  # in each scene
    chunk_size: int = 10
    lease_s: int = 5
    has_web: bool = False
    # How long the sink takes to answer: long enough to be killed in.
    answers_in_s: tuple[float, float] = (0.01, 0.04)

    @property
    def has_keys(self) -> bool:
        return self.provider in KEYED

    @property
    def name(self) -> str:
        keys = ("keys and " if self.policy == "resend" else "keys") if self.has_keys else ""
        policy = "" if keys == "keys" else self.policy
        return f"{self.provider}{' then ' * bool(self.second)}{self.second}, {keys}{policy}"


def environment(folder: Path, setup: Setup) -> dict[str, str]:
    """Return what every process of an instance is told, but for the addresses of its servers."""
    (folder / "var").mkdir(exist_ok=True)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "TMPDIR": str(folder),  # a killed worker leaves its folder of temporary files behind
        "DJANGO_SETTINGS_MODULE": "tests.crash.settings",
        "ENV_FILE": os.devnull,
        "VAR_DIR": str(folder / "var"),
        "ADDRESS_HASH_KEY": "only-for-tests",
        "POSTAL_ADDRESS": "1 Test Street, Testville",
        "CRASH_CHUNK_SIZE": str(setup.chunk_size),
        "CRASH_LEASE_S": str(setup.lease_s),
    }


@contextmanager
def template(folder: Path, readers: int) -> Iterator[Path]:
    """Yield the data folder of a server that has ended, with migrated tables, an edition and readers."""
    with Postgres(folder / "template") as server:
        with psycopg.connect(server.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        (folder / "seed").mkdir()
        told = environment(folder / "seed", Setup()) | {"DATABASE_URL": server.url(DATABASE)}
        subprocess.run([sys.executable, "-m", "tests.crash.seed", str(readers)], cwd=ROOT, env=told, check=True)
    yield server.folder


@dataclass(slots=True)
class Process:
    """A process that is started again whenever it has ended, as systemd or compose would."""

    command: tuple[str, ...]
    running: subprocess.Popen[bytes]

    def children(self) -> list[int]:
        """Return the ids of its prefork children; [] when it is gone."""
        pid = self.running.pid
        try:
            return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
        except (FileNotFoundError, ProcessLookupError):
            return []


class Machine:
    """``with Machine(folder, template, setup, seed) as machine``; ends and forgets whatever it started."""

    def __init__(self, folder: Path, template: Path, setup: Setup, seed: int) -> None:
        self.folder, self.setup, self.random = folder, setup, random.Random(f"{seed}:{setup.name}")
        self.postgres, self.redis = Postgres(folder / "postgres", like=template), Redis(folder / "redis")
        self.record_path = folder / "record.jsonl"
        self._record: list[dict[str, Any]] = []
        self._read = 0
        self.wanted: list[Process] = []
        self._connection: psycopg.Connection[Any] | None = None
        self._passed_at = 0.0
        self.is_first_away = False
        self.readers = 0
        self.environment = environment(folder, setup)

    def __enter__(self) -> Self:
        self.stack = ExitStack()
        with ExitStack() as stack:
            stack.enter_context(self.postgres)
            stack.enter_context(self.redis)
            stack.callback(self._disconnect)
            stack.callback(self.end)
            self._start_sink(stack)
            self.environment |= {
                "DATABASE_URL": self.postgres.url(DATABASE),
                "REDIS_URL": self.redis.url,
                "UNKNOWN_DELIVERIES": self.setup.policy,
                "ANYMAIL_WEBHOOK_SECRET": WEBHOOK_SECRET,
                "EMAIL_PROVIDER": self.setup.provider,
                "EMAIL_FALLBACK_PROVIDER": self.setup.second,
            }
            for name in filter(None, (self.setup.provider, self.setup.second)):
                self.environment |= self._provider(name)
            self.worker = self.run(*CELERY, "worker", "--concurrency", str(CHILDREN), "--loglevel", "INFO")
            self.beat = self.run(*CELERY, "beat", "-s", str(self.folder / "schedule"), "--loglevel", "INFO")
            if self.setup.has_web:
                self._run_web()
            self.stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.stack.close()

    def _provider(self, name: str) -> dict[str, str]:
        address = f"127.0.0.1:{self.ports[name]}"
        if name == "smtp":
            return {"EMAIL_URL": f"smtp://{address}"}
        key = {"postmark": "SERVER_TOKEN"}.get(name, "API_KEY")
        own = {"API_URL": f"http://{address}/", key: "made-up"}
        return {f"ANYMAIL_{name.upper()}_{word}": value for word, value in own.items()}

    # Processes ----------------------------------------------------------------------------------

    def _start_sink(self, stack: ExitStack) -> None:
        self._sink = stack.enter_context(
            self._popen(("-m", "tests.crash.sink", str(self.record_path)), subprocess.PIPE)
        )
        stack.callback(self._sink.kill)
        self.ports: dict[str, int] = json.loads(self._heard())

    def _heard(self) -> bytes:
        assert self._sink.stdout is not None
        return self._sink.stdout.readline()

    def run(self, *command: str) -> Process:
        """Start a process and keep it running."""
        process = Process(command, self._popen(command))
        self.wanted.append(process)
        return process

    def _run_web(self) -> None:
        self.web = f"http://127.0.0.1:{servers.free_port()}"
        options = ("--worker-class", "gthread", "--threads", "4", "--no-control-socket")
        self.run("-m", "gunicorn", "newsletter.wsgi", "--bind", self.web.removeprefix("http://"), *options)

    def _popen(self, command: Sequence[str], pipe: int | None = None) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *command],
                cwd=ROOT,
                env=self.environment,
                stdin=pipe or subprocess.DEVNULL,
                stdout=pipe or log,
                stderr=log,
                start_new_session=True,
            )

    def kill(self, process: Process) -> None:
        """Kill a process and its children at once, as the kernel does with a whole container."""
        os.killpg(process.running.pid, signal.SIGKILL)
        process.running.wait(PATIENCE_S)

    def stop(self, process: Process) -> None:
        """End a process as an operator does, and do not start it again."""
        self.wanted.remove(process)
        process.running.send_signal(signal.SIGTERM)
        process.running.wait(PATIENCE_S)

    def end(self) -> None:
        """Kill what is left."""
        while self.wanted:
            process = self.wanted.pop()
            if process.running.poll() is None:
                self.kill(process)

    def tend(self) -> None:
        """Start what has ended and should not have."""
        for process in self.wanted:
            if process.running.poll() is not None:
                process.running = self._popen(process.command)

    def until(self, what: Callable[[], object], why: str, patience_s: float = PATIENCE_S) -> None:
        """Wait for a condition while the processes are kept running; raises ``TimeoutError`` with the logs."""

        def look() -> object:
            self.tend()
            return what()

        try:
            servers.until(look, why, patience_s)
        except TimeoutError as error:
            raise TimeoutError(f"{self.setup.name}: {error}\n{self.log()[-3000:]}") from None

    def log(self) -> str:
        """Return what the processes complained of."""
        lines = (self.folder / "log").read_text(errors="replace").splitlines(keepends=True)
        return "".join(line for line in lines if ": INFO/" not in line)

    # What it is told ----------------------------------------------------------------------------

    def control(self, plan: Plan) -> None:
        """Tell the sink how to treat what comes now, by a seed of its own."""
        assert self._sink.stdin is not None
        told = asdict(replace(plan, seed=self.random.getrandbits(32)))
        self._sink.stdin.write(json.dumps(told).encode() + b"\n")
        self._sink.stdin.flush()
        self._heard()

    def activate(self, count: int) -> list[str]:
        """Let readers confirm who have no digest yet, so that they are due at once; return their addresses."""
        addresses = [f"r{n}@example.org" for n in range(self.readers, self.readers + count)]
        self.readers += count
        self.sql(
            "UPDATE subscribers_subscriber SET state = 'active', confirmed_at = now() WHERE email = ANY(%s)", addresses
        )
        return addresses

    def let_time_pass(self) -> None:
        """Twice a second, bring near what waits for minutes: rows to be tried again, a provider that is left alone."""
        if time.monotonic() - self._passed_at > 0.5:
            self._passed_at = time.monotonic()
            self.sql("UPDATE newsletter_delivery SET next_attempt_at = now() WHERE next_attempt_at > now()")
            if not self.is_first_away:
                self.sql("UPDATE newsletter_providerstate SET retry_at = now() WHERE retry_at > now()")

    def call(self, task: str, *args: object) -> None:
        """Put a task into the queue, as any process with a broker may; one that is down hears nothing."""
        app = Celery(broker=self.redis.url)
        app.conf.broker_transport_options = {"global_keyprefix": "paperboy:"}
        with app.connection_for_write() as connection:
            app.send_task(f"newsletter.tasks.{task}", args=args, connection=connection)

    # What it says -------------------------------------------------------------------------------

    def sql(self, query: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Run a statement on a kept connection, waiting for a server that is being started again."""
        ends = time.monotonic() + PATIENCE_S
        while True:
            try:
                if self._connection is None:
                    self._connection = psycopg.connect(self.postgres.url(DATABASE), autocommit=True)
                cursor = self._connection.execute(query.encode(), parameters)
                return cursor.fetchall() if cursor.description else []
            except psycopg.OperationalError:
                self._disconnect()
                if time.monotonic() > ends:
                    raise
                time.sleep(0.05)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def rows(self, addresses: Sequence[str]) -> list[Row]:
        found = self.sql(
            "SELECT s.email, d.state, d.reason, d.error, d.unit, split_part(trim('<>' from d.message_id), '@', 1),"
            " d.provider_message_id, coalesce(d.sending_at > s.unsubscribed_at + interval '0.5 s', false)"
            " FROM newsletter_delivery d JOIN subscribers_subscriber s ON s.id = d.subscriber_id"
            " WHERE s.email = ANY(%s)",
            list(addresses),
        )
        return [Row(*row) for row in found]

    def open_ends(self) -> str:
        """Return the rows of what is not over yet, for a message."""
        queries = (
            "SELECT id, state, unit, chunk_id, error FROM newsletter_delivery WHERE state = ANY(%s)",
            "SELECT * FROM newsletter_chunk WHERE owner <> ''",
            "SELECT * FROM newsletter_unitkey",
            "SELECT * FROM newsletter_providerstate",
        )
        found = [self.sql(query, *([[*OPEN, "unknown"]] if "%s" in query else [])) for query in queries]
        return "\n".join(str(row) for rows in found for row in rows[:5])

    def record(self) -> list[dict[str, Any]]:
        """Return what the sink wrote down so far; a line that is being written is left out."""
        if self.record_path.exists():
            with self.record_path.open("rb") as file:
                file.seek(self._read)
                whole = file.read().rpartition(b"\n")[0]
            self._read += len(whole) + 1 if whole else 0
            self._record += map(json.loads, whole.splitlines())
        return self._record

    def handed(self) -> list[Handed]:
        """Return the mails of all calls; an answer that came too late is none."""
        late = {line["late"] for line in self.record() if "late" in line}
        handed = [Handed(**line) for line in self.record() if "call" in line]
        return [replace(mail, answer=mail.answer or "hang") if mail.call in late else mail for mail in handed]

    def most_repeated(self) -> int:
        """Return how often the workers were given the message that they were given most often."""
        log = (self.folder / "log").read_text(errors="replace")
        named = re.findall(r"Task newsletter\.tasks\.\w+\[([\w-]+)\] received", log)
        return max(Counter(named).values(), default=0)
