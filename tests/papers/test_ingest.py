"""A list becomes papers, listings and snapshots: all of it or nothing, and never twice."""

import datetime as dt
import json
import re

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from papers.ingest import Counts, ingest, store
from papers.models import IngestRun, Listing, Paper, Snapshot, SourceState
from tests.factories import make_daily_item, make_paper, make_record

pytestmark = pytest.mark.django_db

DATE = dt.date(2026, 7, 1)
NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
LATER = NOW + dt.timedelta(hours=1)


def page_of(*items: object) -> bytes:
    return json.dumps(items).encode()


def ingest_page(page: bytes, *, now: dt.datetime = NOW, date: dt.date = DATE) -> IngestRun:
    return ingest("huggingface", date, now=now, pages=[page])


def rows() -> dict[str, int]:
    return {model.__name__: model.objects.count() for model in (Paper, Listing, Snapshot, IngestRun)}


# What is written -----------------------------------------------------------------------------------


def test_a_list_becomes_papers_listings_and_snapshots():
    run = ingest_page(page_of(make_daily_item("2607.00001"), make_daily_item("2607.00002", upvotes=9)))

    assert (run.status, run.fetched, run.new, run.updated, run.listed, run.rejected) == ("ok", 2, 2, 0, 2, 0)
    paper = Paper.objects.get(arxiv_id="2607.00002")
    assert (paper.title, paper.authors, paper.upvotes) == ("The paper 2607.00002", ["Ada Example"], 9)
    assert (paper.comment_count, paper.github_stars, paper.counted_at) == (1, None, NOW)
    listing = paper.listings.get()
    assert (listing.source, listing.list_date, listing.stored_at) == ("huggingface", DATE, NOW)
    snapshot = paper.snapshots.get()
    assert (snapshot.source, snapshot.taken_at, snapshot.upvotes) == ("huggingface", NOW, 9)


def test_a_second_run_adds_nothing_but_snapshots_and_a_run():
    page = page_of(make_daily_item("2607.00001"), make_daily_item("2607.00002"))
    ingest_page(page)
    known = Paper.objects.order_by("pk").values_list("pk", "title", "created_at", "listings__stored_at")
    before = list(known)

    run = ingest_page(page, now=LATER)

    assert (run.status, run.fetched, run.new, run.updated, run.listed) == ("ok", 2, 0, 0, 0)
    assert rows() == {"Paper": 2, "Listing": 2, "Snapshot": 4, "IngestRun": 2}
    assert list(known.all()) == before


def test_a_changed_paper_is_updated_and_counted():
    ingest_page(page_of(make_daily_item(), make_daily_item("2607.00002")))

    run = ingest_page(page_of(make_daily_item(title="Better"), make_daily_item("2607.00002", upvotes=99)), now=LATER)

    assert (run.new, run.updated) == (0, 1)
    assert Paper.objects.get(arxiv_id="2607.00001").title == "Better"
    assert Paper.objects.get(arxiv_id="2607.00002").upvotes == 99


def test_what_a_later_answer_leaves_out_stays_known():
    ingest_page(page_of(make_daily_item(ai_summary="Short.", githubStars=8, githubRepo="https://github.com/o/r")))

    run = ingest_page(page_of(make_daily_item()), now=LATER)

    paper = Paper.objects.get()
    assert (paper.tldr, paper.github_stars, paper.code_url, run.updated) == ("Short.", 8, "https://github.com/o/r", 0)


def test_older_counters_never_overwrite_newer_ones():
    ingest_page(page_of(make_daily_item(upvotes=50)), now=LATER)

    ingest_page(page_of(make_daily_item(upvotes=20)), now=NOW)

    paper = Paper.objects.get()
    assert (paper.upvotes, paper.counted_at) == (50, LATER)
    assert list(paper.snapshots.values_list("taken_at", "upvotes")) == [(NOW, 20), (LATER, 50)]


