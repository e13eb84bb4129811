"""A digest in the browser, and the page of all that a reader was sent."""

import datetime as dt

import pytest
from django.utils import timezone

from newsletter import messages
from newsletter.models import Delivery
from tests.factories import make_digest, make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db


def sent(reader, date: dt.date, title: str) -> Delivery:
    edition = make_edition(date, papers=(make_paper(title=title), make_paper()))
    return make_digest(edition, reader, state="accepted", accepted_at=timezone.now())


def test_a_digest_is_shown_in_the_browser_as_it_was_mailed(client):
    delivery = make_digest()

    response = client.get(f"/m/{delivery.token}/")

    assert response.status_code == 200
    assert response.text == messages.message(delivery).alternatives[0][0]


def test_the_page_is_private_tracks_nobody_and_runs_no_script(client):
    delivery = make_digest()

    response = client.get(f"/m/{delivery.token}/")

    assert response["X-Robots-Tag"] == "noindex"
    assert "no-store" in response["Cache-Control"]
    assert response["Referrer-Policy"] == "no-referrer"
    assert not response.cookies
    styles = [rule for rule in response["Content-Security-Policy"].split("; ") if rule.startswith("style-src")]
    assert styles == ["style-src 'self' 'unsafe-inline'"]
    assert "script-src" not in response["Content-Security-Policy"]  # what falls back to default-src 'self'


def test_a_digest_can_be_read_years_later(client):
    delivery = make_digest()
    Delivery.objects.update(created_at=timezone.now() - dt.timedelta(days=1000))

    assert client.get(f"/m/{delivery.token}/").status_code == 200


def test_looking_changes_nothing_and_only_looking_is_allowed(client):
    delivery = make_digest()

    client.get(f"/m/{delivery.token}/")

    assert Delivery.objects.get().state == "pending"
    assert client.post(f"/m/{delivery.token}/").status_code == 405


@pytest.mark.parametrize("address", ["/m/unheard-of/", "/r/unheard-of/"])
def test_an_unknown_address_shows_nothing(client, address):
    assert client.get(address).status_code == 404


def test_the_archive_lists_what_the_reader_was_sent_newest_first(client):
    reader = make_subscriber()
    first = sent(reader, dt.date(2026, 7, 1), "Older")
    second = sent(reader, dt.date(2026, 7, 2), "Newer")
    sent(make_subscriber(), dt.date(2026, 7, 3), "Somebody else's")

    page = client.get(f"/r/{reader.feed_token}/")

    assert page.text.index(f"/m/{second.token}/") < page.text.index(f"/m/{first.token}/")
    assert "Newer, and 1 more" in page.text
    assert "Somebody else" not in page.text
    assert reader.email not in page.text
    assert page["X-Robots-Tag"] == "noindex"


def test_the_archive_leaves_out_what_was_not_sent(client):
    reader = make_subscriber()
    make_digest(subscriber=reader)

    assert "Nothing yet" in client.get(f"/r/{reader.feed_token}/").text


def test_a_long_archive_is_paged_with_as_many_queries_as_a_short_one(client, django_assert_max_num_queries):
    reader = make_subscriber()
    for day in range(32):
        sent(reader, dt.date(2026, 6, 1) + dt.timedelta(days=day), f"Paper {day}")

    with django_assert_max_num_queries(9):
        page = client.get(f"/r/{reader.feed_token}/?page=2")

    assert "Paper 1, and" in page.text
    assert "Paper 31" not in page.text


def test_the_preferences_lead_to_the_archive(client):
    delivery = make_digest()

    page = client.get(f"/m/{delivery.token}/preferences")

    assert f'href="/r/{delivery.subscriber.feed_token}/"' in page.text
