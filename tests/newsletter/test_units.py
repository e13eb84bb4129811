"""A unit of many messages: marked at once, settled at once, and nobody in it who must not get it."""

import datetime as dt
from collections import Counter

import pytest
from django.db import OperationalError
from django.utils import timezone

from newsletter import messages, units
from newsletter.chunks import LEASE, sweep
from newsletter.models import Chunk, Delivery, Edition
from newsletter.outcomes import Kind
from newsletter.sending import deliver_chunk
from newsletter.units import Unit
from subscribers.emails import Outcome
from subscribers.models import Suppression, hash_address
from tests.factories import make_digest, make_edition, make_paper
from tests.newsletter.carriers import Batches, Keyed

pytestmark = pytest.mark.django_db


@pytest.fixture
def edition():
    return make_edition(papers=(make_paper(),))


def digests(edition, count: int) -> list[Delivery]:
    return [make_digest(edition, count=1) for _ in range(count)]


def deliver(deliveries: list[Delivery], carrier: Batches, **options) -> Counter[str]:
    return deliver_chunk(deliveries[0].chunk_id or 0, timezone.now(), carriers=[carrier], **options)


def states(deliveries: list[Delivery]) -> list[str]:
    return list(
        Delivery.objects.filter(pk__in=[d.pk for d in deliveries]).order_by("pk").values_list("state", flat=True)
    )


def test_a_chunk_goes_in_units_of_the_providers_size(edition):
    deliveries, carrier = digests(edition, 7), Batches(3)

    assert deliver(deliveries, carrier) == Counter(sent=7)

    addresses = [delivery.subscriber.email for delivery in deliveries]
    assert carrier.calls == [addresses[:3], addresses[3:6], addresses[6:]]
    ids = Delivery.objects.order_by("pk").values_list("unit", "provider_message_id")
    assert [provider_id.removeprefix(f"{unit}-") for unit, provider_id in ids] == list("0120120")


def test_each_message_of_a_unit_has_an_outcome_of_its_own(edition):
    deliveries = digests(edition, 5)
    kinds: list[Kind] = ["accepted", "failed", "unknown", "retry", "accepted"]
    carrier = Batches(5, lambda _: [Outcome(kind, f"id-{n}", f"said {kind}") for n, kind in enumerate(kinds)])

    assert deliver(deliveries, carrier) == Counter(sent=2, failed=1, unknown=1, retry=1)

    assert states(deliveries) == kinds
    rows = Delivery.objects.order_by("pk").values_list("provider_message_id", "error")
    assert list(rows)[:3] == [("id-0", "said accepted"), ("", "said failed"), ("", "said unknown")]


def test_who_left_is_dropped_from_the_unit_and_the_others_go(edition):
    deliveries, carrier = digests(edition, 4), Batches(4)
    reader = deliveries[1].subscriber
    reader.state, reader.unsubscribed_at = "unsubscribed", timezone.now()
    reader.save()
    Suppression.objects.create(address_hash=hash_address(deliveries[2].subscriber.email), reason="bounce")

    counts = deliver(deliveries, carrier)

    assert counts == Counter({"sent": 2, "skipped:unsubscribed": 1, "skipped:suppressed": 1})
    assert carrier.calls == [[deliveries[0].subscriber.email, deliveries[3].subscriber.email]]
    assert states(deliveries) == ["accepted", "skipped", "skipped", "accepted"]


def test_a_mail_that_cannot_be_made_leaves_the_others_in_the_unit(edition):
    deliveries, carrier = digests(edition, 3), Batches(3)
    deliveries[1].picks.delete()

    assert deliver(deliveries, carrier) == Counter(sent=2, failed=1)
    assert len(carrier.calls[0]) == 2


def test_a_pause_stops_within_one_unit(edition):
    deliveries = digests(edition, 4)

    def pause(messages):
        Edition.objects.update(state="paused")
        return [Outcome("accepted")] * len(messages)

    assert deliver(deliveries, Batches(2, pause)) == Counter(sent=2)
    assert states(deliveries) == ["accepted", "accepted", "pending", "pending"]


def test_a_fault_of_the_provider_leaves_the_rest_of_the_chunk_open(edition):
    deliveries = digests(edition, 4)
    carrier = Batches(2, lambda messages: [Outcome("provider_fault", error="401")] * len(messages))

    assert deliver(deliveries, carrier) == Counter(retry=2, provider_fault=1)
    assert len(carrier.calls) == 1
    assert set(Delivery.objects.values_list("attempt", flat=True)) == {0}


