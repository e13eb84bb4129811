"""Daily Papers, as its recorded answers are: optional keys, two dates, text and addresses nobody vouches for."""

import copy
import datetime as dt
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.records import Page, PaperRecord
from papers.sources import SOURCES, huggingface
from papers.sources.client import SourceError
from tests.factories import make_daily_item


def parse(*items: object) -> Page:
    return huggingface.parse(json.dumps(items).encode())


def only_record(**paper: Any) -> PaperRecord:
    page = parse(make_daily_item(**paper))
    assert not page.rejects
    (record,) = page.records
    return record


def test_it_is_one_of_the_sources():
    source = SOURCES["huggingface"]

    assert (source.NAME, source.TITLE, source.LAG) == ("huggingface", "Hugging Face", 1)
    assert source.base_urls() == ("https://huggingface.co",)


def test_the_nested_fields_are_read():
    item = make_daily_item(
        authors=[{"name": "Ada Example"}, {"name": "Ben\n Example", "hidden": True, "user": {"name": "ben"}}],
        projectPage="https://example.org/p",
        githubRepo="https://github.com/o/r",
        githubStars=8,
        ai_summary="One sentence.",
        ai_keywords=["diffusion", "diffusion", "robots"],
        organization={"_id": "o", "name": "lab", "fullname": "The Lab"},
        upvotes=163,
    )
    item["thumbnail"] = "https://cdn.example.org/t.png"
    (record,) = parse(item).records

    assert record == PaperRecord(
        arxiv_id="2607.00001",
        title="The paper 2607.00001",
        abstract="An abstract. It has two sentences.",
        authors=("Ada Example", "Ben Example"),
        organisation="The Lab",
        submitted_on=dt.date(2026, 6, 29),
        tldr="One sentence.",
        keywords=("diffusion", "robots"),
        code_url="https://github.com/o/r",
        project_url="https://example.org/p",
        thumbnail_url="https://cdn.example.org/t.png",
        upvotes=163,
        comment_count=1,
        github_stars=8,
        list_date=dt.date(2026, 7, 1),
    )


def test_an_item_with_nothing_but_id_and_title_is_a_paper():
    (record,) = parse({"paper": {"id": "2405.15738", "title": "Old"}}).records

    assert record == PaperRecord("2405.15738", "Old")


def test_the_outer_date_is_never_used():
    item = make_daily_item()
    del item["paper"]["publishedAt"], item["paper"]["submittedOnDailyAt"]
    (record,) = parse(item).records

    assert (record.submitted_on, record.list_date) == (None, None)


def test_null_is_as_good_as_absent():
    item = make_daily_item()
    bare = {"id": "2607.00001", "title": "The paper 2607.00001"}
    nulls = {"paper": dict.fromkeys(item["paper"]) | bare, "organization": None, "numComments": None}

    assert parse(nulls).records == (PaperRecord("2607.00001", "The paper 2607.00001"),)


def test_the_claiming_organisation_may_stand_outside():
    item = make_daily_item() | {"organization": {"name": "outer lab"}}

    assert parse(item).records[0].organisation == "outer lab"


def test_versions_are_no_part_of_the_id():
    assert only_record(arxiv_id="2607.00001v3").arxiv_id == "2607.00001"


def test_text_is_one_line_that_nobody_stripped():
    record = only_record(title="Two\nlines \u202e\x00\ud83d", summary="Use <think> for $5\u2028and {{ it }}.")

    assert (record.title, record.abstract) == ("Two lines", "Use <think> for $5 and {{ it }}.")


@pytest.mark.parametrize("url", ["javascript:alert(1)", "/avatars/x.svg", "data:text/html,<p>", 7, ["https://a.org"]])
def test_an_address_that_is_none_is_left_out(url):
    item = make_daily_item(githubRepo=url, projectPage=url) | {"thumbnail": url}
    (record,) = parse(item).records

    assert (record.code_url, record.project_url, record.thumbnail_url) == ("", "", "")


@pytest.mark.parametrize(
    ("broken", "reason"),
    [
        ({"id": 7}, "“id” is no text"),
        ({"id": "not-an-id"}, "'not-an-id' is no arXiv id"),
        ({"id": None}, "'' is no arXiv id"),
        ({"title": ["a"]}, "“title” is no text"),
        ({"title": "x" * 1001}, "the title has 1001 characters"),
        ({"summary": 3.5}, "“summary” is no text"),
        ({"authors": "Ada"}, "“authors” is no list"),
        ({"authors": ["Ada"]}, "an author is no JSON object"),
        ({"authors": [{"name": 1}]}, "“name” is no text"),
        ({"upvotes": "many"}, "“upvotes” is no count"),
        ({"upvotes": -1}, "“upvotes” is no count"),
        ({"upvotes": True}, "“upvotes” is no count"),
        ({"upvotes": 10**30}, "“upvotes” is no count"),
        ({"publishedAt": "yesterday"}, "“publishedAt” is no date: yesterday"),
        ({"submittedOnDailyAt": 20260701}, "“submittedOnDailyAt” is no text"),
    ],
)
def test_a_bad_record_is_refused_with_a_reason_and_the_rest_is_kept(broken, reason):
    page = parse(make_daily_item() | {"paper": make_daily_item()["paper"] | broken}, make_daily_item("2607.00002"))

    assert [record.arxiv_id for record in page.records] == ["2607.00002"]
    assert [reject.reason for reject in page.rejects] == [reason]


