"""The same lists, stored by the same command, in the database that production uses."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

from tests.conftest import POSTGRES_URL, ROOT
from tests.factories import make_daily_item

pytestmark = pytest.mark.services


@pytest.fixture(scope="module")
def database() -> Iterator[str]:
    """The address of a database of our own, migrated."""
    name = f"paperboy_papers_{os.getpid()}"
    with psycopg.connect(POSTGRES_URL, autocommit=True) as server:
        server.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    url = urlsplit(POSTGRES_URL)._replace(path=f"/{name}").geturl()
    try:
        assert end(start(url, "migrate", "--verbosity", "0")) == ""
        yield url
    finally:
        with psycopg.connect(POSTGRES_URL, autocommit=True) as server:
            server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def start(url: str, *arguments: str) -> subprocess.Popen[str]:
    ours = {"DATABASE_URL": url, "DJANGO_SETTINGS_MODULE": "newsletter.settings", "ENV_FILE": os.devnull}
    return subprocess.Popen(
        [sys.executable, str(ROOT / "manage.py"), *arguments],
        env=os.environ | ours,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    """Wait for a process that has to succeed and return what it printed."""
    printed, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    return printed


def rows(url: str) -> dict[str, int]:
    with psycopg.connect(url) as database:
        return {
            table: database.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(f"papers_{table}")))
            .fetchall()[0][0]
            for table in ("paper", "listing", "snapshot", "ingestrun")
        }  # fmt: skip


def test_two_runs_at_once_store_a_hostile_list_once(database: str, tmp_path: Path) -> None:
    page = tmp_path / "page.json"
    hostile = "\x00 half \ud83d \u202e 'quoted' \\ %s {{ x }}"
    items = [make_daily_item(f"2607.{n:05d}", title=f"{n} {hostile}", summary=hostile) for n in range(1, 41)]
    page.write_text(json.dumps(items))
    command = ["ingest", "--source", "huggingface", "--date", "2026-07-01", "--from-file", str(page), "--json"]

    runs = [start(database, *command) for _ in range(2)]
    answers = [json.loads(end(run))["runs"][0] for run in runs]

    assert sorted(answer["new"] for answer in answers) == sorted(answer["listed"] for answer in answers) == [0, 40]
    assert rows(database) == {"paper": 40, "listing": 40, "snapshot": 80, "ingestrun": 2}
