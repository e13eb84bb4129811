"""The README's recipe for a third source, followed: one module, one line, and all of ingest works."""

import datetime as dt
import json
from pathlib import Path
from types import ModuleType

import pytest
from django.core.management import call_command

from papers.ingest import ingest
from papers.models import Listing, Paper, Snapshot
from papers.polling import due_dates, freshness
from papers.sources import SOURCES, Source

pytestmark = pytest.mark.django_db

# As it would stand in papers/sources/reading_group.py: what a reading group keeps in files.
MODULE = '''
"""The reading group's list: a JSON file per day."""

import datetime as dt
import json
from collections.abc import Iterator
from pathlib import Path

from papers.records import Page, PaperRecord, Reject, bare_id
from papers.sources.client import Client, SourceError
from papers.text import prose

NAME = "reading_group"
TITLE = "Our reading group"
LAG = 0
FOLDER = Path("/nowhere")


def base_urls() -> tuple[str, ...]:
    return ()


def fetch(client: Client, date: dt.date) -> Iterator[bytes]:
    path = FOLDER / f"{date}.json"
    if path.is_file():
        yield path.read_bytes()


def parse(page: bytes) -> Page:
    try:
        items = json.loads(page)
        found = [(item["id"], item["title"], item.get("stars")) for item in items]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise SourceError(f"the file is no list of papers: {error}") from error
    records, rejects = [], []
    for arxiv_id, title, stars in found:
        try:
            records.append(PaperRecord(bare_id(arxiv_id), prose(title), upvotes=stars))
        except ValueError as error:
            rejects.append(Reject(arxiv_id, str(error)))
    return Page(tuple(records), tuple(rejects))
'''

DATE = dt.date(2026, 7, 1)
NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)


@pytest.fixture
def folder(tmp_path, monkeypatch, settings) -> Path:
    module = ModuleType("reading_group")
    exec(MODULE, module.__dict__)  # noqa: S102 - our own text, as if it were a file
    module.FOLDER = tmp_path  # type: ignore[attr-defined]
    monkeypatch.setitem(SOURCES, module.NAME, Source.of(module))
    settings.SOURCES = ["huggingface", module.NAME]
    return tmp_path


def write(folder: Path, *items: object) -> None:
    (folder / f"{DATE}.json").write_text(json.dumps(items))


def test_its_list_is_stored_like_any_other(folder):
    write(folder, {"id": "2607.00001v2", "title": "A $k$-th paper", "stars": 3}, {"id": "nonsense", "title": "x"})

    run = ingest("reading_group", DATE, now=NOW)

    assert (run.status, run.fetched, run.new, run.listed, run.rejected) == ("ok", 2, 1, 1, 1)
    paper = Paper.objects.get()
    assert (paper.title, paper.upvotes, Snapshot.objects.count()) == ("A k-th paper", 3, 1)
    assert Listing.objects.get().source == "reading_group"


def test_a_paper_that_others_know_too_is_one(folder):
    write(folder, {"id": "2607.00001", "title": "Ours"})
    ingest("reading_group", DATE, now=NOW)
    page = json.dumps([{"paper": {"id": "2607.00001", "title": "Theirs"}}]).encode()

    ingest("huggingface", DATE, now=NOW, pages=[page])
    ingest("reading_group", DATE, now=NOW)

    assert (Paper.objects.get().title, Listing.objects.count()) == ("Theirs", 2)


def test_no_file_is_no_list_and_a_bad_file_is_a_failure(folder):
    assert ingest("reading_group", DATE, now=NOW).status == "empty"

    (folder / f"{DATE}.json").write_text("[{")
    run = ingest("reading_group", DATE, now=NOW)

    assert run.status == "failed"
    assert "the file is no list of papers" in run.error


def test_it_is_polled_and_its_freshness_is_known(folder):
    assert DATE in due_dates("reading_group", NOW)
    assert freshness("reading_group", NOW).is_stale


def test_the_command_knows_it(folder, capsys):
    write(folder, {"id": "2607.00001", "title": "Ours"})

    call_command("ingest", "--source", "reading_group", "--date", "2026-07-01", "--json")

    assert json.loads(capsys.readouterr().out)["runs"][0]["listed"] == 1


def test_what_a_module_lacks_is_named():
    with pytest.raises(TypeError, match=r"'LAG'.*'parse'"):
        Source.of(ModuleType("empty"))
