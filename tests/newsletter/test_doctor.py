"""`manage.py doctor`: how sources, workers, mail providers and digests stand, with what to do where they do not."""

import datetime as dt
import json

import pytest
import time_machine
from django.core.management import CommandError, call_command

from newsletter import health
from newsletter.models import Delivery, ProviderState
from papers.models import IngestRun
from tests.factories import make_digest, make_edition

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


def test_all_is_well_with_a_fresh_source_a_tick_and_nothing_waiting(capsys):
    health.beat("tick", NOW - dt.timedelta(minutes=5))
    for days in range(8):
        ran(NOW.date() - days * DAY, "ok", NOW - dt.timedelta(hours=1))

    assert doctor(capsys) == {
        "source huggingface": ("ok", "Hugging Face was last read at 2026-07-08 11:00 UTC"),
        "source arxiv": ("skipped", "not in SOURCES, so no tick reads it"),
        "tick": ("ok", "last at work at 2026-07-08 11:55 UTC"),
        "mail provider locmem": ("ok", "takes mails"),
        "digests": ("ok", "none waits"),
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


def test_a_worker_that_takes_nothing_is_a_failure(capsys, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1"
    health.beat("celery", NOW - dt.timedelta(minutes=1))
    health.beat("service", NOW - dt.timedelta(minutes=16))

    with pytest.raises(CommandError, match="not well: worker of the queue service"):
        call_command("doctor")

    said = capsys.readouterr().out
    assert "ok      worker of the queue celery: last at work at 2026-07-08 11:59 UTC" in said
    assert "fail    worker of the queue service: last at work at 2026-07-08 11:44 UTC: look whether" in said


def wait_for(minutes: int) -> None:
    Delivery.objects.filter(pk=make_digest().pk).update(created_at=NOW - dt.timedelta(minutes=minutes))


def test_digests_that_wait_for_half_an_hour_are_well(capsys):
    wait_for(29)

    assert doctor(capsys)["digests"] == ("ok", "the oldest that may go has waited for 29 minutes")


def test_digests_that_wait_for_longer_are_a_failure():
    wait_for(31)

    with pytest.raises(CommandError, match="not well: digests"):
        call_command("doctor")


def test_digests_that_wait_for_the_operator_or_for_their_next_attempt_are_well(capsys):
    wait_for(90)
    Delivery.objects.update(state="retry", next_attempt_at=NOW + dt.timedelta(minutes=5))
    paused = make_edition(dt.date(2026, 7, 2), state="paused")
    make_digest(paused)
    paused.deliveries.update(created_at=NOW - dt.timedelta(hours=2))

    assert doctor(capsys)["digests"] == ("ok", "none waits")


# Mail providers ---------------------------------------------------------------------------------

POSTMARK = "anymail.backends.postmark.EmailBackend"


@pytest.fixture
def postmark(settings):
    settings.EMAIL_BACKEND = POSTMARK
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "made-up", "WEBHOOK_SECRET": "user:secret"}


def failure(capsys) -> str:
    with pytest.raises(CommandError, match="not well: mail provider"):
        call_command("doctor")
    [line] = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fail")]
    return str(line)


def known(**fields: object) -> None:
    ProviderState.objects.create(name="postmark", **fields)


def test_a_provider_that_takes_mails_is_well(postmark, capsys):
    known(day_count=7)

    assert doctor(capsys)["mail provider postmark"] == ("ok", "takes mails")


def test_a_provider_that_is_paused_says_since_when_why_and_what_to_do(postmark, capsys):
    since, until = NOW - dt.timedelta(minutes=20), NOW + dt.timedelta(minutes=4)
    known(state="open", opened_at=since, retry_at=until, failures=5, error="401 no such server token")

    assert failure(capsys) == (
        "fail    mail provider postmark: paused since 2026-07-08 11:40 UTC, tried again at 2026-07-08 12:04 UTC:"
        " 401 no such server token (5 calls in a row came to nothing). correct what it complains of; it is tried by"
        " itself, or at once by the action in admin's provider states"
    )


def test_a_call_that_came_to_nothing_is_a_warning(postmark, capsys):
    known(failures=1, error="503 maintenance")

    status, detail = doctor(capsys)["mail provider postmark"]

    assert (status, detail[:49]) == ("warn", "the last call came to nothing: 503 maintenance. I")


def test_a_setting_that_the_provider_lacks_is_named(postmark, settings, capsys):
    settings.ANYMAIL = {"WEBHOOK_SECRET": "user:secret"}

    assert "POSTMARK_SERVER_TOKEN" in failure(capsys)


def test_a_provider_that_stands_in_is_looked_at_too(settings, capsys):
    settings.EMAIL_FALLBACK_BACKEND = "newsletter.providers.SmtpBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9

    assert "mail provider smtp: cannot be asked (ConnectionRefusedError" in failure(capsys)


def test_a_provider_whose_reports_are_refused_is_a_warning(postmark, settings, capsys):
    settings.ANYMAIL = {"POSTMARK_SERVER_TOKEN": "made-up"}

    status, detail = doctor(capsys)["mail provider postmark"]

    assert (status, detail.endswith("set ANYMAIL_WEBHOOK_SECRET")) == ("warn", True)


@pytest.mark.parametrize(("production", "status"), [(False, "ok"), (True, "warn")])
def test_mails_in_files_are_a_warning_in_production(settings, capsys, production, status):
    settings.EMAIL_BACKEND, settings.PRODUCTION = "newsletter.providers.OutboxBackend", production

    assert doctor(capsys)["mail provider file"][0] == status
