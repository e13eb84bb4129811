"""`ingest --days 90`: it tells how far it is, waits when asked to, can be stopped, and goes on where it was."""

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest
import time_machine
from django.core.management import CommandError, call_command
from werkzeug import Request, Response

from papers.models import IngestRun, Listing
from tests.conftest import ROOT
from tests.factories import make_daily_item

NOW = dt.datetime(2026, 7, 20, 12, tzinfo=dt.UTC)
COMMAND = ["ingest", "--source", "huggingface", "--date", "2026-07-10"]


@pytest.fixture
def asked(httpserver, settings) -> list[str]:
    """The dates that were asked for; each has a list of one paper."""
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    dates: list[str] = []

    def answer(request: Request) -> Response:
        date = request.args["date"]
        if request.args["p"] != "0":
            return Response("[]")
        dates.append(date)
        return Response(json.dumps([make_daily_item(f"2607.000{date[-2:]}", date)]))

    httpserver.expect_request("/api/daily_papers").respond_with_handler(answer)
    return dates


def days(first: int, last: int) -> list[str]:
    return [f"2026-07-{day:02d}" for day in range(first, last + 1)]


@pytest.mark.django_db
def test_it_tells_how_far_it_is_and_prints_nothing_but_the_result(asked, capsys):
    call_command(*COMMAND, "--days", "3", "--json")

    printed = capsys.readouterr()
    assert [run["date"] for run in json.loads(printed.out)["runs"]] == days(8, 10) == asked
    lines = [line for line in printed.err.splitlines() if line.startswith("huggingface")]
    assert lines[0] == (
        "huggingface 2026-07-08 ok: 1 fetched, 1 new, 0 updated, 1 listed, 0 rejected (1 of 3, less than a minute left)"
    )
    assert lines[2].endswith("(3 of 3, less than a minute left)")


@pytest.mark.django_db
def test_a_second_run_reads_all_lists_again_and_lists_nothing_twice(asked, capsys):
    for _ in range(2):
        call_command(*COMMAND, "--days", "3")

    assert asked == days(8, 10) * 2
    assert Listing.objects.count() == 3


@pytest.mark.django_db
def test_only_what_is_missing_is_read_when_asked_for(asked, capsys):
    with time_machine.travel(NOW, tick=True):
        call_command(*COMMAND, "--days", "2")
        IngestRun.objects.create(
            source="huggingface", list_date="2026-07-07", status="failed", started_at=NOW, finished_at=NOW
        )
        asked.clear()
        call_command(*COMMAND, "--days", "5", "--missing")

    assert asked == days(6, 8)
    assert "huggingface: 2 of 5 lists are there already" in capsys.readouterr().err


@pytest.mark.django_db
def test_a_list_that_may_still_change_is_missing(asked):
    with time_machine.travel(dt.datetime(2026, 7, 10, 12, tzinfo=dt.UTC), tick=True):
        call_command(*COMMAND, "--days", "9")
        asked.clear()
        call_command(*COMMAND, "--days", "9", "--missing")

    assert asked == days(4, 10)


@pytest.mark.django_db
def test_a_source_that_asks_for_patience_is_waited_for(httpserver, settings, monkeypatch):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    busy = Response("", status=429, headers={"Retry-After": "90"})
    httpserver.expect_ordered_request("/api/daily_papers").respond_with_response(busy)
    for _ in range(2):
        httpserver.expect_ordered_request("/api/daily_papers").respond_with_json([])
    with time_machine.travel(NOW, tick=False) as clock:
        monkeypatch.setattr(time, "sleep", clock.shift)
        call_command(*COMMAND, "--days", "2", "--json")

        assert dt.datetime.now(dt.UTC) - NOW == dt.timedelta(seconds=90)
    runs = IngestRun.objects.order_by("pk").values_list("list_date", "status")
    assert [(f"{date:%d}", status) for date, status in runs] == [("09", "failed"), ("09", "empty"), ("10", "empty")]


@pytest.mark.django_db
def test_it_gives_up_when_the_source_is_down(httpserver, settings, capsys):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/api/daily_papers").respond_with_data("", status=404)

    with pytest.raises(CommandError, match="Gave up after 3 of 9 lists; run the same command with --missing") as failed:
        call_command(*COMMAND, "--days", "9", "--json")

    assert failed.value.returncode == 1
    assert [run["status"] for run in json.loads(capsys.readouterr().out)["runs"]] == ["failed"] * 3


@pytest.mark.django_db
def test_a_service_manager_ends_it_as_ctrl_c_does(httpserver, settings):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    before, handlers = signal.getsignal(signal.SIGTERM), []

    def answer(_: Request) -> Response:
        handlers.append(signal.getsignal(signal.SIGTERM))
        return Response("[]")

    httpserver.expect_request("/api/daily_papers").respond_with_handler(answer)
    call_command(*COMMAND, "--days", "2")

    assert handlers == [signal.default_int_handler] * 2
    assert signal.getsignal(signal.SIGTERM) == before


def test_it_can_be_stopped_and_goes_on_where_it_was(httpserver, migrated):
    asked: list[str] = []
    stopped: list[subprocess.Popen[str]] = []

    def answer(request: Request) -> Response:
        date = request.args["date"]
        asked.append(date)
        if stopped and date == "2026-07-08":
            stopped.pop().send_signal(signal.SIGINT)
            time.sleep(1)
        return Response("[]")

    httpserver.expect_request("/api/daily_papers").respond_with_handler(answer)
    environment = os.environ | {
        "DJANGO_SETTINGS_MODULE": "newsletter.settings",
        "ENV_FILE": os.devnull,
        "VAR_DIR": str(migrated),
        "HUGGINGFACE_URL": httpserver.url_for("").rstrip("/"),
    }

    def manage(*arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "manage.py", *arguments],
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            # A runner in the background ignores Ctrl-C, and so would its children.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        )

    def result(process: subprocess.Popen[str]) -> tuple[int, list[dict[str, Any]], str]:
        out, err = process.communicate(timeout=60)
        return process.returncode, json.loads(out)["runs"], err

    process = manage(*COMMAND, "--days", "5", "--json")
    stopped.append(process)
    status, runs, err = result(process)

    assert (status, [run["date"] for run in runs]) == (1, days(6, 7))
    assert "stopped after 2 of 5 lists; run the same command with --missing to go on" in err
    assert asked == days(6, 8)

    asked.clear()
    status, runs, err = result(manage(*COMMAND, "--days", "5", "--json"))

    assert (status, asked) == (0, days(8, 10))
    assert "huggingface: 2 of 5 lists are there already" in err
