"""All recorded days, over HTTP as upstream sends them: what the files hold is what the store holds."""

import datetime as dt
import json

import pytest

from papers.ingest import ingest
from papers.models import IngestRun, Listing, Paper, Snapshot
from papers.sources.client import Client

pytestmark = [pytest.mark.data, pytest.mark.django_db]

NOW = dt.datetime(2026, 7, 25, 12, tzinfo=dt.UTC)


@pytest.fixture(scope="session")
def lists(data):
    """The ids of each recorded day, from the files."""
    paths = [path for folder in ("daily", "odd") for path in (data / "huggingface" / folder).glob("*.json")]
    return {
        dt.date.fromisoformat(path.stem): [item["paper"]["id"] for item in json.loads(path.read_text())]
        for path in paths
    }


def ingest_all(dates, now):
    runs = [ingest("huggingface", date, now=now) for date in sorted(dates)]
    assert [run.error for run in runs] == [""] * len(runs)
    return runs


def rows():
    return {model.__name__: model.objects.count() for model in (Paper, Listing, Snapshot, IngestRun)}


def test_every_distinct_id_item_and_poll_is_stored_once(lists, replay, settings):
    settings.HUGGINGFACE_URL = replay
    distinct_ids = {arxiv_id for ids in lists.values() for arxiv_id in ids}
    items = {(date, arxiv_id) for date, ids in lists.items() for arxiv_id in ids}
    polled = sum(len(set(ids)) for ids in lists.values())

    runs = ingest_all(lists, NOW)

    assert len(lists) == 23
    assert rows() == {
        "Paper": len(distinct_ids),
        "Listing": len(items),
        "Snapshot": polled,
        "IngestRun": len(lists),
    }
    assert set(Listing.objects.values_list("list_date", "paper__arxiv_id")) == items
    assert sum(run.fetched for run in runs) == sum(len(ids) for ids in lists.values())
    assert sum(run.rejected for run in runs) == 0

    again = ingest_all(lists, NOW + dt.timedelta(hours=1))

    assert rows() == {
        "Paper": len(distinct_ids),
        "Listing": len(items),
        "Snapshot": 2 * polled,
        "IngestRun": 2 * len(lists),
    }
    assert [(run.new, run.updated, run.listed) for run in again] == [(0, 0, 0)] * len(lists)


def test_a_day_without_a_list_is_empty(replay, settings):
    settings.HUGGINGFACE_URL = replay

    assert ingest("huggingface", dt.date(2026, 7, 4), now=NOW).status == "empty"


def test_a_list_that_drips_in_is_waited_for(replay):
    with Client(replay) as client:
        client.session.post(f"{replay}/_faults", json={"path": "/api/daily_papers", "kind": "slow"})

        assert ingest("huggingface", dt.date(2026, 7, 15), now=NOW, client=client).status == "ok"
