"""Whatever is due now, each stage on its own."""

import datetime as dt
import json

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from newsletter import tasks, tick
from newsletter.models import Delivery, Edition
from papers.models import IngestRun
from subscribers import emails
from subscribers.interests import follow
from subscribers.models import Attempt, Interest, Mail, Subscriber, Token
from tests.factories import make_delivery, make_digest, make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

STAGES = ["ingest", "close", "deliver", "mail", "sweep", "retention"]
NOW = dt.datetime(2026, 7, 8, 8, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(autouse=True)
def upstream(settings, httpserver):
    """A source that answers with an empty list."""
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")
    httpserver.expect_request("/api/daily_papers").respond_with_json([])
    return httpserver


def test_tick_reports_every_stage(capsys):
    call_command("tick", "--now", "2026-07-08T08:00", "--json")

    report = json.loads(capsys.readouterr().out)
    assert list(report) == STAGES
    assert {run["status"] for run in report["ingest"]} == {"empty"}
    assert report["close"] == {"edition": "2026-07-08", "papers": 0}
    assert [one["edition"] for one in report["deliver"]] == ["2026-07-08"]


def test_news_of_known_papers_is_asked_for_after_the_lists(settings, httpserver):
    settings.SOURCES = ["huggingface", "arxiv"]
    address = httpserver.url_for("").rstrip("/")
    settings.ARXIV_API_URL = settings.ARXIV_RSS_URL = settings.ARXIV_OAI_URL = address
    settings.ARXIV_CATEGORIES = ["cs.CL"]
    for source in settings.SOURCES:
        for days in range(8):
            IngestRun.objects.create(
                source=source, list_date=NOW.date() - days * DAY, status="ok", started_at=NOW, finished_at=NOW
            )
    nothing = "<OAI-PMH xmlns='http://www.openarchives.org/OAI/2.0/'><error code='noRecordsMatch'/></OAI-PMH>"
    httpserver.expect_request("/oai").respond_with_data(nothing)

    report = tick.ingest(NOW)

    assert [(run["source"], run["kind"], run["status"]) for run in report] == [("arxiv", "revisions", "empty")]


def test_a_stage_that_fails_stops_no_other_and_makes_the_status_1(capsys, settings):
    reader = make_subscriber()
    emails.queue(reader, Mail.Kind.WELCOME, timezone.now())
    settings.EDITION_CLOSES_AT = "whenever"

    with pytest.raises(CommandError, match="close"):
        call_command("tick", "--now", "2026-07-08T08:00", "--json")

    report = json.loads(capsys.readouterr().out)
    assert list(report) == STAGES
    assert "whenever" in report["close"]["error"]
    assert report["mail"] == {"accepted": 1}


def test_a_second_tick_does_nothing_twice(mailoutbox):
    make_edition(NOW.date(), papers=(make_paper(),))
    make_subscriber()

    tick.tick(NOW)
    tick.tick(NOW)

    assert len(mailoutbox) == 1
    assert Edition.objects.count() == 1
    assert IngestRun.objects.count() == len(set(IngestRun.objects.values_list("list_date", flat=True)))


def test_an_edition_is_closed_from_its_time_on():
    make_edition(NOW.date() - DAY)

    assert tick.close(NOW.replace(hour=4, minute=29)) is None
    assert tick.close(NOW.replace(hour=4, minute=30)) == {"edition": "2026-07-08", "papers": 0}
    assert tick.close(NOW) is None


def test_after_an_outage_only_the_newest_edition_is_closed():
    make_edition(NOW.date() - 5 * DAY)

    tick.close(NOW)

    assert set(Edition.objects.values_list("date", flat=True)) == {NOW.date() - 5 * DAY, NOW.date()}


def test_a_source_that_fails_is_left_alone_until_the_next_tick(upstream):
    upstream.clear()
    upstream.expect_request("/api/daily_papers").respond_with_json({"error": "no"}, status=400)

    assert [run["status"] for run in tick.ingest(NOW)] == ["failed"]


def test_chunks_are_queued_by_their_ids_where_there_is_a_broker(mailoutbox):
    make_edition(NOW.date(), papers=(make_paper(),))
    make_subscriber()
    queued: list[int] = []

    tick.deliver(NOW, queue=queued.append)

    assert queued == [Delivery.objects.get().chunk_id]
    assert mailoutbox == []
    for chunk_id in (*queued, *queued):
        tasks.deliver_chunk(chunk_id)
    assert len(mailoutbox) == 1


def test_an_edition_that_another_planner_is_at_is_left_to_it(monkeypatch):
    edition = make_edition(NOW.date(), papers=(make_paper(),))
    make_delivery(edition)
    reader = make_subscriber()
    monkeypatch.setattr("time.sleep", lambda _: make_delivery(edition))

    assert tick.deliver(NOW, queue=print) == []
    assert not Delivery.objects.filter(subscriber=reader).exists()

    monkeypatch.setattr("time.sleep", lambda _: None)
    tick.deliver(NOW, queue=lambda _: None)
    assert Delivery.objects.filter(subscriber=reader).exists()


def test_a_provider_that_refuses_everybody_is_asked_for_one_chunk_only(settings):
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    edition = make_edition(NOW.date(), papers=(make_paper(),))
    for number in (1, 2, 3):
        chunk = edition.chunks.create(number=number)
        make_digest(edition, chunk=chunk)

    assert tick.sweep(NOW) == {"chunks": 3, "events": 0, "retry": 1, "provider_fault": 1}


def test_a_stage_without_a_broker_sends_inline(mailoutbox):
    make_edition(NOW.date(), papers=(make_paper(),))
    make_digest(Edition.objects.get())

    tasks.sweep()

    assert len(mailoutbox) == 1


def test_a_task_sends_one_service_mail(mailoutbox):
    mail = emails.queue(make_subscriber(), Mail.Kind.WELCOME, timezone.now())

    tasks.send_mail(mail.pk)
    tasks.send_mail(mail.pk)

    assert len(mailoutbox) == 1


def test_a_worker_that_shuts_down_stops_between_two_messages():
    try:
        assert not tasks.is_stopping()
        tasks.stop_after_this_message()
        assert tasks.is_stopping()
    finally:
        tasks._stopping[0] = 0


# Retention --------------------------------------------------------------------------------------


def aged(row, days: float) -> None:
    type(row).objects.filter(pk=row.pk).update(created_at=timezone.now() - dt.timedelta(days=days))


def test_an_address_that_never_confirmed_is_forgotten_after_a_week():
    forgotten, recent, again = (make_subscriber(state="pending", confirmed_at=None) for _ in range(3))
    follow(forgotten, "robots")
    aged(forgotten, 7.1)
    aged(recent, 6.9)
    aged(again, 20)
    emails.queue(again, Mail.Kind.CONFIRMATION, timezone.now())

    assert tick.retention(NOW)["readers"] == 1

    assert set(Subscriber.objects.all()) == {recent, again}
    assert not Interest.objects.exists()


@pytest.mark.parametrize("state", ["active", "paused", "unsubscribed"])
def test_who_confirmed_once_is_not_forgotten(state):
    aged(make_subscriber(state=state), 400)

    tick.retention(NOW)

    assert Subscriber.objects.count() == 1


def test_tokens_attempts_and_mails_are_forgotten_when_they_are_of_no_use():
    now, reader = timezone.now(), make_subscriber()
    for days in (-31, -29):
        Token.objects.create(subscriber=reader, purpose="undo", digest=f"{days}", expires_at=now + days * DAY)
    for days in (1, 3):
        Attempt.objects.create(scope="total", key="x", hour=now - days * DAY)
    for state, days in (("accepted", 31), ("accepted", 29), ("pending", 31)):
        at = now if state == "accepted" else None
        mail = Mail.objects.create(subscriber=reader, kind="welcome", state=state, accepted_at=at, next_attempt_at=now)
        aged(mail, days)

    report = tick.retention(NOW)

    assert (report["tokens"], report["attempts"], report["mails"]) == (1, 1, 1)
    assert sorted(Mail.objects.values_list("state", flat=True)) == ["accepted", "pending"]
