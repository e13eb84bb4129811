"""PostgreSQL and Redis servers of the crash tests' own, on free ports: nobody else's is ever stopped or flushed."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

import psycopg
import redis

PATIENCE_S = 60.0  # a machine that does much else beside this is slow to start things
ended = threading.Event()  # nobody waits for anything any more


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def until(what: Callable[[], object], why: str, patience_s: float = PATIENCE_S) -> None:
    """Wait for a condition; raises ``TimeoutError`` that says what was waited for."""
    ends = time.monotonic() + patience_s
    while not what():
        if ended.is_set():
            raise InterruptedError(why)
        if time.monotonic() > ends:
            raise TimeoutError(f"{why} did not come about within {patience_s:.0f} s")
        time.sleep(0.1)


def postgresql_bin() -> Path:
    """Return the folder of the newest PostgreSQL's programs; Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return found[-1] if found else Path(shutil.which("initdb") or "/usr/bin/initdb").resolve().parent


def lacking() -> str:
    """Return what cannot be started here, '' when everything is there."""
    is_there = {"initdb": (postgresql_bin() / "initdb").exists(), "redis-server": shutil.which("redis-server")}
    names = [name for name, found in is_there.items() if not found]
    return f"no {' and no '.join(names)}: `bash .ci/run` installs them" if names else ""


class Postgres:
    """A server on a data folder of its own; ``with Postgres(folder) as server``. PostgreSQL refuses to run as root."""

    def __init__(self, folder: Path, like: Path | None = None) -> None:
        self.folder, self.like, self.port = folder, like, free_port()
        self.user = "postgres" if os.geteuid() == 0 else None
        self.bin = postgresql_bin()

    def __enter__(self) -> Self:
        """Make the data folder, or copy that of a server that has ended, and start."""
        self.folder.mkdir(mode=0o700)
        if self.user:
            shutil.chown(self.folder, self.user)
        if self.like:
            self._run("cp", "-r", f"{self.like}/.", str(self.folder))
        else:
            options = ["-U", "postgres", "--auth", "trust", "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
            self._run(str(self.bin / "initdb"), "-D", str(self.folder), *options)
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop(signal.SIGINT)

    def start(self) -> None:
        options = [f"-cport={self.port}", "-clisten_addresses=127.0.0.1", "-cunix_socket_directories=", "-cfsync=off"]
        with (self.folder.parent / f"{self.folder.name}.log").open("a") as log:
            self.process = subprocess.Popen(
                [self.bin / "postgres", "-D", self.folder, *options], cwd="/", user=self.user, stdout=log, stderr=log
            )
        until(self._answers, "a PostgreSQL server that answers")

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End it: SIGINT breaks off the connections, SIGQUIT is a crash that the next start recovers from."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        self.process.wait(PATIENCE_S)

    def url(self, database: str) -> str:
        return f"postgres://postgres@127.0.0.1:{self.port}/{database}"

    def _run(self, *command: str) -> None:
        subprocess.run(command, cwd="/", user=self.user, check=True, stdout=subprocess.DEVNULL)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres"), connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


class Redis:
    """A server without a memory: what it held is gone when it ends. ``with Redis(folder) as server``."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def __enter__(self) -> Self:
        self.folder.mkdir()
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--dir", str(self.folder)]
        self.process = subprocess.Popen(["redis-server", *options], stdout=subprocess.DEVNULL)
        until(self._answers, "a Redis server that answers")

    def stop(self) -> None:
        self.process.kill()
        self.process.wait(PATIENCE_S)

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as server:
            server.flushall()

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url) as server:
                return bool(server.ping())
        except redis.ConnectionError:
            return False
