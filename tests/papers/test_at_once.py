"""Two sources that are ingested at the same moment, on PostgreSQL, store what they would have stored in turn."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from tests.conftest import ROOT
from tests.factories import make_daily_item
from tests.papers.test_arxiv_xml import ITEM, rss

pytestmark = pytest.mark.services

INGEST = """
import datetime as dt, pathlib, sys, time
import django
django.setup()
from papers.ingest import ingest
source, path, start = sys.argv[1:]
now = dt.datetime(2026, 8, 21, 12, tzinfo=dt.UTC)
time.sleep(max(0, float(start) - time.time()))
run = ingest(source, now.date(), now=now, pages=[pathlib.Path(path).read_bytes()])
print(run.status, run.new, run.listed, run.error)
"""
IDS = [f"2608.{n:05d}" for n in range(300)]


def at_once(postgres: str, folder: Path, *lists: tuple[str, bytes]) -> list[str]:
    """Ingest each list by a process of its own, and return what they print."""
    environment = {
        "DJANGO_SETTINGS_MODULE": "newsletter.settings",
        "ENV_FILE": os.devnull,
        "VAR_DIR": str(folder),
        "DATABASE_URL": postgres,
    }
    start, processes = str(time.time() + 4), []
    for number, (source, page) in enumerate(lists):
        path = folder / f"{number}.page"
        path.write_bytes(page)
        command = [sys.executable, "-c", INGEST, source, str(path), start]
        processes.append(
            subprocess.Popen(command, cwd=ROOT, env=os.environ | environment, stdout=subprocess.PIPE, text=True)
        )
    return [process.communicate(timeout=60)[0].strip() for process in processes]


def count(postgres: str, query: str) -> int:
    with psycopg.connect(postgres) as database:
        found = database.execute(query.encode()).fetchone()
    assert found is not None
    return int(found[0])


def daily() -> bytes:
    return json.dumps([make_daily_item(n, "2026-08-21", title="Theirs", ai_summary="Short.") for n in IDS]).encode()


def test_two_sources_that_find_the_same_papers_lose_nothing_of_each_other(postgres, tmp_path):
    feed = rss(*[ITEM.format(kind="new").replace("2608.20055", n).replace("A title", "Ours") for n in IDS])

    said = at_once(postgres, tmp_path, ("huggingface", daily()), ("arxiv", feed))

    assert sorted(said) == ["ok 0 300", "ok 300 300"]
    whole = "tldr = 'Short.' AND title LIKE 'Ours%' AND version = 1 AND upvotes = 7"
    assert count(postgres, f"SELECT count(*) FROM papers_paper WHERE {whole}") == 300  # noqa: S608