def test_a_paper_without_votes_is_listed_but_not_counted():
    item = make_daily_item()
    del item["paper"]["upvotes"], item["numComments"]

    ingest_page(page_of(item))

    assert rows() == {"Paper": 1, "Listing": 1, "Snapshot": 0, "IngestRun": 1}
    assert (Paper.objects.get().upvotes, Paper.objects.get().counted_at) == (None, None)


def test_a_paper_that_stands_twice_on_a_list_is_one():
    run = ingest_page(page_of(make_daily_item("2607.00001v1"), make_daily_item("2607.00001", upvotes=1)))

    assert rows() == {"Paper": 1, "Listing": 1, "Snapshot": 1, "IngestRun": 1}
    assert (run.status, run.fetched, Paper.objects.get().upvotes) == ("ok", 2, 7)


def test_the_sources_list_date_counts_and_the_asked_one_where_there_is_none():
    undated = make_daily_item("2607.00002")
    del undated["paper"]["submittedOnDailyAt"]

    ingest_page(page_of(make_daily_item("2607.00001", "2026-06-30"), undated))

    dates = dict(Listing.objects.values_list("paper__arxiv_id", "list_date"))
    assert dates == {"2607.00001": dt.date(2026, 6, 30), "2607.00002": DATE}


def test_a_paper_listed_again_has_two_listings():
    ingest_page(page_of(make_daily_item()))
    day = dt.timedelta(days=1)

    run = ingest_page(page_of(make_daily_item(list_date="2026-07-02")), now=NOW + day, date=DATE + day)

    assert (run.new, run.listed) == (0, 1)
    assert Paper.objects.get().listings.count() == 2


def test_hiding_a_paper_outlives_the_next_poll():
    ingest_page(page_of(make_daily_item()))
    Paper.objects.update(is_hidden=True)

    ingest_page(page_of(make_daily_item(title="Changed")), now=LATER)

    assert Paper.objects.get().is_hidden


def test_a_withdrawn_paper_stays_withdrawn_when_a_source_does_not_know():
    make_paper(arxiv_id="2607.00001", is_withdrawn=True)

    ingest_page(page_of(make_daily_item()))

    assert Paper.objects.get().is_withdrawn


def test_a_live_paper_replaces_a_sample_by_its_id_and_keeps_nothing_of_it():
    store("huggingface", [make_record(arxiv_id="9912.00001", tldr="Made up.", is_sample=True, upvotes=99)], DATE, NOW)

    store("huggingface", [make_record(arxiv_id="9912.00001", title="Real", upvotes=3)], DATE, LATER)

    paper = Paper.objects.get()
    assert (paper.title, paper.tldr, paper.is_sample, paper.upvotes) == ("Real", "", False, 3)


def test_a_sample_never_replaces_a_live_paper():
    store("huggingface", [make_record(arxiv_id="2401.00001", title="Real", upvotes=3)], DATE, NOW)

    sample = make_record(arxiv_id="2401.00001", title="Made up", is_sample=True)
    counts = store("huggingface", [sample], DATE, LATER)

    assert counts == Counts()
    assert (Paper.objects.get().title, Paper.objects.get().is_sample, Snapshot.objects.count()) == ("Real", False, 1)


# What goes wrong -----------------------------------------------------------------------------------


def test_a_bad_record_is_refused_with_id_and_reason_and_the_rest_is_stored():
    run = ingest_page(page_of(make_daily_item(), make_daily_item("2607.00002", upvotes="many"), 7))

    assert (run.status, run.fetched, run.new, run.rejected) == ("ok", 3, 1, 2)
    assert run.rejects == [
        {"id": "2607.00002", "reason": "“upvotes” is no count"},
        {"id": "", "reason": "the record is no JSON object"},
    ]


def test_a_list_date_in_the_future_is_refused():
    run = ingest_page(page_of(make_daily_item(), make_daily_item("2607.00002", "2026-07-02")))

    assert run.rejects == [{"id": "2607.00002", "reason": "its list date 2026-07-02 is in the future"}]


