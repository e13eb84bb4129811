"""Each service mail is a good message, asks for one thing, and holds no word that a stranger could have typed."""

import email
import re
from email import policy

import pytest

from subscribers import emails, tokens
from subscribers.models import Mail, Token
from tests.factories import make_mail, make_subscriber
from tests.message_checks import check_message

pytestmark = pytest.mark.django_db

URL = "https://papers.example.org"
TO_READERS = [("already", "active"), ("welcome", "active"), ("link", "active")]
TO_OTHERS = [("confirmation", "pending"), ("change", "active"), ("moved", "active"), ("goodbye", "unsubscribed")]
CASES = TO_OTHERS + TO_READERS


@pytest.fixture(autouse=True)
def _public(settings):
    settings.PUBLIC_URL = URL
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"
    settings.SERVICE_FROM_EMAIL = "Paperboy <hello@papers.example.org>"


def send(kind, state, provider, **fields):
    reader = make_subscriber(state=state, interests=("zyzzyva robots",), **fields)
    mail = make_mail(reader, kind=kind)
    emails.send(mail.pk, mail.next_attempt_at, provider)
    mail.refresh_from_db()
    return mail, provider.messages[-1].message().as_bytes(linesep="\r\n")


def body(raw, kind="plain"):
    part = email.message_from_bytes(raw, policy=policy.default).get_body((kind,))
    assert part is not None
    return part.get_content()


@pytest.mark.parametrize(("kind", "state"), CASES)
def test_a_service_mail_passes_every_check(kind, state, provider):
    mail, raw = send(kind, state, provider)

    assert check_message(raw, URL, paper_links=()) == []
    assert mail.state == Mail.State.ACCEPTED


@pytest.mark.parametrize(("kind", "state"), CASES)
def test_a_service_mail_comes_from_another_sender_than_the_digest(kind, state, provider):
    _mail, raw = send(kind, state, provider)

    assert email.message_from_bytes(raw, policy=policy.default)["From"] == "Paperboy <hello@papers.example.org>"


@pytest.mark.parametrize(("kind", "state"), CASES)
def test_no_service_mail_carries_a_readers_text(kind, state, provider):
    _mail, raw = send(kind, state, provider, email="victim@example.org")

    for part in ("plain", "html"):
        assert "zyzzyva" not in body(raw, part)
        assert "victim" not in body(raw, part)


def test_a_confirmation_cannot_be_unsubscribed_from_and_holds_a_working_link(provider):
    mail, raw = send("confirmation", "pending", provider)
    (token,) = set(re.findall(rf"{URL}/c/([\w-]{{22}})\b", body(raw)))

    found = tokens.find(token, Token.Purpose.CONFIRM, mail.next_attempt_at)

    assert found is not None
    assert found.subscriber == mail.subscriber
    assert b"List-Unsubscribe" not in raw
    assert "/u/" not in body(raw)
    assert "/m/" not in body(raw)


@pytest.mark.parametrize(("kind", "state"), TO_OTHERS)
def test_a_mail_to_somebody_who_may_be_no_reader_opens_no_preferences(kind, state, provider):
    _mail, raw = send(kind, state, provider)

    assert b"List-Unsubscribe" not in raw
    assert "/m/" not in body(raw)
    assert "/u/" not in body(raw)


@pytest.mark.parametrize(("kind", "state"), TO_READERS)
def test_the_other_mails_carry_the_links_to_preferences_and_out(kind, state, provider):
    mail, raw = send(kind, state, provider)

    assert f"{URL}/m/{mail.token}/preferences" in body(raw)
    assert f"{URL}/u/{mail.subscriber.unsubscribe_token}" in body(raw)


def test_the_message_id_does_not_give_the_link_token_away(provider):
    mail, raw = send("welcome", "active", provider)

    assert mail.message_id == email.message_from_bytes(raw, policy=policy.default)["Message-ID"]
    assert mail.token not in mail.message_id
    assert provider.messages[0].metadata == {"id": mail.message_id.strip("<").partition("@")[0]}


def test_the_preheader_is_the_first_text_and_the_dark_style_stays(provider):
    _mail, raw = send("welcome", "active", provider)

    assert "prefers-color-scheme: dark" in body(raw, "html")
    assert 'class="button" style="' in re.sub(r'href="[^"]*" ', "", body(raw, "html"))