@pytest.mark.parametrize("item", [None, 7, "text", [], {}, {"paper": None}, {"paper": []}])
def test_an_item_that_is_no_paper_is_refused(item):
    page = parse(item, make_daily_item())

    assert len(page.rejects) == len(page.records) == 1


def test_a_paper_without_a_title_of_its_own_takes_the_outer_one():
    item = make_daily_item(title="")

    assert parse(item).records[0].title == "Outer"
    assert parse(item | {"title": " "}).rejects[0].reason == "the title is missing"


@pytest.mark.parametrize(
    ("page", "message"),
    [
        (b"<!doctype html><title>Maintenance</title>", "an HTML page instead of a list"),
        (b"", "an empty answer instead of a list"),
        (b"[{", "something unreadable instead"),
        (b"\xff\xfe\x00[", "something unreadable instead"),
        (b"[" * 100_000, "something unreadable instead"),
        (b'{"error": "gone"}', "no list of papers"),
    ],
)
def test_what_is_no_list_is_the_sources_failure(page, message):
    with pytest.raises(SourceError, match=message):
        huggingface.parse(page)


def test_one_absurd_number_costs_one_record():
    body = json.dumps([make_daily_item(upvotes=123454321), make_daily_item("2607.00002")])
    page = huggingface.parse(body.replace("123454321", "9" * 10_000).encode())

    assert (len(page.records), len(page.rejects)) == (1, 1)


# Real records, and what a careless or hostile upstream may make of them ----------------------------


def recorded(folder: Path) -> list[Path]:
    return sorted((folder / "huggingface").glob("daily/*.json")) + sorted((folder / "huggingface").glob("odd/*.json"))


@pytest.mark.data
def test_every_recorded_record_is_read(data):
    for path in recorded(data):
        items = json.loads(path.read_text())
        page = huggingface.parse(path.read_bytes())

        assert not page.rejects
        assert [record.arxiv_id for record in page.records] == [item["paper"]["id"] for item in items]
        assert [len(record.authors) for record in page.records] == [len(i["paper"]["authors"]) for i in items]
        assert [record.upvotes for record in page.records] == [item["paper"]["upvotes"] for item in items]


@pytest.mark.data
def test_what_is_odd_about_the_recorded_days_is_still_there(data):
    odd = {p.stem: huggingface.parse(p.read_bytes()).records for p in (data / "huggingface" / "odd").glob("*.json")}

    assert {record.list_date for record in odd["2024-05-27"]} == {None}
    assert max(len(record.authors) for record in odd["2024-08-01"]) == 533
    assert len(odd["2025-09-30"]) == 50


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.just("javascript:alert(1)"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def full_item() -> dict[str, object]:
    return make_daily_item(
        authors=[{"name": "Ada Example"}, {"name": "Ben Example"}],
        projectPage="https://example.org/p",
        githubRepo="https://github.com/o/r",
        githubStars=8,
        ai_summary="One sentence.",
        ai_keywords=["diffusion", "robots"],
        organization={"name": "lab", "fullname": "The Lab"},
    ) | {"thumbnail": "https://cdn.example.org/t.png"}


def places(value: object, path: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
    """Every place inside a JSON value, the outermost first."""
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in children for place in places(child, (*path, key)))]


@given(where=st.lists(st.randoms(use_true_random=False), min_size=1, max_size=4), what=st.lists(anything, min_size=4))
def test_no_mutated_record_breaks_the_page_or_leaves_the_shape(where: list[random.Random], what: list[object]):
    item: object = full_item()
    for chance, value in zip(where, what, strict=False):
        item = mutated(item, chance, value)
    page = huggingface.parse(json.dumps([item, full_item()]).encode())

    assert len(page.records) + len(page.rejects) == 2
    assert page.records[-1].title == "The paper 2607.00001"
    for record in page.records:
        for url in (record.code_url, record.project_url, record.thumbnail_url):
            assert not url or url.startswith(("https://", "http://"))
        assert all(0 <= n < 2**31 for n in (record.upvotes, record.comment_count, record.github_stars) if n is not None)
        for text in (
            record.title,
            record.abstract,
            record.tldr,
            record.organisation,
            *record.authors,
            *record.keywords,
        ):
            text.encode()
            assert "\x00" not in text
    assert all(reject.reason for reject in page.rejects)


def mutated(item: object, chance: random.Random, value: object) -> object:
    """Return a copy of ``item`` in which one place holds ``value``, or nothing."""
    copied = copy.deepcopy(item)
    *path, last = chance.choice(places(copied)) or [None]
    if last is None:
        return value
    parent = copied
    for key in path:
        parent = parent[key]  # type: ignore[index]
    if chance.random() < 0.3:
        del parent[last]  # type: ignore[attr-defined]
    else:
        parent[last] = value  # type: ignore[index]
    return copied


def test_the_mutations_reach_every_key():
    seen = Counter(str(place[-1]) for place in places(full_item()) if place)

    assert {"id", "authors", "name", "upvotes", "fullname", "thumbnail"} <= set(seen)
