"""A service mail goes once, is tried again when it did not go, and never reaches who must not get it."""

import datetime as dt
import logging

import pytest

from subscribers import emails
from subscribers.emails import MAX_ATTEMPTS, Outcome
from subscribers.models import Mail, Suppression, hash_address
from tests.factories import make_mail, make_subscriber

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
State = Mail.State


def block(subscriber, reason="operator"):
    Suppression.objects.create(address_hash=hash_address(subscriber.email), reason=reason)


def test_a_mail_goes_once_however_often_it_is_tried(provider):
    mail = make_mail()

    emails.send(mail.pk, NOW, provider)
    emails.send(mail.pk, NOW, provider)
    emails.send_due(NOW + 60 * MINUTE, provider)

    assert provider.addresses == [mail.subscriber.email]
    mail.refresh_from_db()
    assert (mail.state, mail.accepted_at, mail.attempt) == (State.ACCEPTED, NOW, 1)
    assert mail.provider_message_id == "provider-1"


def test_a_mail_that_another_worker_has_is_left_to_it(provider):
    mail = make_mail(state=State.SENDING, attempt=1, leased_until=NOW + MINUTE)

    emails.send(mail.pk, NOW, provider)
    emails.send_due(NOW, provider)

    assert provider.addresses == []


def test_two_workers_that_both_saw_a_pending_row_send_it_once(provider):
    mail = make_mail()
    seen_by_both = Mail.objects.select_related("subscriber").get(pk=mail.pk)

    emails.send(mail.pk, NOW, provider)

    assert not emails._claim(seen_by_both, NOW)


def test_a_mail_that_was_deleted_meanwhile_is_no_error(provider):
    emails.send(0, NOW, provider)

    assert provider.addresses == []


def test_a_mail_is_not_sent_before_its_time(provider):
    make_mail(next_attempt_at=NOW + MINUTE)

    assert emails.send_due(NOW, provider) == {}


@pytest.mark.parametrize("reason", Suppression.BLOCKING)
@pytest.mark.parametrize(("kind", "state"), [("confirmation", "pending"), ("welcome", "active")])
def test_nothing_at_all_goes_to_a_blocked_address(kind, state, reason, provider):
    mail = make_mail(make_subscriber(state=state), kind=kind)
    block(mail.subscriber, reason)

    assert emails.send_due(NOW, provider) == {"skipped": 1}
    mail.refresh_from_db()
    assert (mail.state, mail.error) == (State.SKIPPED, "the address is suppressed")
    assert provider.addresses == []


@pytest.mark.parametrize("reason", ["unsubscribed", "erased"])
def test_who_left_may_be_asked_to_confirm_a_new_sign_up(reason, provider):
    mail = make_mail(make_subscriber(state="unsubscribed"), kind="confirmation")
    block(mail.subscriber, reason)

    emails.send_due(NOW, provider)

    assert provider.addresses == [mail.subscriber.email]


@pytest.mark.parametrize(
    ("kind", "state"), [("confirmation", "active"), ("welcome", "unsubscribed"), ("link", "unsubscribed")]
)
def test_a_mail_that_the_reader_has_outrun_is_skipped(kind, state, provider):
    mail = make_mail(make_subscriber(state=state), kind=kind)

    emails.send_due(NOW, provider)

    mail.refresh_from_db()
    assert (mail.state, mail.error) == (State.SKIPPED, "the reader's state changed")


def test_a_mail_to_an_address_that_changed_after_it_was_read_is_not_claimed():
    mail = make_mail()
    read = Mail.objects.select_related("subscriber").get(pk=mail.pk)
    type(mail.subscriber).objects.filter(pk=mail.subscriber_id).update(email="new@example.org")

    assert not emails._claim(read, NOW)


def test_what_did_not_go_is_tried_again_later_and_later(provider):
    mail = make_mail()
    provider.outcomes = [Outcome("retry", error="421 busy")] * 3

    waits, now = [], NOW
    for _ in range(3):
        emails.send_due(now, provider)
        mail.refresh_from_db()
        waits.append((mail.next_attempt_at - now) / MINUTE)
        assert (mail.state, mail.error) == (State.PENDING, "421 busy")
        now = mail.next_attempt_at
    emails.send_due(now, provider)

    assert waits == [1, 4, 16]
    mail.refresh_from_db()
    assert (mail.state, mail.error, mail.attempt) == (State.ACCEPTED, "", 4)


def test_a_provider_that_asks_for_more_time_gets_it(provider):
    mail = make_mail()
    provider.outcomes = [Outcome("retry", retry_after_s=3600)]

    emails.send_due(NOW, provider)

    mail.refresh_from_db()
    assert mail.next_attempt_at == NOW + 60 * MINUTE


def test_after_eight_attempts_it_is_over(provider):
    mail = make_mail(attempt=MAX_ATTEMPTS - 1)
    provider.outcomes = [Outcome("retry", error="no route")]

    emails.send_due(NOW, provider)

    mail.refresh_from_db()
    assert (mail.state, mail.attempt, mail.error) == (State.FAILED, 8, "no route")


