"""`manage.py ingest`: what scripts rely on, and what a person reads when something is wrong."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from papers.models import IngestRun, Listing, Paper, Snapshot
from tests.factories import make_daily_item

MANAGE = Path(__file__).parents[2] / "manage.py"


@pytest.fixture
def page(tmp_path):
    path = tmp_path / "page.json"
    path.write_text(json.dumps([make_daily_item(), make_daily_item("2607.00002", upvotes="many")]))
    return path


def run_command(tmp_path: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py`` as an operator does, on a database of its own."""
    ours = {
        "DJANGO_SETTINGS_MODULE": "newsletter.settings",
        "ENV_FILE": os.devnull,
        "LOG_LEVEL": "INFO",
        "VAR_DIR": str(tmp_path / "var"),
    }
    return subprocess.run(
        [sys.executable, str(MANAGE), *arguments],
        env=os.environ | ours | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.django_db
def test_a_file_is_stored_and_told_as_json(page, capsys):
    call_command("ingest", "--source", "huggingface", "--date", "2026-07-01", "--from-file", str(page), "--json")

    assert json.loads(capsys.readouterr().out) == {
        "source": "huggingface",
        "runs": [
            {
                "date": "2026-07-01",
                "status": "ok",
                "fetched": 2,
                "new": 1,
                "updated": 0,
                "listed": 1,
                "rejected": 1,
                "error": "",
            }
        ],
    }
    assert (Paper.objects.count(), Listing.objects.count(), Snapshot.objects.count()) == (1, 1, 1)


@pytest.mark.django_db
def test_days_end_at_the_date(httpserver, settings, capsys):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/api/daily_papers").respond_with_data("[]")

    call_command("ingest", "--source", "huggingface", "--date", "2026-07-01", "--days", "3")

    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "huggingface 2026-06-29 empty",
        "huggingface 2026-06-30 empty",
        "huggingface 2026-07-01 empty",
    ]
    assert [request.args["limit"] for request, _ in httpserver.log] == ["100"] * 3


@pytest.mark.django_db
def test_pages_are_read_up_to_the_first_empty_one(httpserver, settings):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    first, second = ([make_daily_item(f"2607.0000{number}")] for number in (1, 2))  # short, and yet not the last
    for number, items in enumerate([first, second, []]):
        query = {"date": "2026-07-01", "limit": "100", "p": f"{number}"}
        httpserver.expect_request("/api/daily_papers", query_string=query).respond_with_json(items)

    call_command("ingest", "--source", "huggingface", "--date", "2026-07-01")

    assert Paper.objects.count() == 2


@pytest.mark.django_db
def test_a_source_that_never_ends_is_a_failure(httpserver, settings):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/api/daily_papers").respond_with_json([make_daily_item()])

    with pytest.raises(CommandError, match="more than 20 pages"):
        call_command("ingest", "--source", "huggingface", "--date", "2026-07-01", "--json")
    assert Paper.objects.count() == 0


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--source", "usenet"], "invalid choice: 'usenet' (choose from"),
        ([], "required: --source"),
        (["--source", "huggingface", "--date", "2999-01-01"], "2999-01-01 is in the future; write today's date"),
        (["--source", "huggingface", "--date", "01.07.2026"], "“01.07.2026” is no date; write one such as 2026-07-01"),
        (["--source", "huggingface", "--date", "20260701"], "“20260701” is no date"),
        (["--source", "huggingface", "--days", "0"], "“0” is no number of days; write one from 1 to 9999"),
        (["--source", "huggingface", "--days", "9" * 5000], "is no number of days"),
        (["--source", "huggingface", "--date", "1991-08-15", "--days", "3"], "no list is older than 1991-08-14"),
        (["--source", "huggingface", "--date", "0001-01-01", "--days", "3"], "no list is older than 1991-08-14"),
        (["--source", "huggingface", "--from-file", "x.json"], "give its --date"),
        (["--source", "huggingface", "--from-file", "x", "--date", "2026-07-01", "--days", "2"], "and no --days"),
        (["--source", "huggingface", "--from-file", "/no/such", "--date", "2026-07-01"], "/no/such could not be read"),
        (["--source", "huggingface", "--from-file", "/", "--date", "2026-07-01"], "Is a directory"),
    ],
)
def test_wrong_usage_says_what_to_write_and_stores_nothing(arguments, message):
    with pytest.raises(CommandError) as caught:
        call_command("ingest", *arguments)

    assert message in str(caught.value)
    assert IngestRun.objects.count() == 0


@pytest.mark.django_db
def test_html_instead_of_json_fails_and_stores_nothing_but_the_run(tmp_path, capsys):
    page = tmp_path / "page.json"
    page.write_text("<html>Back soon")

    with pytest.raises(CommandError, match="an HTML page instead of a list") as caught:
        call_command("ingest", "--source", "huggingface", "--date", "2026-07-01", "--from-file", str(page), "--json")

    assert caught.value.returncode == 1
    assert json.loads(capsys.readouterr().out)["runs"][0]["status"] == "failed"
    assert (Paper.objects.count(), IngestRun.objects.get().status) == (0, "failed")


def test_a_missing_database_is_an_instruction_and_exit_status_1(tmp_path, page):
    result = run_command(
        tmp_path, "ingest", "--source", "huggingface", "--date", "2026-07-01", "--from-file", str(page)
    )

    assert (result.returncode, result.stdout) == (1, "")
    assert "run `python manage.py migrate`" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_database_that_does_not_answer_is_an_instruction_and_exit_status_1(tmp_path):
    url = "postgres://nobody@127.0.0.1:1/nothing"

    result = run_command(tmp_path, "ingest", "--source", "huggingface", DATABASE_URL=url)

    assert result.returncode == 1
    assert "look at DATABASE_URL" in result.stderr
    assert "Traceback" not in result.stderr


def test_json_goes_to_standard_output_and_logs_to_standard_error(tmp_path, page):
    assert run_command(tmp_path, "migrate").returncode == 0
    command = ["ingest", "--source", "huggingface", "--date", "2026-07-01", "--from-file", str(page), "--json"]

    result = run_command(tmp_path, *command)

    assert result.returncode == 0
    assert json.loads(result.stdout)["runs"][0]["new"] == 1
    assert "refused 2607.00002: “upvotes” is no count" in result.stderr
    page.write_text("<html>")
    assert run_command(tmp_path, *command).returncode == 1
    assert run_command(tmp_path, "ingest", "--source", "usenet").returncode == 2
    assert run_command(tmp_path, "ingest", "--source", "huggingface", "--from-file", "x").returncode == 2
