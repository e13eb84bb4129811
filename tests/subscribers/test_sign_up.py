"""A sign-up owes one mail, gives every address the same answer, and changes nothing for who is subscribed."""

import datetime as dt
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from papers.query import QueryError
from subscribers import emails, signup
from subscribers.forms import stamp
from subscribers.models import Consent, Interest, Mail, Subscriber, Suppression, hash_address
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
KNOWN = ["new", "pending", "active", "paused", "unsubscribed", "erased", "bounce", "complaint", "operator"]


def arrange(case):
    """Make ``ada@example.org`` an address of the kind that ``case`` names."""
    if case in {"pending", "active", "paused", "unsubscribed"}:
        make_subscriber(email="ada@example.org", state=case, interests=("robots",))
    elif case != "new":
        Suppression.objects.create(address_hash=hash_address("ada@example.org"), reason=case)


def sign_up(email="ada@example.org", wanted=("diffusion models", "agents"), **changes):
    values: dict[str, Any] = {
        "timezone": "Europe/Berlin",
        "network": "192.0.2.0/24",
        "wording": "Send me papers.",
        "now": NOW,
    }
    signup.sign_up(email, list(wanted), **(values | changes))


def post(client, **changes):
    data = {"email": "ada@example.org", "interests": "diffusion models\nagents", "timezone": "Europe/Berlin"}
    data["started"] = stamp(timezone.now() - dt.timedelta(seconds=5))
    return client.post("/subscribe", data | changes)


def ada():
    return Subscriber.objects.get(email="ada@example.org")


def test_a_sign_up_writes_the_reader_their_interests_the_consent_and_the_mail():
    sign_up("Ada@Example.org ")

    reader = ada()
    assert (reader.state, reader.timezone) == ("pending", "Europe/Berlin")
    assert list(reader.follows.values_list("wording", flat=True)) == ["diffusion models", "agents"]
    consent = reader.consents.get()
    assert (consent.kind, consent.network, consent.wording) == ("signed_up", "192.0.2.0/24", "Send me papers.")
    mail = reader.mails.get()
    assert (mail.kind, mail.state, mail.next_attempt_at) == ("confirmation", "pending", NOW)


def test_nothing_is_written_when_an_interest_cannot_be_read():
    with pytest.raises(QueryError):
        sign_up(wanted=['"unclosed'])

    assert not Subscriber.objects.exists()
    assert not Mail.objects.exists()


@pytest.mark.parametrize("case", KNOWN)
def test_every_address_gets_the_same_answer_for_the_same_work(case, client):
    post(client, email="warm-up@example.net")
    with CaptureQueriesContext(connection) as of_a_stranger:
        expected = post(client, email="stranger@example.com")
    arrange(case)

    with CaptureQueriesContext(connection) as captured:
        answer = post(client)

    assert (answer.status_code, answer.headers, answer.content) == (303, expected.headers, expected.content)
    # A savepoint that is rolled back takes one statement more than one that is released.
    assert len(captured) - len(of_a_stranger) in {0, 1}


@pytest.mark.parametrize(
    ("case", "sent"),
    [
        ("new", "confirmation"),
        ("pending", "confirmation"),
        ("active", "already"),
        ("paused", "already"),
        ("unsubscribed", "confirmation"),
        ("erased", "confirmation"),
        ("bounce", None),
        ("complaint", None),
        ("operator", None),
    ],
)
def test_what_is_sent_depends_on_the_address(case, sent, provider):
    arrange(case)

    sign_up()
    emails.send_due(NOW, provider)

    mail = ada().mails.get()
    assert provider.addresses == (["ada@example.org"] if sent else [])
    assert (mail.kind, mail.state) == ((sent, "accepted") if sent else ("confirmation", "skipped"))


@pytest.mark.parametrize("state", ["active", "paused"])
def test_a_stranger_who_types_a_readers_address_changes_nothing(state):
    make_subscriber(email="ada@example.org", state=state, interests=("robots",))
    before = Subscriber.objects.values().get()

    sign_up()

    assert Subscriber.objects.values().get() == before
    assert list(ada().follows.values_list("wording", flat=True)) == ["robots"]
    assert Interest.objects.count() == 1


@pytest.mark.parametrize("state", ["pending", "unsubscribed"])
def test_who_signs_up_again_gets_the_new_interests_and_keeps_their_state_until_they_confirm(state):
    make_subscriber(email="ada@example.org", state=state, interests=("robots",))

    sign_up()

    assert (ada().state, ada().timezone) == (state, "Europe/Berlin")
    assert list(ada().follows.values_list("wording", flat=True)) == ["diffusion models", "agents"]


def test_the_fourth_sign_up_in_an_hour_gets_the_same_answer_and_no_mail(client):
    answers = [post(client) for _ in range(4)]

    assert {answer.status_code for answer in answers} == {303}
    assert Mail.objects.count() == 3


def test_the_consent_keeps_the_words_beside_the_button(client):
    post(client, REMOTE_ADDR="ignored")

    wording = Consent.objects.get().wording
    assert wording in client.get("/subscribe").content.decode()


def test_a_mail_that_cannot_be_written_leaves_no_reader_behind():
    def database_without_room(execute, sql, *args):
        if sql.startswith('INSERT INTO "subscribers_mail"'):
            raise OperationalError("database or disk is full")
        return execute(sql, *args)

    with connection.execute_wrapper(database_without_room), pytest.raises(OperationalError):
        sign_up()

    assert not Subscriber.objects.exists()
    assert not Consent.objects.exists()