def refuse_any_call_with(bad: str):
    def answer(to):
        if bad not in to:
            return [Outcome("accepted")] * len(to)
        return [Outcome("failed", error="422") if len(to) == 1 else Outcome("unsent", error="422")] * len(to)

    return answer


def test_a_batch_that_is_refused_for_one_mail_is_halved_until_that_mail_is_alone(edition):
    deliveries = digests(edition, 8)
    carrier = Batches(8, refuse_any_call_with(deliveries[5].subscriber.email))

    assert deliver(deliveries, carrier) == Counter(sent=7, failed=1)

    assert [len(call) for call in carrier.calls] == [8, 4, 4, 2, 1, 1, 2]
    assert states(deliveries) == ["accepted"] * 5 + ["failed"] + ["accepted"] * 2
    assert set(Delivery.objects.values_list("attempt", flat=True)) == {1}
    assert len(set(Delivery.objects.values_list("unit", flat=True))) == 4


def test_a_stop_between_two_halves_leaves_the_second_open(edition):
    deliveries = digests(edition, 4)
    carrier = Batches(4, refuse_any_call_with(deliveries[3].subscriber.email))

    deliver(deliveries, carrier, should_stop=lambda: len(carrier.calls) == 2)

    assert states(deliveries) == ["accepted", "accepted", "retry", "retry"]
    assert sweep(timezone.now()) == [deliveries[0].chunk_id]


def test_a_call_holds_no_more_bytes_than_the_provider_takes(edition):
    deliveries, carrier = digests(edition, 5), Batches(5)
    [mail] = [carrier.prepare(messages.message(delivery)) for delivery in deliveries[:1]]
    carrier.unit_bytes = 2 * mail.size + 10

    assert deliver(deliveries, carrier) == Counter(sent=5)
    assert [len(call) for call in carrier.calls] == [2, 2, 1]


def test_the_statements_do_not_grow_with_the_unit(edition, django_assert_max_num_queries):
    deliveries = digests(edition, 60)
    for delivery in deliveries[::7]:
        Suppression.objects.create(address_hash=hash_address(delivery.subscriber.email), reason="bounce")

    with django_assert_max_num_queries(3 * 10 + 20):
        deliver(deliveries, Batches(20))


def test_a_dead_worker_leaves_its_unit_unknown_and_the_others_open(edition):
    deliveries = digests(edition, 6)

    def die(_messages):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deliver(deliveries, Batches(2, die))
    later = timezone.now() + LEASE + dt.timedelta(seconds=1)
    [chunk_id] = sweep(later)

    assert deliver_chunk(chunk_id, later, carriers=[Batches(2)], clock=lambda: later) == Counter(sent=4)
    assert states(deliveries) == ["unknown"] * 2 + ["accepted"] * 4


def test_what_a_lost_confirmation_hides_is_neither_marked_nor_counted_twice(edition):
    # The database commits, and the connection breaks before it can say so: the same step is done again.
    delivery, now = make_digest(edition, count=1), timezone.now()
    Chunk.objects.update(owner="me", leased_until=now + LEASE)

    marked = [units.mark([delivery], "me", "unit-1", now) for _ in range(2)]
    delivery.refresh_from_db()
    assert (marked, delivery.attempt) == ([{delivery.pk}] * 2, 1)

    unit = Unit("unit-1", [delivery], [Outcome("accepted", "id-1")], now)
    assert [units.settle(unit) for _ in range(2)] == [Counter(sent=1)] * 2
    assert states([delivery]) == ["accepted"]


@pytest.mark.django_db(transaction=True)
def test_a_commit_that_the_database_breaks_off_is_done_again(edition, monkeypatch):
    monkeypatch.setattr("newsletter.ledger.PAUSE_S", 0)
    deliveries, deadlocks = digests(edition, 2), ["deadlock detected"]

    def clock() -> dt.datetime:
        # Asked within the transaction that settles the first unit and marks the second.
        if states(deliveries) == ["accepted", "pending"] and deadlocks:
            raise OperationalError(deadlocks.pop())
        return timezone.now()

    assert deliver(deliveries, Keyed(1), clock=clock) == Counter(sent=2)
    assert deadlocks == []
    assert states(deliveries) == ["accepted"] * 2