def test_a_list_of_nothing_but_bad_records_is_a_failure():
    run = ingest_page(page_of(7, 8))

    assert (run.status, run.error) == (
        "failed",
        "none of 2 records could be read; the first: the record is no JSON object",
    )


def test_an_empty_list_is_a_fact_and_no_error():
    run = ingest_page(b"[]")

    assert (run.status, run.fetched, run.error) == ("empty", 0, "")
    assert run.finished_at is not None


@pytest.mark.parametrize("page", [b"<html>", b"", b'{"error": "x"}', b"["])
def test_what_cannot_be_read_leaves_the_store_as_it_was(page):
    run = ingest("huggingface", DATE, now=NOW, pages=[page_of(make_daily_item()), page])

    assert run.status == "failed"
    assert "Hugging Face sent" in run.error
    assert rows() == {"Paper": 0, "Listing": 0, "Snapshot": 0, "IngestRun": 1}


def test_a_run_is_on_record_before_anything_is_fetched():
    def pages():
        assert IngestRun.objects.get().status == "running"
        yield b"[]"

    assert ingest("huggingface", DATE, now=NOW, pages=pages()).status == "empty"


@pytest.mark.django_db(transaction=True)
def test_what_the_database_refuses_is_a_failed_run_without_a_trace():
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE papers_snapshot RENAME TO away")
    try:
        run = ingest_page(page_of(make_daily_item()))
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE away RENAME TO papers_snapshot")

    assert run.status == "failed"
    assert "could not be stored" in run.error
    assert rows() == {"Paper": 0, "Listing": 0, "Snapshot": 0, "IngestRun": 1}


def test_a_run_that_was_cut_off_is_ended_by_the_next():
    IngestRun.objects.create(source="huggingface", list_date=DATE, started_at=NOW - dt.timedelta(hours=1))

    ingest_page(b"[]")

    assert list(IngestRun.objects.order_by("started_at").values_list("status", "error")) == [
        ("failed", "the run was cut off"),
        ("empty", ""),
    ]


# Size ----------------------------------------------------------------------------------------------


def statements(count: int, now: dt.datetime) -> list[str]:
    """What is said to the database to store ``count`` papers, by its first words."""
    records = [make_record(arxiv_id=f"2607.{n:05d}") for n in range(1, count + 1)]
    with CaptureQueriesContext(connection) as queries:
        store("huggingface", records, DATE, now)
    return [re.sub(r"\(.*|s\d+_x\d+", "", query["sql"], flags=re.DOTALL)[:60] for query in queries]


def test_the_number_of_statements_does_not_grow_with_the_papers():
    few_new, few_known = statements(5, NOW), statements(5, LATER)
    Paper.objects.all().delete()
    SourceState.objects.all().delete()
    many_new, many_known = statements(900, NOW), statements(900, LATER)

    assert (many_new, many_known) == (few_new, few_known)
    assert (len(many_new), len(many_known)) <= (13, 10)


def test_what_a_source_cannot_tell_has_its_default_in_a_new_row_and_stays_in_an_old_one():
    store("huggingface", [make_record(arxiv_id="2607.00001")], DATE, NOW)
    Paper.objects.update(is_hidden=True, created_at=NOW)
    record = make_record(arxiv_id="2607.00001", title="Changed", submitted_on=DATE, keywords=("a", "b"))

    store("huggingface", [record, make_record(arxiv_id="2607.00002")], DATE, LATER)

    old, new = Paper.objects.order_by("arxiv_id")
    assert (old.is_hidden, old.created_at, old.changed_at > NOW) == (True, NOW, True)
    assert (old.title, old.submitted_on, old.keywords, old.authors) == (
        "Changed",
        DATE,
        ["a", "b"],
        ["Ada Example", "Ben Example"],
    )
    assert (new.is_hidden, new.submitted_on, new.keywords, new.is_withdrawn) == (False, None, [], False)
    new.full_clean()


def test_nothing_to_store_asks_nothing(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert store("huggingface", [], DATE, NOW) == Counts()
