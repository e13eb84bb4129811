"""One statement settles a unit and marks the next exactly as two do, and only where two are not needed."""

import datetime as dt
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.utils import timezone

from newsletter import units
from newsletter.chunks import LEASE
from newsletter.models import Chunk, Delivery, Edition
from newsletter.sending import deliver_chunk
from newsletter.turns import Turns
from newsletter.units import Unit
from subscribers.emails import Outcome
from subscribers.models import Subscriber, Suppression, hash_address
from tests.factories import make_digest, make_edition, make_paper
from tests.newsletter.carriers import OneByOne

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 8, 5, 0, tzinfo=dt.UTC)
ANSWERS = [
    Outcome("accepted"),
    Outcome("accepted", "provider-7"),
    Outcome("failed", error="550 no"),
    Outcome("unknown", error="broke off"),
    Outcome("retry", error="421", retry_after_s=90),
    Outcome("unsent"),
    Outcome("provider_fault", error="535"),
]
# What happened since the row was read.
EVENTS = {
    "nothing": lambda _: None,
    "left": lambda of: Subscriber.objects.filter(pk=of.subscriber_id).update(state="paused"),
    "moved": lambda of: Subscriber.objects.filter(pk=of.subscriber_id).update(email="new@example.org"),
    "suppressed": lambda of: Suppression.objects.create(
        address_hash=hash_address(of.subscriber.email), reason="bounce"
    ),
    "edition paused": lambda _: Edition.objects.update(state="paused"),
    "a newer edition": lambda of: make_edition(date=of.edition.date + dt.timedelta(days=1)),
    "chunk lost": lambda _: Chunk.objects.update(owner="other"),
    "sent by another": lambda of: Delivery.objects.filter(pk=of.pk).update(state="sending", unit="theirs"),
    "marked already": lambda of: Delivery.objects.filter(pk=of.pk).update(state="sending", unit="second"),
}


@pytest.fixture
def pair():
    """Return a row that was handed over, and the next."""
    edition = make_edition(papers=(make_paper(),))
    first, second = [make_digest(edition, count=1) for _ in range(2)]
    Chunk.objects.update(owner="me", leased_until=NOW + LEASE)
    assert units.mark([first], "me", "first", NOW) == {first.pk}
    return first, second


def rows():
    return list(Delivery.objects.order_by("pk").values())


def put_back(before):
    for row in before:
        Delivery.objects.filter(pk=row["id"]).update(**row)


def in_both_ways(pair, answer):
    """Return counts, marked rows and all rows as two statements leave them, and as one does."""
    first, second = pair
    unit, before = Unit("first", [first], [answer], NOW), rows()
    two = units.settle(unit), units.mark([second], "me", "second", NOW), rows()
    put_back(before)
    one = *Turns("me").turn(unit, [second], "second", NOW), rows()
    return two, one


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer.kind} {answer.provider_message_id}")
def test_each_answer_is_written_as_by_two_statements(pair, answer):
    two, one = in_both_ways(pair, answer)

    assert one == two
    assert one[1] == {pair[1].pk}


@pytest.mark.parametrize("event", EVENTS)
def test_who_must_not_go_is_not_marked_and_the_last_is_settled(pair, event):
    EVENTS[event](pair[1])

    two, one = in_both_ways(pair, ANSWERS[0])

    assert one == two
    assert one[1] == ({pair[1].pk} if event in {"nothing", "marked already"} else set())
    assert one[2][0]["state"] == "accepted"


@pytest.mark.parametrize("state", ["unknown", "pending", "accepted", "skipped"])
@pytest.mark.parametrize("answer", ANSWERS[:4], ids=lambda answer: f"{answer.kind} {answer.provider_message_id}")
def test_a_late_answer_settles_what_it_would_by_two_statements(pair, state, answer):
    more: dict[str, Any] = {"skipped": {"reason": "cancelled"}, "accepted": {"accepted_at": NOW - LEASE}}
    changes = more.get(state, {})
    changes |= {"state": state, "provider_message_id": "by an event"}
    Delivery.objects.filter(pk=pair[0].pk).update(**changes)

    two, one = in_both_ways(pair, answer)

    assert one == two


def test_an_answer_that_an_event_overtook_names_its_mail(pair):
    Delivery.objects.filter(pk=pair[0].pk).update(state="delivered")

    two, one = in_both_ways(pair, Outcome("accepted", "provider-7"))

    assert one == two
    assert (one[2][0]["state"], one[2][0]["provider_message_id"]) == ("delivered", "provider-7")


@pytest.mark.parametrize("answer", ANSWERS, ids=lambda answer: f"{answer.kind} {answer.provider_message_id}")
def test_a_turn_whose_confirmation_was_lost_is_harmless_when_done_again(pair, answer):
    unit = Unit("first", [pair[0]], [answer], NOW)
    said = Turns("me").turn(unit, [pair[1]], "second", NOW)
    once = rows()

    assert Turns("me").turn(unit, [pair[1]], "second", NOW) == said
    assert rows() == once


def test_a_mail_of_its_own_unit_costs_one_statement(pair):
    edition = pair[0].edition
    for _ in range(20):
        make_digest(edition, count=1)
    Chunk.objects.update(owner="", leased_until=None)
    asked: list[str] = []
    by_mail: list[int] = []

    def note(execute, sql, params, many, context):
        if "newsletter_providerstate" not in sql:  # looked at once a second
            asked.append(sql)
        return execute(sql, params, many, context)

    def answer(_message):
        by_mail.append(len(asked))
        return Outcome("accepted")

    with connection.execute_wrapper(note):
        counts = deliver_chunk(pair[1].chunk_id, timezone.now(), carriers=[OneByOne(answer)])

    assert counts == Counter(sent=21)
    assert {after - before for before, after in pairwise(by_mail)} == {1}


@pytest.mark.django_db(transaction=True)
def test_a_turn_that_the_database_breaks_off_is_done_again(monkeypatch):
    monkeypatch.setattr("newsletter.ledger.PAUSE_S", 0)
    edition = make_edition(papers=(make_paper(),))
    deliveries, deadlocks = [make_digest(edition, count=1) for _ in range(3)], ["deadlock detected"]
    asked: list[str] = []

    def break_off(execute, sql, params, many, context):
        if "r.goes" in sql:
            asked.append(sql)
            if deadlocks:
                raise OperationalError(deadlocks.pop())
        return execute(sql, params, many, context)

    with connection.execute_wrapper(break_off):
        counts = deliver_chunk(
            deliveries[0].chunk_id or 0, timezone.now(), carriers=[OneByOne(lambda _: Outcome("accepted"))]
        )

    assert counts == Counter(sent=3)
    assert len(asked) == 3
    assert set(Delivery.objects.values_list("state", "attempt")) == {("accepted", 1)}