def test_a_refused_reader_fails_and_the_others_get_their_mail(provider):
    bad, good = make_mail(), make_mail()
    provider.outcomes = [Outcome("failed", error="550 no such user")]

    assert emails.send_due(NOW, provider) == {"failed": 1, "accepted": 1}
    bad.refresh_from_db()
    assert (bad.state, bad.error) == (State.FAILED, "550 no such user")
    assert good.subscriber.email in provider.addresses


def test_a_mail_that_cannot_be_composed_waits_and_stops_nobody(provider, caplog):
    broken, good = make_mail(), make_mail()
    type(broken.subscriber).objects.filter(pk=broken.subscriber_id).update(email="a@example.org, b@example.org")

    with caplog.at_level(logging.CRITICAL):
        assert emails.send_due(NOW, provider) == {"retry": 1, "accepted": 1}

    broken.refresh_from_db()
    assert broken.state == State.PENDING
    assert "single address" in broken.error
    assert provider.addresses == [good.subscriber.email]


def test_a_hand_over_that_breaks_stops_nobody(provider, caplog):
    first, second = make_mail(), make_mail()

    def breaks_once(message):
        if message.to == [first.subscriber.email]:
            raise RuntimeError("a bug")
        return provider(message)

    with caplog.at_level(logging.CRITICAL):
        assert emails.send_due(NOW, breaks_once) == {"error": 1, "accepted": 1}
    assert provider.addresses == [second.subscriber.email]


@pytest.mark.parametrize(("kind", "state"), [("confirmation", "pending"), ("link", "active")])
def test_a_mail_that_the_reader_waits_for_and_that_may_have_gone_goes_once_more_and_no_further(kind, state, provider):
    mail = make_mail(make_subscriber(state=state), kind=kind)
    provider.outcomes = [Outcome("unknown", error="read time-out")] * 9

    for minutes in range(0, 60, 10):
        emails.send_due(NOW + minutes * MINUTE, provider)

    mail.refresh_from_db()
    assert (len(provider.messages), mail.state) == (2, State.UNKNOWN)


@pytest.mark.parametrize("kind", ["welcome", "already"])
def test_a_mail_that_would_puzzle_the_reader_is_not_sent_twice(kind, provider):
    mail = make_mail(kind=kind)
    provider.outcomes = [Outcome("unknown", error="read time-out")]

    for minutes in range(0, 60, 10):
        emails.send_due(NOW + minutes * MINUTE, provider)

    mail.refresh_from_db()
    assert (len(provider.messages), mail.state, mail.error) == (1, State.UNKNOWN, "read time-out")


def test_a_row_whose_worker_died_is_unknown_when_its_lease_has_run_out(provider):
    mail = make_mail(state=State.SENDING, attempt=1, leased_until=NOW)

    emails.send_due(NOW, provider)

    mail.refresh_from_db()
    assert (mail.state, provider.addresses) == (State.UNKNOWN, [])


def test_a_late_answer_settles_an_unknown_row():
    mail = make_mail()

    def slow(message):
        emails.send_due(NOW + 10 * MINUTE, slow)  # another worker gives us up meanwhile
        return Outcome("accepted", "late")

    emails.send(mail.pk, NOW, slow)

    mail.refresh_from_db()
    assert (mail.state, mail.provider_message_id) == (State.ACCEPTED, "late")


def test_a_late_answer_does_not_settle_the_next_attempt():
    mail = make_mail(make_subscriber(state="pending"), kind="confirmation")

    def slow(message):
        Mail.objects.filter(pk=mail.pk).update(attempt=5)
        return Outcome("failed", error="550")

    emails.send(mail.pk, NOW, slow)

    mail.refresh_from_db()
    assert mail.state == State.SENDING


def test_due_mails_are_sent_oldest_first_and_no_more_than_the_limit(provider):
    late, early = make_mail(next_attempt_at=NOW), make_mail(next_attempt_at=NOW - MINUTE)

    emails.send_due(NOW, provider, limit=1)
    assert provider.addresses == [early.subscriber.email]

    emails.send_due(NOW, provider, limit=1)
    assert provider.addresses[1:] == [late.subscriber.email]


@pytest.mark.parametrize("kind", ["provider_fault", "unsent"])
def test_a_provider_that_takes_nobodys_mails_costs_no_attempt_and_ends_the_round(kind, provider):
    mails = [make_mail() for _ in range(2)]
    provider.outcomes = [Outcome(kind, error="401")] * 20

    for minutes in range(20):
        assert emails.send_due(NOW + minutes * MINUTE, provider) == {kind: 1}

    rows = Mail.objects.filter(pk__in=[mail.pk for mail in mails]).values_list("state", "attempt")
    assert list(rows) == [(State.PENDING, 0)] * 2
    assert emails.send_due(NOW + 30 * MINUTE, provider) == {"accepted": 2}
