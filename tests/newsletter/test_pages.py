"""The links of a mail, and the site's own addresses."""

import datetime as dt

import pytest
from django.utils import timezone

from newsletter.models import Delivery
from subscribers.models import Mail
from tests.factories import make_digest, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

A_MONTH = dt.timedelta(days=30, minutes=1)


@pytest.fixture
def delivery():
    return make_digest(make_digest().edition, make_subscriber(interests=("robots",)))


def age(row, by: dt.timedelta) -> None:
    type(row).objects.filter(pk=row.pk).update(created_at=timezone.now() - by)


def service_mail() -> Mail:
    return Mail.objects.create(subscriber=make_subscriber(), kind="welcome", next_attempt_at=timezone.now())


def test_a_digests_link_opens_the_readers_preferences(client, delivery):
    response = client.get(f"/m/{delivery.token}/preferences")

    assert response.status_code == 200
    assert "robots" in response.text
    assert delivery.subscriber.email not in response.text
    assert "no-store" in response["Cache-Control"]
    assert not response.cookies


def test_a_service_mails_link_opens_them_too(client):
    assert client.get(f"/m/{service_mail().token}/preferences").status_code == 200


@pytest.mark.parametrize("token", ["unheard-of", "A" * 22])
def test_an_unknown_token_opens_nothing(client, token):
    assert client.get(f"/m/{token}/preferences").status_code == 404
    assert client.post(f"/m/{token}/link").status_code == 404
    assert not Mail.objects.exists()


def test_an_old_link_opens_nothing_and_offers_a_fresh_one(client, delivery):
    age(delivery, A_MONTH)

    response = client.get(f"/m/{delivery.token}/preferences")

    assert response.status_code == 410
    assert f'action="/m/{delivery.token}/link"' in response.text
    assert "robots" not in response.text
    assert delivery.subscriber.email not in response.text


def test_an_old_link_changes_nothing(client, delivery):
    age(delivery, A_MONTH)

    assert client.post(f"/m/{delivery.token}/preferences", {"hour": "9"}).status_code == 410
    delivery.subscriber.refresh_from_db()
    assert delivery.subscriber.hour == 7


def test_a_fresh_link_is_owed_to_the_reader_alone(client, delivery):
    age(delivery, A_MONTH)

    response = client.post(f"/m/{delivery.token}/link")

    assert response.status_code == 200
    mail = Mail.objects.get()
    assert (mail.kind, mail.subscriber) == ("link", delivery.subscriber)


def test_fresh_links_go_through_the_gate(client, delivery):
    statuses = [client.post(f"/m/{delivery.token}/link").status_code for _ in range(30)]

    assert Mail.objects.count() == 3
    assert statuses[0] == 200
    assert statuses[-1] == 429


def test_asking_for_a_link_is_no_matter_of_following_one(client, delivery):
    assert client.get(f"/m/{delivery.token}/link").status_code == 405


def test_the_process_says_that_it_lives(client):
    response = client.get("/livez")

    assert (response.status_code, response.text) == (200, "ok")


def test_the_process_says_that_it_is_ready(client):
    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (200, {"database": True})


def test_a_broker_that_does_not_answer_makes_it_unready(client, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    response = client.get("/readyz")

    assert (response.status_code, response.json()) == (503, {"database": True, "broker": False})


def test_robots_are_kept_out_of_the_readers_links(client):
    text = client.get("/robots.txt").text

    assert {"Disallow: /m/", "Disallow: /u/", "Disallow: /c/"} <= set(text.splitlines())


def test_a_page_says_that_papers_are_made_up(client):
    assert "made up" not in client.get("/subscribe/check-your-inbox").text
    make_paper(is_sample=True)
    assert "made up" in client.get("/subscribe/check-your-inbox").text


def test_a_token_stands_in_no_other_row(delivery):
    assert not Delivery.objects.filter(message_id__contains=delivery.token).exists()
