"""A reader's digests go to another address once its owner has said so, and the old one can take it back."""

import datetime as dt
import re

import pytest
from django.utils import timezone

from subscribers import emails, signup, tokens
from subscribers.models import Mail, Subscriber, Suppression, Token, hash_address
from tests.factories import make_digest, make_subscriber

pytestmark = pytest.mark.django_db

NEW = "new@example.org"


@pytest.fixture
def reader():
    return make_subscriber(email="old@example.org", interests=("robots",))


def ask(client, reader, email=NEW):
    token = make_digest(subscriber=reader).token
    return client.post(f"/m/{token}/address", {"email": email}, REMOTE_ADDR="192.0.2.77")


def mailed(provider, pattern: str) -> str:
    """Send what is due and return the newest mail's link."""
    emails.send_due(timezone.now(), provider)
    found = re.search(pattern, str(provider.messages[-1].body))
    assert found
    return found[0]


def test_the_new_address_is_asked_and_nothing_changes_before(client, reader, provider):
    answer = ask(client, reader)

    assert answer.status_code == 200
    assert "new inbox" in answer.text
    link = mailed(provider, r"/a/[\w-]{22}\b")
    assert provider.addresses == [NEW]
    assert client.get(link).status_code == 200
    reader.refresh_from_db()
    assert reader.email == "old@example.org"


def test_the_button_behind_the_link_changes_it_once_and_tells_the_old_address(client, reader, provider):
    ask(client, reader, "New@Example.org ")
    link = mailed(provider, r"/a/[\w-]{22}\b")

    assert client.post(link).status_code == 200
    assert client.post(link).status_code == 410

    reader.refresh_from_db()
    assert (reader.email, reader.state) == (NEW, "active")
    assert [follow.wording for follow in reader.follows.all()] == ["robots"]
    assert reader.consents.get().kind == "moved"
    emails.send_due(timezone.now(), provider)
    assert provider.addresses == [NEW, "old@example.org"]


def test_the_old_address_can_take_it_back_for_three_days(client, reader, provider):
    ask(client, reader)
    client.post(mailed(provider, r"/a/[\w-]{22}\b"))
    back = mailed(provider, r"/a/[\w-]{22}/back\b")

    client.post(back)

    reader.refresh_from_db()
    assert reader.email == "old@example.org"
    emails.send_due(timezone.now(), provider)
    assert len(provider.messages) == 2  # nobody is told again, or the two could go on for ever


def test_a_link_of_the_one_kind_does_not_do_for_the_other(client, reader):
    token = tokens.issue(reader, Token.Purpose.CHANGE_ADDRESS, address=NEW)

    assert client.post(f"/a/{token}/back").status_code == 404
    assert client.post(f"/c/{token}").status_code == 404


def test_the_answer_does_not_tell_whether_an_address_is_known(client, reader):
    make_subscriber(email="known@example.org")
    page = f"/m/{make_digest(subscriber=reader).token}/address"

    known, unknown = (client.post(page, {"email": email}) for email in ("known@example.org", NEW))

    assert known.text == unknown.text
    assert Mail.objects.count() == 2


def test_an_address_with_a_subscription_of_its_own_is_left_alone(client, reader):
    make_subscriber(email=NEW)
    token = tokens.issue(reader, Token.Purpose.CHANGE_ADDRESS, address=NEW)

    answer = client.post(f"/a/{token}")

    assert answer.status_code == 409
    reader.refresh_from_db()
    assert reader.email == "old@example.org"
    assert tokens.find(token, Token.Purpose.CHANGE_ADDRESS, timezone.now())


def test_who_never_confirmed_has_no_claim_on_an_address(client, reader):
    make_subscriber(email=NEW, state="pending", confirmed_at=None)
    token = tokens.issue(reader, Token.Purpose.CHANGE_ADDRESS, address=NEW)

    assert client.post(f"/a/{token}").status_code == 200
    assert list(Subscriber.objects.values_list("email", flat=True)) == [NEW]


def test_the_owners_click_lifts_what_an_earlier_leaving_left_but_not_the_operators_block(client, reader, provider):
    for reason in ("unsubscribed", "operator"):
        Suppression.objects.create(address_hash=hash_address(NEW), reason=reason)
    ask(client, reader)
    emails.send_due(timezone.now(), provider)
    assert provider.messages == []  # blocked: nothing at all is sent
    token = tokens.issue(reader, Token.Purpose.CHANGE_ADDRESS, address=NEW)

    client.post(f"/a/{token}")

    assert list(Suppression.objects.values_list("reason", flat=True)) == ["operator"]


@pytest.mark.parametrize("written", ["", "no address", "two@example.org, three@example.org"])
def test_what_is_no_address_is_refused(client, reader, written):
    answer = ask(client, reader, written)

    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.text
    assert not Mail.objects.exists()


def test_many_mails_to_one_address_are_not_sent(client, reader):
    for number in range(6):
        signup.ask_to_move(reader, NEW, f"192.0.{number}.0/24", timezone.now())

    assert Mail.objects.count() == 3


def test_a_busy_network_is_told_to_wait(client, reader):
    for number in range(20):
        signup.admit(f"somebody{number}@example.org", "192.0.2.0/24", timezone.now())

    answer = ask(client, reader)

    assert answer.status_code == 429
    assert int(answer["Retry-After"]) > 0
    assert "Too many mails" in answer.text


def test_an_old_mail_opens_the_page_no_more(client, reader):
    delivery = make_digest(subscriber=reader)
    type(delivery).objects.update(created_at=timezone.now() - dt.timedelta(days=31))

    assert client.get(f"/m/{delivery.token}/address").status_code == 410
