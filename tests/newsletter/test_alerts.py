"""What needs the operator is said once when it begins and once when it is over."""

import datetime as dt

import pytest
from django.utils import timezone
from werkzeug import Request, Response

from newsletter import alerts, tick
from newsletter.models import Alert, Delivery, Edition, ProviderState
from papers.models import IngestRun
from subscribers.models import Subscriber
from tests.factories import make_delivery, make_digest, make_edition, make_paper

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 8, 12, tzinfo=dt.UTC)
LOCAL = "django.core.mail.backends.locmem.EmailBackend"
DAY, MINUTE = dt.timedelta(days=1), dt.timedelta(minutes=1)


@pytest.fixture(autouse=True)
def edition(settings) -> Edition:
    """All is well: today's edition is closed and planned, and its one source is fresh."""
    settings.SOURCES = ["huggingface"]
    for days in range(8):
        read(NOW.date() - days * DAY)
    return make_edition(NOW.date(), papers=(make_paper(),), planned_until=NOW)


def read(date: dt.date, status: str = "ok", at: dt.datetime = NOW - dt.timedelta(hours=1)) -> None:
    IngestRun.objects.create(source="huggingface", list_date=date, status=status, started_at=at, finished_at=at)


def wrong(now: dt.datetime = NOW) -> set[str]:
    return {subject for subject, _ in alerts.findings(now)}


# What is not well -------------------------------------------------------------------------------


def test_when_all_is_well_there_is_nothing_to_say():
    assert wrong() == set()


def test_an_edition_that_is_not_closed_half_an_hour_after_its_time(edition):
    edition.delete()
    make_edition(NOW.date() - DAY, planned_until=NOW)
    time = dt.datetime(2026, 7, 8, 4, 30, tzinfo=dt.UTC)

    assert "edition" not in wrong(time + 29 * MINUTE)
    assert "edition" in wrong(time + 30 * MINUTE)


def test_an_instance_that_was_just_started_has_no_edition_yet(edition):
    edition.delete()
    IngestRun.objects.all().delete()

    assert "edition" not in wrong()


def test_an_edition_that_nobody_plans(edition):
    assert "planner" in wrong(NOW + 31 * MINUTE)
    Edition.objects.update(state="cancelled")
    assert "planner" not in wrong(NOW + 31 * MINUTE)


def test_digests_that_are_due_and_unsent_for_half_an_hour(edition):
    make_digest(edition)
    edition.deliveries.update(created_at=NOW - 31 * MINUTE)
    assert wrong() == {"digests"}

    Edition.objects.update(state="paused")
    assert wrong() == set()


def test_a_provider_that_is_paused_while_it_is_the_one_that_is_set(settings):
    settings.EMAIL_BACKEND = "anymail.backends.postmark.EmailBackend"
    paused = {"state": "open", "opened_at": NOW, "retry_at": NOW + 5 * MINUTE, "error": "401 no such key"}
    ProviderState.objects.create(name="postmark", **paused)

    assert dict(alerts.findings(NOW)) == {
        "provider postmark": "postmark takes no mails since 12:00 UTC, all wait: 401 no such key"
    }
    settings.EMAIL_FALLBACK_BACKEND = "anymail.backends.resend.EmailBackend"
    assert [text for _, text in alerts.findings(NOW)] == [
        "postmark takes no mails since 12:00 UTC, all go by the other: 401 no such key"
    ]
    settings.EMAIL_BACKEND, settings.EMAIL_FALLBACK_BACKEND = settings.EMAIL_FALLBACK_BACKEND, ""
    assert wrong() == set()


def test_digests_that_may_have_gone_while_something_can_be_decided(edition):
    older = make_edition(NOW.date() - DAY)
    make_delivery(older, state="unknown")
    assert wrong() == set()

    make_delivery(edition, state="unknown")
    assert wrong() == {"unknown"}


@pytest.mark.parametrize(("accepted", "is_wrong"), [(998, True), (999, False)])
def test_complaints_over_a_tenth_of_a_percent(edition, accepted, is_wrong):
    make_delivery(edition, state="complained")
    readers = Subscriber.objects.bulk_create(Subscriber(email=f"{n}@example.org") for n in range(accepted))
    values = {"covers_from": NOW.date(), "local_date": NOW.date(), "state": "accepted", "accepted_at": NOW}
    Delivery.objects.bulk_create(Delivery(edition=edition, subscriber=reader, **values) for reader in readers)

    assert ("complaints" in wrong()) == is_wrong


def test_a_source_that_is_late():
    assert wrong(NOW + DAY) >= {"source huggingface"}


# Saying it --------------------------------------------------------------------------------------


