"""``make bench``: each benchmark in a process and on a database of its own, a line of JSON for each figure."""

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from tests.conftest import POSTGRES_URL, REDIS_URL, ROOT, shared_data

# What each benchmark stores its rows in; '' where it needs no database.
BENCHMARKS = {
    "ingest": ("sqlite", "postgresql"),
    "due": ("",),
    "matching": ("",),
    "body": ("sqlite",),
    "planning": ("postgresql",),
    "delivery": ("postgresql",),
    "task": ("",),
    "trending": ("",),
    "search": ("sqlite", "postgresql"),
    "readers": ("postgresql",),
    "taste": ("",),
    "chunk": ("postgresql",),
    "million": ("postgresql",),
}


@contextmanager
def database(kind: str, folder: Path) -> Iterator[str]:
    """Yield the address of a database that is there for one benchmark."""
    if kind != "postgresql":
        yield f"sqlite:///{folder / 'bench.sqlite3'}"
        return
    name = f"paperboy_bench_{secrets.token_hex(4)}"
    with psycopg.connect(POSTGRES_URL, autocommit=True, connect_timeout=3) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def run(name: str, kind: str, size: str, results: Path) -> int:
    """Run one benchmark on one database; return its exit status, 0 where there is no such database."""
    with tempfile.TemporaryDirectory(prefix="paperboy-bench-") as folder:
        try:
            with database(kind, Path(folder)) as url:
                return measure(name, kind, size, environment(folder, url), results)
        except psycopg.OperationalError as error:
            print(f"{name}: no PostgreSQL, left out: {error}", file=sys.stderr)  # noqa: T201
            return 0


def measure(name: str, kind: str, size: str, env: dict[str, str], results: Path) -> int:
    """Print and append what the benchmark's process says; return its exit status."""
    command = [sys.executable, "-m", f"tests.benchmarks.{name}", size]
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True, check=False)
    with results.open("a") as kept:
        for line in done.stdout.splitlines():
            figure = json.dumps(json.loads(line) | ({"database": kind} if kind else {}))
            print(figure, flush=True)  # noqa: T201
            kept.write(figure + "\n")
    return done.returncode


def environment(folder: str, url: str) -> dict[str, str]:
    """Return the settings of the embedded default, whatever the developer's own are."""
    ours = {"DJANGO_SETTINGS_MODULE": "newsletter.settings", "ENV_FILE": os.devnull, "LOG_LEVEL": "WARNING"}
    ours |= {"TEST_POSTGRES_URL": POSTGRES_URL, "TEST_REDIS_URL": REDIS_URL}
    ours |= {"SHARED_DATA": str(data)} if (data := shared_data()) else {}
    return {"PATH": os.environ["PATH"], "HOME": folder, "VAR_DIR": folder, "DATABASE_URL": url} | ours


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", choices=["small", "full"], default="small")
    parser.add_argument("--only", choices=["", *BENCHMARKS], default="", help="one benchmark; all by default")
    parser.add_argument("--results", type=Path, default=ROOT / "var" / "bench.jsonl", help="the lines are appended")
    arguments = parser.parse_args()
    arguments.results.parent.mkdir(exist_ok=True)
    wanted = [arguments.only] if arguments.only else list(BENCHMARKS)
    statuses = [run(name, kind, arguments.size, arguments.results) for name in wanted for kind in BENCHMARKS[name]]
    return max(statuses)


if __name__ == "__main__":
    sys.exit(main())
