"""Who leaves gets one last mail that says so, with the way back while it is open."""

import datetime as dt

import pytest
from django.utils import timezone

from subscribers import emails, signup
from subscribers.models import Mail, Suppression, hash_address
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db

HOUR = dt.timedelta(hours=1)


def test_leaving_is_answered_by_one_mail_with_the_way_back(client, provider):
    reader = make_subscriber()
    for _ in range(2):
        signup.unsubscribe(reader, timezone.now())

    emails.send_due(timezone.now(), provider)

    (message,) = provider.messages
    assert message.to == [reader.email]
    link = str(message.body).partition("/undo/")[2].split()[0]
    client.post(f"/undo/{link}")
    reader.refresh_from_db()
    assert reader.state == "active"


def test_a_late_goodbye_offers_no_way_back(provider):
    reader, left_at = make_subscriber(), timezone.now()
    signup.unsubscribe(reader, left_at)

    emails.send_due(left_at + HOUR, provider)

    assert "/undo/" not in str(provider.messages[0].body)


def test_who_came_back_meanwhile_gets_no_goodbye(client, provider):
    reader, now = make_subscriber(), timezone.now()
    token = signup.unsubscribe(reader, now)
    client.post(f"/undo/{token}")

    emails.send_due(timezone.now(), provider)

    assert provider.messages == []
    assert Mail.objects.get().state == "skipped"


def test_an_address_that_complained_gets_no_goodbye(provider):
    reader = make_subscriber()
    Suppression.objects.create(address_hash=hash_address(reader.email), reason="complaint")
    signup.unsubscribe(reader, timezone.now())

    emails.send_due(timezone.now(), provider)

    assert provider.messages == []