@pytest.fixture
def told(settings, httpserver) -> list[dict[str, str]]:
    documents: list[dict[str, str]] = []

    def take(request: Request) -> Response:
        documents.append(request.get_json())
        return Response("ok")

    httpserver.expect_request("/alert", method="POST").respond_with_handler(take)
    settings.ALERT_URL = httpserver.url_for("/alert")
    return documents


def test_it_is_said_once_and_once_when_it_is_over(told, mailoutbox, settings, edition):
    settings.ALERT_EMAIL = "operator@example.org"
    delivery = make_delivery(edition, state="unknown")

    for minutes in range(3):
        alerts.watch(NOW + minutes * MINUTE)
    delivery.delete()
    for minutes in range(3, 6):
        alerts.watch(NOW + minutes * MINUTE)

    assert [(one["subject"], one["state"]) for one in told] == [("unknown", "on"), ("unknown", "over")]
    assert told[1]["text"] == "Paperboy: Over: " + told[0]["text"].removeprefix("Paperboy: ")
    assert [mail.subject for mail in mailoutbox] == [
        "[Paperboy] unknown: please look",
        "[Paperboy] unknown: over",
    ]
    assert mailoutbox[0].to == ["operator@example.org"]


def test_what_is_too_long_to_be_written_down_is_cut(told, settings, edition):
    settings.EMAIL_BACKEND = "newsletter.providers.SmtpBackend"
    paused = {"state": "open", "opened_at": NOW, "retry_at": NOW, "error": "x" * 500}
    ProviderState.objects.create(name="smtp", **paused)

    alerts.watch(NOW)

    assert len(Alert.objects.get().text) == 500
    assert len(told) == 1


def test_what_begins_again_is_said_again(told, edition):
    for _ in range(2):
        delivery = make_delivery(edition, state="unknown")
        alerts.watch(NOW)
        delivery.delete()
        alerts.watch(NOW)

    assert [one["state"] for one in told] == ["on", "over", "on", "over"]


def test_what_began_after_a_look_is_not_ended_by_it(told, edition):
    make_delivery(edition, state="unknown")
    alerts.watch(NOW + MINUTE)
    Delivery.objects.all().delete()

    alerts.watch(NOW)  # of a host that looked before, and was slow
    assert [one["state"] for one in told] == ["on"]
    alerts.watch(NOW + 2 * MINUTE)

    assert [one["state"] for one in told] == ["on", "over"]


def test_what_could_not_be_said_is_said_later(settings, httpserver, edition):
    settings.ALERT_URL = httpserver.url_for("/down")
    httpserver.expect_ordered_request("/down").respond_with_data("no", status=503)
    httpserver.expect_ordered_request("/down").respond_with_data("ok")
    make_delivery(edition, state="unknown")

    alerts.watch(NOW)
    assert Alert.objects.get().said_at is None
    alerts.watch(NOW + MINUTE)
    alerts.watch(NOW + 2 * MINUTE)

    assert Alert.objects.get().said_at == NOW + MINUTE
    assert len(httpserver.log) == 2


def test_an_alert_goes_by_the_provider_that_stands_in_when_the_first_takes_nothing(settings, mailoutbox, edition):
    settings.ALERT_EMAIL = "operator@example.org"
    settings.EMAIL_BACKEND, settings.EMAIL_FALLBACK_BACKEND = "anymail.backends.postmark.EmailBackend", LOCAL
    Edition.objects.update(planned_until=NOW - 31 * MINUTE)

    alerts.watch(NOW)

    [said] = mailoutbox
    assert said.to == ["operator@example.org"]
    assert Alert.objects.get().said_at == NOW


def test_what_was_over_before_it_could_be_said_is_not_said(settings, edition):
    settings.ALERT_URL = "http://127.0.0.1:9/"
    delivery = make_delivery(edition, state="unknown")
    alerts.watch(NOW)
    delivery.delete()

    alerts.watch(NOW + MINUTE)

    assert not Alert.objects.exists()


# The watch outside ------------------------------------------------------------------------------


def test_a_good_tick_calls_the_watch_outside_and_a_bad_one_does_not(settings, httpserver):
    settings.SOURCES = []
    httpserver.expect_request("/alive").respond_with_data("ok")
    settings.HEARTBEAT_URL = httpserver.url_for("/alive")

    tick.tick(timezone.now())
    assert len(httpserver.log) == 1
    settings.EDITION_CLOSES_AT = "whenever"
    tick.tick(timezone.now())

    assert len(httpserver.log) == 1


def test_a_watch_outside_that_is_away_is_no_error(settings):
    settings.HEARTBEAT_URL = "http://127.0.0.1:9/"

    alerts.call_heartbeat_url()
