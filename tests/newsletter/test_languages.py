"""Mails come in their reader's language, with its dates and numbers; pages in the browser's, admin in English."""

import datetime as dt

import pytest
from django.utils import timezone, translation

from newsletter import cards, messages
from newsletter.languages import number
from newsletter.models import EditionPaper
from subscribers import emails
from subscribers.forms import stamp
from subscribers.models import Subscriber
from tests.factories import make_digest, make_edition, make_mail, make_paper, make_subscriber
from tests.message_checks import check_message

pytestmark = pytest.mark.django_db

URL = "https://papers.example.org"


@pytest.fixture(autouse=True)
def _public(settings):
    settings.PUBLIC_URL = URL
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"


def digest_in(language: str):
    paper = make_paper(upvotes=1234, list_date=dt.date(2026, 6, 30))
    edition = make_edition(papers=(paper,))
    EditionPaper.objects.update(gained=1000)
    return make_digest(edition, make_subscriber(language=language))


def test_a_digest_comes_in_its_readers_language_with_its_dates_and_numbers():
    message = messages.message(digest_in("de"))
    html = str(message.alternatives[0][0])

    assert '<html lang="de"' in html
    for body in (html, str(message.body)):
        assert "Mittwoch, 1. Juli" in body
        assert "30. Juni" in body
        assert "1.234" in body
        assert "Abmelden" in body
        assert "Unsubscribe" not in body
    assert check_message(message.message().as_bytes(), URL) == []


def test_two_readers_of_one_chunk_get_each_their_own_language():
    german = digest_in("de")
    english = make_digest(german.edition, make_subscriber())

    bodies = [str(messages.message(delivery).body) for delivery in (german, english, german)]

    assert ["Abmelden" in body for body in bodies] == [True, False, True]
    assert ["1,234 upvotes" in body for body in bodies] == [False, True, False]
    assert translation.get_language() == "en"


@pytest.mark.parametrize("kind", ["welcome", "link", "already"])
def test_a_service_mail_comes_in_the_readers_language(kind):
    mail = make_mail(make_subscriber(language="de"), kind=kind)

    message = emails.service_mail(mail, timezone.now())

    assert "Abmelden" in str(message.body)
    assert "Unsubscribe" not in str(message.body)


def test_a_sign_up_on_a_german_page_asks_in_german(client):
    german = {"accept-language": "de-AT,de;q=0.9"}
    assert '<html lang="de"' in client.get("/subscribe", headers=german).text
    data = {"email": "ada@example.org", "interests": "robots", "timezone": "UTC"}
    data["started"] = stamp(timezone.now() - dt.timedelta(minutes=1))

    client.post("/subscribe", data, headers=german)

    assert Subscriber.objects.get().language == "de"


def test_the_reader_chooses_another_language_in_the_preferences(client):
    delivery = digest_in("en")

    page = client.get(f"/m/{delivery.token}/preferences")

    assert '<option value="de">Deutsch</option>' in page.text


def test_admin_is_in_english_whatever_the_browser_asks_for(client):
    page = client.get("/admin/login/", headers={"accept-language": "de"})

    assert '<html lang="en' in page.text
    assert "Log in" in page.text


@pytest.mark.parametrize(("language", "written"), [("en", "12,345"), ("de", "12.345")])
def test_large_numbers_have_the_separators_of_the_language(language, written):
    with translation.override(language):
        assert number(12345) == written
        assert number(999) == "999"


def test_a_card_is_made_once_for_each_language():
    paper = make_paper()
    made = []
    for language in ("en", "de"):
        with translation.override(language):
            made.append(cards.card(paper, dt.date(2026, 7, 1), 1).links[0].label)

    assert made == ["Abstract", "Zusammenfassung"]
