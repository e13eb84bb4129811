"""One click ends it at once, from a mailbox provider or a browser; a scanner's visit does not; an hour undoes it."""

import datetime as dt
import re

import pytest
import time_machine
from django.utils import timezone

from subscribers import signup, tokens
from subscribers.models import Subscriber, Suppression, Token, hash_address
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)
ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def undo_link(answer):
    (link,) = re.findall(r'action="(/undo/[^"]+)"', answer.content.decode())
    return link


@pytest.mark.parametrize("content_type", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=b"])
def test_a_mailbox_providers_post_unsubscribes_at_once_without_a_redirect(content_type, client):
    client.handler.enforce_csrf_checks = True
    reader = make_subscriber()
    body = (
        '--b\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--b--\r\n'
        if "multipart" in content_type
        else "List-Unsubscribe=One-Click"
    )

    for _ in range(2):
        answer = client.post(f"/u/{reader.unsubscribe_token}", body, content_type=content_type)
        assert answer.status_code == 200
        assert not answer.cookies

    reader.refresh_from_db()
    assert reader.state == "unsubscribed"
    assert reader.unsubscribed_at is not None
    assert [consent.kind for consent in reader.consents.all()] == ["unsubscribed"]
    suppression = Suppression.objects.get()
    assert (suppression.reason, suppression.address_hash) == ("unsubscribed", hash_address(reader.email))


@pytest.mark.parametrize("method", ["get", "head"])
def test_a_scanner_that_follows_the_link_unsubscribes_nobody(method, client):
    reader = make_subscriber()

    answer = getattr(client, method)(f"/u/{reader.unsubscribe_token}")

    assert answer.status_code == 200
    reader.refresh_from_db()
    assert reader.state == "active"
    assert not Suppression.objects.exists()


def test_the_page_asks_with_one_button_and_masks_the_address(client):
    reader = make_subscriber(email="ada.lovelace@example.org")
    text = client.get(f"/u/{reader.unsubscribe_token}").content.decode()

    assert text.partition("<main")[2].count("<button") == 1
    assert "lovelace" not in text
    assert "a…@example.org" in text


@pytest.mark.parametrize("method", ["get", "post"])
def test_an_unknown_token_tells_nothing(method, client):
    make_subscriber()

    answer = getattr(client, method)(f"/u/{'A' * 22}", ONE_CLICK)

    assert answer.status_code == 404
    assert "@example.org" not in answer.content.decode()


def test_the_link_never_expires_and_can_do_nothing_else(client):
    reader = make_subscriber()

    with time_machine.travel(timezone.now() + 3650 * 24 * HOUR, tick=False):
        assert client.post(f"/u/{reader.unsubscribe_token}").status_code == 200
    assert client.post(f"/c/{reader.unsubscribe_token}").status_code == 404
    assert client.post(f"/undo/{reader.unsubscribe_token}").status_code == 404


def test_undo_brings_everything_back(client):
    reader = make_subscriber(interests=("robots",))
    before = Subscriber.objects.values().get()

    answer = client.post(undo_link(client.post(f"/u/{reader.unsubscribe_token}")))

    assert answer.status_code == 200
    assert Subscriber.objects.values().get() == before
    assert not Suppression.objects.exists()
    assert [consent.kind for consent in reader.consents.all()] == ["unsubscribed", "restored"]
    assert [row.wording for row in reader.follows.all()] == ["robots"]


def test_undo_asks_on_get(client):
    reader = make_subscriber()
    link = undo_link(client.post(f"/u/{reader.unsubscribe_token}"))

    assert client.get(link).text.partition("<main")[2].count("<button") == 1
    assert client.head(link).status_code == 200

    reader.refresh_from_db()
    assert reader.state == "unsubscribed"


def test_undo_works_once_and_for_an_hour(client):
    reader = make_subscriber()
    used = undo_link(client.post(f"/u/{reader.unsubscribe_token}"))
    client.post(used)
    assert client.post(used).status_code == 410

    late = undo_link(client.post(f"/u/{reader.unsubscribe_token}"))
    with time_machine.travel(timezone.now() + HOUR, tick=False):
        assert client.post(late).status_code == 410
        assert "/undo/" not in client.post(f"/u/{reader.unsubscribe_token}").content.decode()
    reader.refresh_from_db()
    assert reader.state == "unsubscribed"


def test_a_forged_undo_is_not_found(client):
    assert client.post(f"/undo/{'A' * 22}").status_code == 404


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"state": "pending", "confirmed_at": None}, "pending"),
        ({"state": "paused", "paused_until": dt.date(2030, 1, 1)}, "paused"),
        ({"state": "active"}, "active"),
    ],
)
def test_undo_makes_nobody_more_than_they_were(fields, state):
    reader = make_subscriber(**fields)
    now = timezone.now()
    token = tokens.find(signup.unsubscribe(reader, now), Token.Purpose.UNDO, now)
    assert token is not None

    assert signup.undo(token, now)

    reader.refresh_from_db()
    assert reader.state == state


def test_the_operators_block_survives_an_undo(client):
    reader = make_subscriber()
    Suppression.objects.create(address_hash=hash_address(reader.email), reason="operator")

    client.post(undo_link(client.post(f"/u/{reader.unsubscribe_token}")))

    assert [row.reason for row in Suppression.objects.all()] == ["operator"]
