"""Real records, spoilt at random, go through the whole of ingest: never an exception, and every loss is counted."""

import copy
import datetime as dt
import json
import random

import pytest
from django.db import transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from papers.ingest import ingest
from papers.models import IngestRun, Paper
from tests.papers.test_huggingface import mutated

pytestmark = [pytest.mark.data, pytest.mark.django_db]

NOW = dt.datetime(2026, 8, 21, 12, tzinfo=dt.UTC)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.just([]),
    st.just({}),
    st.text(st.characters(), max_size=20),
    st.sampled_from(
        ["x" * 30_000, "\x00", "\ud83d", "\u202eevil\u2066", "javascript:alert(1)", "9999-12-31", "$\\frac{"]
    ),
)
pieces = st.sampled_from(
    [
        "",
        "x" * 30_000,
        "\x00",
        "\ud83d",
        "\u202e",
        "<",
        "&",
        "]]>",
        "<x>",
        "</entry>",
        "</item>",
        "&#xD800;",
        "&#0;",
        "-1",
    ]
)
several = settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))


def attempt(source: str, page: bytes) -> IngestRun:
    """Ingest one page, look at what is there, and leave nothing of it."""
    with transaction.atomic():
        run = ingest(source, NOW.date(), now=NOW, pages=[page])
        assert run.status in {"ok", "empty", "failed"}
        assert bool(run.error) == (run.status == "failed")
        assert run.rejected == len(run.rejects) <= run.fetched
        assert all(reject["reason"] for reject in run.rejects)
        for paper in Paper.objects.all():
            json.dumps([paper.title, paper.abstract, paper.authors, paper.keywords, paper.comment]).encode()
            paper.full_clean(exclude=["comment"], validate_unique=False)
        transaction.set_rollback(True)
    return run


@pytest.fixture(scope="module")
def items(data):
    return json.loads((data / "huggingface" / "daily" / "2026-07-15.json").read_text())


@given(chance=st.randoms(use_true_random=False), what=st.lists(values, min_size=1, max_size=5))
@several
def test_spoilt_records_of_daily_papers(items, chance: random.Random, what: list[object]):
    page: object = copy.deepcopy(items)
    for value in what:
        page = mutated(page, chance, value)

    attempt("huggingface", json.dumps(page).encode())


@pytest.mark.parametrize(
    "name",
    [
        "rss/rss2_cs_2026-08-21_30_odd.xml",
        "atom/arxivpy_q_testing_s0_m10_bc5a6c384fe9.http200.xml",
        "oai/listrecords_arXivRaw_last_page_empty_token.xml",
    ],
)
@given(chance=st.randoms(use_true_random=False), what=st.lists(pieces, min_size=1, max_size=5))
@several
def test_spoilt_pages_of_arxiv(data, name, chance: random.Random, what: list[str]):
    text = (data / "arxiv" / name).read_text()
    for piece in what:
        start = chance.randrange(len(text))
        text = text[:start] + piece + text[start + chance.randrange(60) :]

    attempt("arxiv", text.encode("utf-8", "surrogatepass"))
