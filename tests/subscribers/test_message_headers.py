"""Every mail has every header that mailbox providers ask for, whatever stands in a title."""

import datetime as dt
import email
from email import policy
from typing import Any

import pytest
from django.core.mail import BadHeaderError
from django.core.mail.message import SafeMIMEText

from newsletter.settings import LONGEST_UNSUBSCRIBE
from subscribers import emails
from subscribers.emails import compose
from tests.factories import make_subscriber
from tests.message_checks import check_message

pytestmark = pytest.mark.django_db

URL = "https://papers.example.org"
HTML = (
    "<html><body><div>A preheader that says in one sentence what is inside.</div>"
    '<a href="{u}">Unsubscribe</a><p>Zürich</p><a href="{u}">Unsubscribe</a></body></html>'
)


@pytest.fixture(autouse=True)
def _public(settings):
    settings.PUBLIC_URL = URL
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"


def make_message(subscriber=None, **changes):
    subscriber = subscriber or make_subscriber()
    link = f"{URL}/u/{subscriber.unsubscribe_token}"
    values: dict[str, Any] = {
        "subject": "A paper, and 6 more",
        "text": f"Zürich, unsubscribe: {link}",
        "html": HTML.format(u=link),
        "from_email": "Paperboy <digest@papers.example.org>",
        "message_id": emails.message_id("abc"),
        "opaque_id": "abc",
        "list_unsubscribe": True,
    }
    return compose(subscriber, **(values | changes))


def received(message):
    return message.message().as_bytes(linesep="\r\n")


def test_a_composed_message_passes_every_check():
    assert check_message(received(make_message()), URL) == []


def test_list_unsubscribe_stays_raw_also_under_the_modern_policy():
    subscriber = make_subscriber()
    message = make_message(subscriber)
    parsed = email.message_from_bytes(received(message), policy=policy.SMTP)

    line = next(line for line in parsed.as_bytes().split(b"\r\n") if line.startswith(b"List-Unsubscribe:"))

    assert line == f"List-Unsubscribe: <{URL}/u/{subscriber.unsubscribe_token}>".encode()
    assert message.extra_headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_the_longest_public_url_that_may_be_set_leaves_the_link_unbroken(settings):
    settings.PUBLIC_URL = f"https://{'x' * 21}.org"
    longest = LONGEST_UNSUBSCRIBE - len("</u/>") - 22
    assert len(settings.PUBLIC_URL) == longest
    subscriber = make_subscriber()

    raw = received(make_message(subscriber))

    assert f"\r\nList-Unsubscribe: <{settings.PUBLIC_URL}/u/{subscriber.unsubscribe_token}>\r\n".encode() in raw


def test_a_mail_without_an_unsubscribe_link_has_neither_of_the_two_headers():
    message = make_message(list_unsubscribe=False)

    assert not {"List-Unsubscribe", "List-Unsubscribe-Post"} & message.extra_headers.keys()


@pytest.mark.parametrize("subject", ["One\r\nBcc: victim@example.org", "One\n\ttwo", "a\x00b\x1bc\u2028d", "x" * 5000])
def test_no_subject_breaks_the_head(subject):
    parsed = email.message_from_bytes(received(make_message(subject=subject)), policy=policy.default)

    assert parsed["Bcc"] is None
    assert check_message(received(make_message(subject=subject)), URL) == []


@pytest.mark.parametrize("name", ["Subject", "To", "Message-ID"])
@pytest.mark.parametrize("value", ["plain", "a\tb", "Zoë <z@example.org>", "long words " * 30, "=?utf-8?q?x?=", "\x1b"])
def test_a_header_is_written_as_django_writes_it(name, value):
    expected = SafeMIMEText("", _charset="utf-8")
    expected[name] = value
    message = make_message()
    message.subject, message.extra_headers[name] = "", value

    assert f"\r\n{name}: {expected[name]}\r\n".replace("\n ", "\r\n ").encode() in message.as_bytes()


@pytest.mark.parametrize("value", ["a\r\nBcc: victim@example.org", "a\nb", "a\rb", "é\nb"])
def test_no_header_opens_another_one(value):
    message = make_message()
    message.extra_headers["X-Own"] = value

    with pytest.raises(BadHeaderError):
        message.as_bytes()


def test_a_long_subject_in_another_script_is_folded_below_998_octets():
    message = make_message(subject="Ü" * 300)

    assert check_message(received(message), URL) == []


def test_the_message_id_is_the_one_given_and_the_date_too():
    message = make_message(date=dt.datetime(2026, 7, 1, 7, tzinfo=dt.UTC))
    parsed = email.message_from_bytes(received(message), policy=policy.default)

    assert parsed["Message-ID"] == "<abc@papers.example.org>"
    assert parsed["Date"] == "Wed, 01 Jul 2026 07:00:00 +0000"


def test_the_same_moment_is_the_same_date_in_every_zone():
    there = dt.datetime(2026, 7, 1, 9, tzinfo=dt.timezone(dt.timedelta(hours=2)))

    assert make_message(date=there).extra_headers["Date"] == "Wed, 01 Jul 2026 07:00:00 +0000"


def test_the_opaque_id_comes_back_in_the_providers_events():
    assert make_message(opaque_id="xyz").metadata == {"id": "xyz"}


def test_nothing_that_is_counted_by_names_the_reader():
    one, two = make_message(make_subscriber()), make_message(make_subscriber())

    for name in ("Feedback-ID", "List-Id"):
        assert one.extra_headers[name] == two.extra_headers[name]


def test_the_list_id_is_ascii_under_any_site_name(settings):
    settings.SITE_NAME = "Пейпербой, <x>"

    assert check_message(received(make_message()), URL) == []


@pytest.mark.parametrize("address", ["a@example.org, b@example.org", "", "nobody"])
def test_an_address_that_is_not_exactly_one_is_refused(address):
    subscriber = make_subscriber()
    subscriber.email = address

    with pytest.raises(ValueError, match="single address"):
        make_message(subscriber)


def test_answers_go_where_the_operator_reads_them(settings):
    settings.REPLY_TO = "desk@example.org"

    assert make_message().reply_to == ["desk@example.org"]


def test_the_opaque_id_cannot_be_turned_back_into_the_link_token():
    assert "secret" not in emails.opaque_id("secret")
    assert emails.opaque_id("secret") == emails.opaque_id("secret")
    assert emails.opaque_id("secret") != emails.opaque_id("other")
