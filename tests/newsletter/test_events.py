"""What a provider reports: recorded once, in any order, and never about somebody else."""

import datetime as dt
import itertools
from typing import Any

import pytest
from django.utils import timezone

from newsletter import messages
from newsletter.events import Event, adopt, record
from newsletter.models import Delivery, DeliveryEvent
from newsletter.outcomes import storable
from subscribers import emails
from subscribers.emails import Outcome
from subscribers.models import Mail, Suppression, hash_address
from tests.factories import make_digest, make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)


@pytest.fixture
def delivery():
    delivery = make_digest(state="accepted", accepted_at=NOW, provider_message_id="theirs-1")
    delivery.message_id = messages.message_id(delivery)
    delivery.save()
    return delivery


def report(delivery, kind: str, **fields: object) -> bool:
    values: dict[str, Any] = {"opaque_id": messages.opaque_id(delivery), "event_id": kind, "occurred_at": NOW} | fields
    return record(Event("Postmark", kind, **values))


def state_of(delivery) -> str:
    delivery.refresh_from_db()
    return str(delivery.state)


def suppressions() -> list[tuple[str, str]]:
    return list(Suppression.objects.values_list("address_hash", "reason"))


@pytest.mark.parametrize("field", ["provider_message_id", "opaque_id", "event_id", "recipient", "reason"])
def test_a_report_is_recorded_whatever_stands_in_it(delivery, field):
    assert report(delivery, "deferred", **{field: "half\ud83d a pair, and \0"})

    assert DeliveryEvent.objects.get().kind == "deferred"


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("delivered", "delivered"),
        ("bounced", "bounced"),
        ("rejected", "bounced"),
        ("complained", "complained"),
        ("failed", "bounced"),
        ("deferred", "accepted"),
        ("opened", "accepted"),
    ],
)
def test_an_event_moves_the_delivery(delivery, kind, state):
    assert report(delivery, kind) is True

    assert state_of(delivery) == state
    assert DeliveryEvent.objects.get().delivery == delivery


def test_an_id_that_is_longer_than_rows_keep_finds_its_row(delivery):
    long = "i" * 300
    Delivery.objects.update(provider_message_id=storable(Outcome("accepted", long)).provider_message_id)

    report(delivery, "delivered", opaque_id="", provider_message_id=long)

    assert state_of(delivery) == "delivered"


def test_the_same_event_is_recorded_once(delivery):
    assert [report(delivery, "delivered") for _ in range(3)] == [True, False, False]
    assert DeliveryEvent.objects.count() == 1


def test_no_address_stays_in_what_the_provider_said(delivery):
    report(delivery, "bounced", detail=f"550 5.1.1 <{delivery.subscriber.email}>: no such\0 user\ud83d" + "x" * 500)

    detail = DeliveryEvent.objects.get().detail
    # No database takes half of a pair, and PostgreSQL no NUL.
    assert detail.startswith("550 5.1.1 <…@example.org>: no such user")
    assert len(detail) == 500


def test_an_event_without_an_id_is_recognised_by_what_it_says(delivery):
    assert [report(delivery, "delivered", event_id="") for _ in range(2)] == [True, False]
    assert report(delivery, "delivered", event_id="", occurred_at=NOW + dt.timedelta(seconds=1)) is True


@pytest.mark.parametrize("order", list(itertools.permutations(["deferred", "delivered", "bounced"])))
def test_events_may_come_in_any_order(delivery, order):
    for kind in order:
        report(delivery, kind)

    assert state_of(delivery) == "bounced"


def test_an_event_finds_its_delivery_by_the_providers_id(delivery):
    report(delivery, "delivered", opaque_id="", provider_message_id="theirs-1")

    assert state_of(delivery) == "delivered"


def test_any_event_about_an_unknown_delivery_proves_that_it_went(delivery):
    delivery.state, delivery.accepted_at = "unknown", None
    delivery.save()

    report(delivery, "deferred")

    assert state_of(delivery) == "accepted"
    assert delivery.accepted_at == NOW


