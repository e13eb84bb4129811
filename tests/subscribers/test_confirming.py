"""Nobody is subscribed but by pressing the button behind the link that went to their address."""

import datetime as dt

import pytest
import time_machine
from django.utils import timezone

from subscribers import emails, tokens
from subscribers.models import Mail, Subscriber, Suppression, Token, hash_address
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)


def link_to(subscriber):
    return f"/c/{tokens.issue(subscriber, Token.Purpose.CONFIRM)}"


def state_of(subscriber):
    return Subscriber.objects.get(pk=subscriber.pk).state


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_scanner_that_follows_the_link_changes_nothing(method, client):
    reader = make_subscriber(state="pending", confirmed_at=None)
    link = link_to(reader)

    for _ in range(3):
        assert getattr(client, method)(link).status_code == 200

    assert state_of(reader) == "pending"
    assert not reader.consents.exists()
    assert tokens.find(link[3:], Token.Purpose.CONFIRM, timezone.now())


def test_the_page_has_one_button_and_posts_to_itself(client):
    text = client.get(link_to(make_subscriber(state="pending"))).content.decode()

    assert text.partition("<main")[2].count("<button") == 1
    assert '<form method="post">' in text
    assert "csrf" not in text


def test_the_button_makes_the_reader_active_and_owes_the_welcome(client, provider):
    reader = make_subscriber(state="pending", confirmed_at=None)

    answer = client.post(link_to(reader), REMOTE_ADDR="192.0.2.77")

    assert answer.status_code == 200
    reader.refresh_from_db()
    assert reader.state == "active"
    assert reader.confirmed_at is not None
    consent = reader.consents.get()
    assert (consent.kind, consent.network) == ("confirmed", "192.0.2.0/24")
    assert consent.wording
    emails.send_due(timezone.now(), provider)
    assert [mail.kind for mail in Mail.objects.all()] == ["welcome"]
    assert provider.addresses == [reader.email]


def test_no_cookie_and_no_csrf_token_is_needed(client):
    client.handler.enforce_csrf_checks = True
    reader = make_subscriber(state="pending")

    answer = client.post(link_to(reader))

    assert (answer.status_code, state_of(reader)) == (200, "active")
    assert not answer.cookies


def test_a_second_press_says_that_the_link_was_used_and_offers_the_way_out(client):
    reader = make_subscriber(state="pending")
    link = link_to(reader)
    client.post(link)

    for answer in (client.post(link), client.get(link)):
        assert answer.status_code == 410
        assert "does not work" in answer.content.decode()
        assert 'action="/subscribe"' in answer.content.decode()
    assert reader.mails.count() == 1


def test_an_expired_link_is_gone(client):
    reader = make_subscriber(state="pending")
    link = link_to(reader)

    with time_machine.travel(timezone.now() + 72 * HOUR, tick=False):
        assert client.get(link).status_code == 410
        assert client.post(link).status_code == 410

    assert state_of(reader) == "pending"


@pytest.mark.parametrize("method", ["get", "post"])
def test_a_forged_link_is_not_found(method, client):
    answer = getattr(client, method)(f"/c/{'A' * 22}")

    assert answer.status_code == 404
    assert 'action="/subscribe"' in answer.content.decode()


def test_an_undo_link_confirms_nobody(client):
    reader = make_subscriber(state="pending")
    token = tokens.issue(reader, Token.Purpose.UNDO)

    assert client.post(f"/c/{token}").status_code == 404
    assert state_of(reader) == "pending"


@pytest.mark.parametrize("reason", ["unsubscribed", "erased"])
def test_the_readers_own_confirmed_sign_up_brings_them_back(reason, client):
    reader = make_subscriber(state="unsubscribed", interests=("robots",))
    Suppression.objects.create(address_hash=hash_address(reader.email), reason=reason)

    client.post(link_to(reader))

    reader.refresh_from_db()
    assert (reader.state, reader.unsubscribed_at) == ("active", None)
    assert not Suppression.objects.exists()


@pytest.mark.parametrize("reason", Suppression.BLOCKING)
def test_a_confirmed_sign_up_does_not_lift_a_block(reason, client):
    reader = make_subscriber(state="pending")
    Suppression.objects.create(address_hash=hash_address(reader.email), reason=reason)

    client.post(link_to(reader))

    assert Suppression.objects.get().reason == reason


def test_an_older_link_is_worth_nothing_after_a_newer_one_was_used(client):
    reader = make_subscriber(state="pending")
    older, newer = link_to(reader), link_to(reader)

    client.post(newer)

    assert client.post(older).status_code == 410
    assert reader.mails.count() == 1


def test_an_older_link_does_not_bring_back_who_has_left_since(client):
    reader = make_subscriber(state="pending")
    older = link_to(reader)

    client.post(f"/u/{reader.unsubscribe_token}")

    assert client.post(older).status_code == 410
    assert state_of(reader) == "unsubscribed"


def test_a_paused_reader_stays_paused(client):
    reader = make_subscriber(state="paused")

    client.post(link_to(reader))

    assert state_of(reader) == "paused"
    assert not reader.mails.exists()


def test_a_page_with_a_token_in_its_address_is_kept_by_nobody(client):
    reader = make_subscriber(state="pending")
    link = link_to(reader)

    for answer in (client.get(link), client.post(link), client.get(link), client.get(f"/u/{reader.unsubscribe_token}")):
        assert answer["Cache-Control"] == "private, no-store"
        assert answer["Referrer-Policy"] == "no-referrer"
        assert answer["X-Robots-Tag"] == "noindex"
