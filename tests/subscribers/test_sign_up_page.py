"""The sign-up form loses nothing that was typed, says what to write instead, and sets no cookie."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from subscribers.forms import stamp
from subscribers.models import Attempt, Follow, Mail, Subscriber
from subscribers.signup import LIMITS

pytestmark = pytest.mark.django_db

INBOX = "/subscribe/check-your-inbox"


def post(client, *, seconds=5, headers=None, **changes):
    data = {"email": "ada@example.org", "interests": "diffusion models", "timezone": "Europe/Berlin"}
    data["started"] = stamp(timezone.now() - dt.timedelta(seconds=seconds))
    return client.post("/subscribe", data | changes, headers=headers)


def page(answer):
    return answer.content.decode()


def test_a_good_sign_up_is_sent_to_the_page_that_says_what_happens_next(client):
    answer = post(client)

    assert (answer.status_code, answer["Location"]) == (303, INBOX)
    assert client.get(INBOX).status_code == 200
    assert Mail.objects.count() == 1


@pytest.mark.parametrize("address", ["/subscribe", INBOX])
def test_pages_set_no_cookie_and_hold_no_csrf_token(address, client):
    answer = client.get(address)

    assert not answer.cookies
    assert "csrf" not in page(answer)
    assert "Cookie" not in answer.get("Vary", "")


def test_a_sign_up_needs_no_cookie_and_gets_none(client):
    client.handler.enforce_csrf_checks = True

    assert not post(client).cookies
    assert Mail.objects.count() == 1


def test_interests_are_separated_by_lines_and_semicolons(client):
    post(client, interests="diffusion models; agents\r\n\r\n  robot -surgery  ;")

    assert list(Follow.objects.values_list("wording", flat=True)) == ["diffusion models", "agents", "robot -surgery"]


def test_interests_may_be_left_out(client):
    assert post(client, interests="").status_code == 303


@pytest.mark.parametrize("zone", ["Not/AZone", "../../etc/passwd", "x" * 5000, ""])
def test_a_time_zone_that_is_none_is_utc(zone, client):
    post(client, timezone=zone)

    assert Subscriber.objects.get().timezone == "UTC"


@pytest.mark.parametrize(
    ("field", "value", "remedy"),
    [
        ("email", "", "Write the address"),
        ("email", "ada", "Write one such as you@example.org"),
        ("email", "ada@example.org\r\nBcc: x@example.org", "Write one such as"),
        ("email", "a" * 250 + "@example.org", "at most 254"),
        ("interests", 'agents\n\nfoo "bar', "Line 3, “foo &quot;bar”, at “&quot;bar”"),
        ("interests", "\n".join(f"topic {n}" for n in range(51)), "more than 50"),
        ("interests", "x" * 201, "Line 1, “"),
        ("interests", "(" * 20_000, "A line has at most 200 characters."),
        ("interests", "\u202e🤖", "Line 1, “🤖”: There is no word here."),
    ],
)
def test_an_error_keeps_what_was_typed_and_says_what_to_do(field, value, remedy, client):
    answer = post(client, **{field: value})

    assert answer.status_code == 422
    text = page(answer).replace("&#x27;", "'").replace("&#39;", "'")
    assert text.count(remedy) == 2  # in the summary and beside the field
    assert "diffusion models" in text or field == "interests"
    assert "ada@example.org" in text or field == "email"
    assert not Subscriber.objects.exists()


def test_an_error_is_linked_with_its_field_and_announced(client):
    text = page(post(client, email="ada"))
    (box,) = re.findall(r'<input type="email"[^>]*>', text)

    assert 'aria-invalid="true"' in box
    assert 'aria-describedby="sign-up-email_error"' in box
    assert 'id="sign-up-email_error"' in text
    assert '<a href="#sign-up-email">' in text
    assert 'role="alert" tabindex="-1" autofocus' in text
    assert "<title>Please look at this again" in text


def test_the_form_stands_on_the_page_once(client):
    for text in (page(client.get("/subscribe")), page(post(client, email="ada"))):
        assert text.count('<form method="post"') == 1
        assert text.count('id="sign-up"') == 1


def test_hostile_text_comes_back_escaped(client):
    text = page(post(client, email='"><script>alert(1)</script>', interests='<b>"'))

    assert "<script>alert" not in text
    assert "<b>" not in text


def test_a_form_sent_within_two_seconds_comes_back_filled_and_then_works(client):
    answer = post(client, seconds=1)

    assert answer.status_code == 422
    assert "That was quick!" in page(answer)
    assert "diffusion models" in page(answer)
    (started,) = re.findall(r'name="started" value="([^"]+)"', page(answer))
    assert post(client, started=started).status_code == 422
    assert post(client, seconds=2).status_code == 303


@pytest.mark.parametrize("started", ["", "forged", "9999:forged"])
def test_a_form_whose_time_cannot_be_trusted_comes_back_with_one_that_can(started, client):
    answer = post(client, started=started)

    assert answer.status_code == 422
    assert "Nothing is lost" in page(answer)
    (fresh,) = re.findall(r'name="started" value="([^"]+)"', page(answer))
    assert fresh != started
    assert "diffusion models" in page(answer)


def test_a_form_from_a_page_that_was_cached_for_days_works(client):
    assert post(client, seconds=7 * 86400).status_code == 303


def test_a_robot_that_fills_the_hidden_field_gets_the_answer_and_causes_nothing(client):
    answer = post(client, note="Buy now")

    assert (answer.status_code, answer["Location"]) == (303, INBOX)
    assert not Subscriber.objects.exists()
    assert not Attempt.objects.exists()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 303),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://testserver"}, 303),
        ({"Sec-Fetch-Site": "none"}, 303),
        ({"Origin": "http://127.0.0.1:8000"}, 303),  # PUBLIC_URL
        ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, 303),  # our pages without a Referer
        ({"Sec-Fetch-Site": "cross-site", "Origin": "http://testserver"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://testserver.evil.example"}, 403),
    ],
)
def test_a_form_from_another_site_is_refused(headers, status, client):
    answer = post(client, headers=headers)

    assert answer.status_code == status
    assert Mail.objects.count() == (status == 303)


def test_when_too_many_sign_up_the_visitor_is_told_when_to_try_again(client, monkeypatch):
    monkeypatch.setitem(LIMITS, Attempt.Scope.TOTAL, 0)

    answer = post(client)

    assert answer.status_code == 429
    assert 0 < int(answer["Retry-After"]) <= 3600
    assert "press the button again in" in page(answer)
    assert "diffusion models" in page(answer)
    assert not Subscriber.objects.exists()


def test_head_and_get_change_nothing_and_other_methods_are_refused(client):
    assert client.head("/subscribe").status_code == 200
    assert client.get("/subscribe", {"email": "ada@example.org"}).status_code == 200
    assert client.delete("/subscribe").status_code == 405
    assert not Subscriber.objects.exists()
