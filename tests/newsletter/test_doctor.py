"""`manage.py doctor`: how the sources stand, with what to do where they do not."""

import datetime as dt
import json

import pytest
import time_machine
from django.core.management import CommandError, call_command

from papers.models import IngestRun

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 8, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def _at_noon():
    with time_machine.travel(NOW, tick=True):
        yield


def ran(date: dt.date, status: str, at: dt.datetime, **fields: str) -> None:
    values = {"list_date": date, "status": status, "started_at": at, "finished_at": at}
    IngestRun.objects.create(source="huggingface", **values, **fields)


def doctor(capsys) -> dict[str, tuple[str, str]]:
    call_command("doctor", "--json")
    return {
        check["name"]: (check["status"], check["detail"]) for check in json.loads(capsys.readouterr().out)["checks"]
    }


def test_a_fresh_source_is_well_and_one_that_is_not_polled_is_left_out(capsys):
    for days in range(8):
        ran(NOW.date() - days * DAY, "ok", NOW - dt.timedelta(hours=1))

    assert doctor(capsys) == {
        "source huggingface": ("ok", "Hugging Face was last read at 2026-07-08 11:00 UTC"),
        "source arxiv": ("skipped", "not in SOURCES, so no tick reads it"),
    }


def test_a_source_that_is_late_says_since_when_why_and_what_to_do(capsys):
    for days in range(1, 8):
        ran(NOW.date() - days * DAY, "ok", NOW - dt.timedelta(hours=1))
    ran(NOW.date(), "failed", NOW - dt.timedelta(hours=1), error="https://huggingface.co answered 500")

    status, detail = doctor(capsys)["source huggingface"]

    assert status == "warn"
    assert detail == (
        "Hugging Face is late with 2026-07-08 (last read at 2026-07-08 11:00 UTC): https://huggingface.co answered 500."
        " It is tried again by itself; to try now: `manage.py ingest --source huggingface --date 2026-07-08`"
    )


def test_a_planner_that_does_not_run_is_named(capsys):
    status, detail = doctor(capsys)["source huggingface"]

    assert status == "warn"
    assert "does `manage.py tick`, or Celery's beat, run?" in detail


def test_a_source_that_was_not_read_for_a_day_is_a_failure(capsys):
    ran(NOW.date() - 2 * DAY, "ok", NOW - 2 * DAY)
    ran(NOW.date(), "failed", NOW - dt.timedelta(hours=1), error="gone")

    with pytest.raises(CommandError, match="not well: source huggingface") as failed:
        call_command("doctor")

    assert failed.value.returncode == 1
    assert capsys.readouterr().out.startswith("fail    source huggingface: Hugging Face is late with")