@pytest.mark.parametrize("kind", ["delivered", "bounced", "complained", "unsubscribed"])
def test_an_event_about_a_mail_that_we_did_not_send_changes_nothing(delivery, kind):
    record(Event("Postmark", kind, "f" * 32, "unheard-of", recipient=delivery.subscriber.email, is_permanent=True))

    event = DeliveryEvent.objects.get()
    assert (event.delivery, event.mail) == (None, None)
    assert state_of(delivery) == "accepted"
    assert suppressions() == []
    delivery.subscriber.refresh_from_db()
    assert delivery.subscriber.state == "active"


@pytest.mark.parametrize(("kind", "reason"), [("bounced", "bounce"), ("complained", "complaint")])
def test_a_hard_bounce_and_a_complaint_suppress_the_address(delivery, kind, reason):
    report(delivery, kind, recipient=delivery.subscriber.email.upper(), is_permanent=True)

    assert suppressions() == [(hash_address(delivery.subscriber.email), reason)]


def test_a_bounce_that_may_pass_suppresses_nobody(delivery):
    report(delivery, "bounced", is_permanent=False)

    assert state_of(delivery) == "bounced"
    assert suppressions() == []


def soft_bounce_of_another_mail(delivery, days_ago: float, **fields: object) -> None:
    at = timezone.now() - dt.timedelta(days=days_ago)
    number = DeliveryEvent.objects.count()
    edition = make_edition(dt.date(2026, 1, 1) + dt.timedelta(days=number), papers=(make_paper(),))
    other = make_digest(edition, delivery.subscriber, state="accepted", accepted_at=at)
    other.message_id = messages.message_id(other)
    other.save()
    report(other, "bounced", event_id=f"{number}", occurred_at=at, **fields)


def test_three_soft_bounces_within_two_weeks_suppress(delivery):
    soft_bounce_of_another_mail(delivery, 13.9)
    soft_bounce_of_another_mail(delivery, 5)
    assert suppressions() == []

    soft_bounce_of_another_mail(delivery, 0)

    assert [reason for _, reason in suppressions()] == ["bounce"]


def test_soft_bounces_over_a_longer_time_of_one_mail_or_for_our_reputation_suppress_nobody(delivery):
    for days in (30, 20, 5):
        soft_bounce_of_another_mail(delivery, days)
    for n in range(3):
        report(delivery, "bounced", event_id=f"again {n}", occurred_at=timezone.now())
    assert suppressions() == []
    for days, reason in ((4, "blocked"), (3, "spam"), (2, "blocked")):
        soft_bounce_of_another_mail(delivery, days, reason=reason)

    assert suppressions() == []


def test_an_event_that_came_before_our_own_commit_is_not_lost(delivery):
    Delivery.objects.update(provider_message_id="")
    report(delivery, "bounced", opaque_id="", provider_message_id="theirs-2", is_permanent=True)
    assert (state_of(delivery), adopt(timezone.now())) == ("accepted", 0)
    Delivery.objects.update(provider_message_id="theirs-2")

    assert [adopt(timezone.now()) for _ in range(2)] == [1, 0]

    assert state_of(delivery) == "bounced"
    assert [reason for _, reason in suppressions()] == ["bounce"]
    assert DeliveryEvent.objects.get().delivery == delivery


def test_an_event_that_names_another_recipient_suppresses_nobody(delivery):
    other = make_subscriber()

    report(delivery, "complained", recipient=other.email)

    assert suppressions() == []


def test_who_unsubscribes_at_the_provider_is_unsubscribed_here(delivery):
    report(delivery, "unsubscribed")

    delivery.subscriber.refresh_from_db()
    assert delivery.subscriber.state == "unsubscribed"


def test_the_bounce_of_a_service_mail_counts():
    subscriber = make_subscriber()
    mail = Mail.objects.create(
        subscriber=subscriber, kind="welcome", state="accepted", accepted_at=NOW, next_attempt_at=NOW
    )
    Mail.objects.update(message_id=emails.message_id(emails.opaque_id(mail.token)))

    record(Event("Postmark", "bounced", emails.opaque_id(mail.token), occurred_at=NOW, is_permanent=True))

    mail.refresh_from_db()
    assert mail.state == "bounced"
    assert suppressions() == [(hash_address(subscriber.email), "bounce")]
