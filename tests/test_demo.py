"""``make demo``: one morning on one machine, with live papers or the sample, and nobody mailed twice."""

import datetime as dt
import json
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_httpserver import HTTPServer

from newsletter.management.commands.demo import READERS, end_of_last_day
from newsletter.models import Delivery
from papers.models import Paper
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db(transaction=True)

NOBODY = "http://127.0.0.1:9"


@pytest.fixture(autouse=True)
def _outbox(settings: Any, tmp_path: Path) -> None:
    settings.EMAIL_BACKEND = "newsletter.providers.OutboxBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    settings.HUGGINGFACE_URL = NOBODY


def demo(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    call_command("demo", "--json")
    report: dict[str, Any] = json.loads(capsys.readouterr().out)
    return report


def mails(folder: Path) -> dict[str, EmailMessage]:
    read = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(folder.glob("*.eml"))]
    return {str(mail["To"]): mail for mail in read if isinstance(mail, EmailMessage)}


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def item(arxiv_id: str, date: dt.date) -> dict[str, Any]:
    stamp = f"{date}T00:00:00.000Z"
    paper = {"id": arxiv_id, "title": "Speech at last", "summary": "We speak.", "authors": [{"name": "Ada Example"}]}
    return {"paper": paper | {"upvotes": 3, "publishedAt": stamp, "submittedOnDailyAt": stamp}, "numComments": 0}


def test_without_a_source_the_sample_is_sent_and_said_to_be_made_up(capsys, tmp_path):
    call_command("demo")

    said = capsys.readouterr().out
    assert "30 made-up papers" in said
    assert set(mails(tmp_path)) == {reader.email for reader in READERS}
    assert all("made up" in text_of(mail) for mail in mails(tmp_path).values())
    assert all(str(path) in said for path in tmp_path.glob("*.eml"))


def test_the_three_readers_show_a_mute_a_star_and_an_empty_result(capsys):
    demo(capsys)

    picks = {delivery.subscriber.email: delivery.picks for delivery in Delivery.objects.select_related("picks")}
    assert picks["several-interests@example.org"].counts["muted"]
    assert picks["one-star@example.org"].details[0]["why"][0]["interest"] == "speech"
    assert {pick["section"] for pick in picks["no-match@example.org"].details} == {"trending"}


def test_a_second_run_on_the_same_day_sends_nobody_anything(capsys, tmp_path):
    first = demo(capsys)
    second = demo(capsys)

    assert (first["sent"], second["due"], second["mails"]) == (3, 0, [])
    assert len(list(tmp_path.glob("*.eml"))) == 3


def test_the_newest_list_that_holds_papers_is_taken(capsys, settings, httpserver: HTTPServer):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    today = timezone.now().date()
    listed = today - dt.timedelta(days=3)

    for days in (1, 2, 4, 5):
        date = today - dt.timedelta(days=days)
        httpserver.expect_request("/api/daily_papers", query_string=list_of(date)).respond_with_json([])
    httpserver.expect_request("/api/daily_papers", query_string=list_of(listed, page=1)).respond_with_json([])
    httpserver.expect_request("/api/daily_papers", query_string=list_of(listed)).respond_with_json(
        [item("2611.00001", listed)]
    )

    report = demo(capsys)

    assert report["papers"] == f"1 papers, the Hugging Face list of {listed}"
    assert not Paper.objects.filter(is_sample=True).exists()


def list_of(date: dt.date, page: int = 0) -> dict[str, str]:
    return {"date": f"{date}", "limit": "100", "p": f"{page}"}


def test_a_source_that_fails_is_asked_once(capsys, settings, httpserver: HTTPServer):
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/api/daily_papers").respond_with_data("down", status=503)

    report = demo(capsys)

    assert "made-up" in report["papers"]
    assert len(httpserver.log) == 1


def test_the_sample_is_not_mixed_with_real_papers_of_an_earlier_run(capsys, settings, httpserver: HTTPServer):
    yesterday = timezone.now().date() - dt.timedelta(days=1)
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/api/daily_papers", query_string=list_of(yesterday, page=1)).respond_with_json([])
    httpserver.expect_request("/api/daily_papers").respond_with_json([item("2611.00001", yesterday)])
    demo(capsys)
    settings.HUGGINGFACE_URL = NOBODY

    report = demo(capsys)

    assert report["papers"].startswith("1 papers that are here already")
    assert not Paper.objects.filter(is_sample=True).exists()


def test_the_log_in_that_is_printed_opens_the_admin_and_is_new_every_time(capsys):
    first, second = demo(capsys)["password"], demo(capsys)["password"]

    assert first != second
    assert authenticate(username="demo", password=first) is None
    user = authenticate(username="demo", password=second)
    assert user is not None
    assert user.is_staff


@pytest.mark.parametrize(("name", "value"), [("PRODUCTION", True), ("EMAIL_PROVIDER", "postmark")])
def test_it_refuses_where_people_read(name, value, settings):
    setattr(settings, name, value)

    with pytest.raises(CommandError, match=name):
        call_command("demo")

    assert not Paper.objects.exists()


def test_the_last_reader_to_end_their_day_decides_when_all_are_due():
    readers = [make_subscriber(timezone=zone) for zone in ("Asia/Tokyo", "America/New_York", "UTC")]
    now = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)

    assert end_of_last_day(readers, now) == dt.datetime(2026, 7, 2, 3, 59, 59, tzinfo=dt.UTC)
