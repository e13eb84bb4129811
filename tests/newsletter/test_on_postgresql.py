"""Several of everything at once, in the database that production uses."""

import json

import pytest

from tests.newsletter.instance import PAPERS, PATIENCE_S, Instance

pytestmark = pytest.mark.services


@pytest.fixture
def instance(tmp_path):
    with Instance(tmp_path, REDIS_URL="") as instance:
        yield instance


def at_once(instance: Instance, count: int, *arguments: str) -> list[dict[str, object]]:
    processes = [instance.start("manage.py", *arguments) for _ in range(count)]
    printed = [process.communicate(timeout=PATIENCE_S)[0] for process in processes]
    return [json.loads(text) for text in printed]


def test_closings_and_deliveries_at_once_end_as_one_edition_and_one_mail_for_each_reader(instance):
    instance.manage("shell", "-c", PAPERS)
    instance.subscribe(60)

    closed = at_once(instance, 3, "close_edition", "--date", "2026-07-08", "--json")
    reports = at_once(instance, 3, "deliver", "--now", "2026-07-08T08:00", "--json")

    assert closed == [{"edition": "2026-07-08", "papers": 20}] * 3
    assert instance.rows("SELECT count(*) FROM newsletter_editionpaper") == [(20,)]
    assert sorted(instance.mailed) == sorted(f"reader{n}@example.org" for n in range(60))
    assert sum(int(str(report["sent"])) for report in reports) == 60
    assert instance.rows("SELECT state, count(*) FROM newsletter_delivery GROUP BY state") == [("accepted", 60)]
    assert instance.rows("SELECT count(*) FROM newsletter_chunk WHERE owner <> ''") == [(0,)]
