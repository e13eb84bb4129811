"""The operator can look everything up and hide a paper; feed text stays text, and long lists stay cheap."""

import datetime as dt
import json
from typing import Any

import pytest
from django.contrib.admin.models import LogEntry
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from papers.ingest import store
from papers.models import IngestRun, Listing, Paper, Snapshot, SourceState
from tests.factories import make_paper, make_record

pytestmark = pytest.mark.django_db

DATE = dt.date(2026, 7, 1)
NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
HOSTILE = "<script>alert('x')</script>{{ 7|add:7 }}"
READ_ONLY: dict[str, Any] = {
    "ingestrun": IngestRun,
    "listing": Listing,
    "snapshot": Snapshot,
    "sourcestate": SourceState,
}


def make_rows(count: int) -> None:
    for n in range(count):
        paper = make_paper(list_date=DATE, title=HOSTILE, organisation=HOSTILE)
        Snapshot.objects.create(paper=paper, source="huggingface", taken_at=NOW + dt.timedelta(minutes=n), upvotes=n)
        IngestRun.objects.create(source="huggingface", list_date=DATE, started_at=NOW, error=HOSTILE)


def address(page: str, *arguments: object) -> str:
    return reverse(f"admin:papers_{page}", args=arguments)


def count_queries(client, url: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        assert client.get(url).status_code == 200
    return len(queries)


@pytest.mark.parametrize("model", ["paper", "ingestrun", "listing", "snapshot"])
def test_a_list_costs_no_query_for_a_row(admin_client, model):
    make_rows(2)
    few = count_queries(admin_client, address(f"{model}_changelist"))
    make_rows(20)

    assert count_queries(admin_client, address(f"{model}_changelist")) == few


def test_a_papers_page_costs_no_query_for_a_listing_or_snapshot(admin_client):
    paper = make_paper(list_date=DATE)
    few = count_queries(admin_client, address("paper_change", paper.pk))
    for n in range(20):
        date = DATE + dt.timedelta(days=n + 1)
        Listing.objects.create(paper=paper, source="huggingface", list_date=date, stored_at=NOW)
        Snapshot.objects.create(paper=paper, source="huggingface", taken_at=NOW + dt.timedelta(hours=n), upvotes=n)

    # The snapshots' own look-up is skipped where there are none.
    assert count_queries(admin_client, address("paper_change", paper.pk)) <= few + 1


@pytest.mark.parametrize("model", ["paper", *READ_ONLY])
def test_feed_text_is_shown_as_text(admin_client, model):
    make_rows(1)
    SourceState.objects.create(source="huggingface")
    row = (READ_ONLY | {"paper": Paper})[model].objects.first()
    pages = [address(f"{model}_changelist"), address(f"{model}_change", row.pk)]

    for page in pages:
        response = admin_client.get(page)
        assert response.status_code == 200
        assert HOSTILE not in response.content.decode()
        assert "alert(" not in response.content.decode().replace("&lt;script&gt;alert(", "")


@pytest.mark.parametrize("model", READ_ONLY)
def test_what_the_machine_wrote_cannot_be_changed(admin_client, model):
    make_rows(1)
    SourceState.objects.create(source="huggingface")
    row = READ_ONLY[model].objects.first()

    assert admin_client.get(address(f"{model}_add")).status_code == 403
    assert admin_client.post(address(f"{model}_change", row.pk), {"source": "x"}).status_code == 403
    assert admin_client.post(address(f"{model}_delete", row.pk), {"post": "yes"}).status_code == 403


def test_a_paper_is_neither_added_nor_deleted_by_hand(admin_client):
    paper = make_paper()

    assert admin_client.get(address("paper_add")).status_code == 403
    assert admin_client.post(address("paper_delete", paper.pk), {"post": "yes"}).status_code == 403


def test_hiding_and_showing_again_is_done_and_logged_for_many_at_once(admin_client, django_assert_max_num_queries):
    papers = [make_paper() for _ in range(20)]
    others = make_paper()
    selected = [paper.pk for paper in papers]

    with django_assert_max_num_queries(20):
        admin_client.post(address("paper_changelist"), {"action": "hide", "_selected_action": selected})
    assert set(Paper.objects.filter(is_hidden=True)) == set(papers)
    assert LogEntry.objects.filter(change_message__contains="Hidden").count() == 20

    admin_client.post(address("paper_changelist"), {"action": "unhide", "_selected_action": selected})
    assert not Paper.objects.filter(is_hidden=True).exists()
    assert not Paper.objects.get(pk=others.pk).is_hidden


def test_the_operator_finds_papers_by_id_title_and_filters(admin_client):
    make_paper(arxiv_id="2607.00001", title="About robots", list_date=DATE)
    make_paper(arxiv_id="2607.00002", title="About birds", is_hidden=True)

    def found(query: str) -> list[str]:
        response = admin_client.get(f"{address('paper_changelist')}?{query}")
        return [paper.arxiv_id for paper in response.context["cl"].result_list]

    assert found("q=2607.00001") == found("q=robots") == found("is_hidden__exact=0") == ["2607.00001"]
    assert found("listings__source=huggingface") == ["2607.00001"]
    assert found("listings__list_date__gte=2026-07-01") == ["2607.00001"]
    assert found("") == ["2607.00002", "2607.00001"]


def test_the_operator_fixes_a_field_and_leaves_the_counters(admin_client):
    paper = make_paper(list_date=DATE, authors=[], categories=[], code_url="https://github.com/o/r")
    Snapshot.objects.create(paper=paper, source="huggingface", taken_at=NOW, upvotes=3)
    form = {
        "title": "A better title", "is_hidden": "on", "abstract": "", "tldr": "", "keywords": "[]", "comment": "",
        "authors": "[]", "organisation": "", "categories": "[]", "submitted_on": "2026-07-01", "updated_on": "",
        "version": "", "code_url": "https://github.com/o/r", "project_url": "", "thumbnail_url": "",
        "upvotes": "999999", "arxiv_id": "9999.99999",
        **{f"{inline}-{name}_FORMS": 0 for inline in ("listings", "snapshots") for name in ("TOTAL", "INITIAL")},
    }  # fmt: skip

    response = admin_client.post(address("paper_change", paper.pk), form)

    assert response.status_code == 302
    fixed = Paper.objects.get(pk=paper.pk)
    assert (fixed.title, fixed.is_hidden, fixed.authors) == ("A better title", True, [])
    assert (fixed.upvotes, fixed.arxiv_id) == (10, paper.arxiv_id)
    assert (fixed.listings.count(), fixed.snapshots.count()) == (1, 1)


def test_what_the_operator_put_right_outlives_the_next_poll(admin_client):
    paper = make_paper(title="Wrong", told_by={"title": "huggingface", "abstract": "huggingface"})
    page = admin_client.get(address("paper_change", paper.pk))
    form = {key: value for key, value in page.context["adminform"].form.initial.items() if value is not None}
    form |= {f"{name}-{n}_FORMS": 0 for name in ("listings", "snapshots") for n in ("TOTAL", "INITIAL")}
    posted = {key: json.dumps(value) if isinstance(value, list) else value for key, value in form.items()}
    admin_client.post(address("paper_change", paper.pk), posted | {"title": "Right"})

    store("huggingface", [make_record(arxiv_id=paper.arxiv_id, title="Wrong", abstract="New.")], DATE, NOW)

    paper.refresh_from_db()
    assert (paper.title, paper.abstract) == ("Right", "New.")


def test_an_address_that_is_no_web_address_is_no_link(admin_client):
    paper = make_paper(code_url="javascript:alert(1)")

    assert 'href="javascript:' not in admin_client.get(address("paper_change", paper.pk)).content.decode()
