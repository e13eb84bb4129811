"""What the operator does to an edition while it is sent takes effect within one unit."""

import datetime as dt

import pytest
from django.utils import timezone

from newsletter import chunks, control
from newsletter.models import Delivery, Edition
from newsletter.sending import deliver_chunk
from subscribers.emails import Outcome
from tests.factories import make_digest, make_edition
from tests.newsletter.carriers import Batches

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 1)


def send(edition: Edition, carrier: Batches) -> None:
    for chunk_id in chunks.sweep(timezone.now()):
        deliver_chunk(chunk_id, timezone.now(), carriers=[carrier])


@pytest.mark.parametrize(
    ("act", "left"),
    [
        (control.pause, {"accepted": 2, "pending": 3}),
        (control.cancel, {"accepted": 2, "skipped": 3}),
    ],
)
def test_pausing_and_cancelling_stop_after_the_unit_at_hand(act, left):
    first = make_digest()
    edition = first.edition
    for _ in range(4):
        make_digest(edition)

    def stop(to):
        act(edition)
        return [Outcome("accepted") for _ in to]

    send(edition, Batches(2, stop))

    states = list(Delivery.objects.values_list("state", flat=True))
    assert {state: states.count(state) for state in set(states)} == left


def test_the_rest_of_a_paused_edition_is_sent_also_what_waits_for_its_next_attempt():
    waits = make_digest(state="retry", next_attempt_at=timezone.now() + dt.timedelta(hours=2))
    edition, carrier = waits.edition, Batches(10)
    make_digest(edition)
    control.pause(edition)
    send(edition, carrier)
    assert carrier.calls == []

    assert control.send_the_rest(edition) is True
    send(edition, carrier)

    assert set(Delivery.objects.values_list("state", flat=True)) == {"accepted"}


@pytest.mark.parametrize("state", ["cancelled", "done", "open"])
def test_nothing_is_left_to_send_of_an_edition_that_is_over(state):
    assert control.send_the_rest(make_edition(D, state=state)) is False


def test_an_edition_that_a_newer_one_overtook_is_not_sent_any_more():
    older = make_digest(make_edition(D), state="unknown").edition
    make_edition(D + dt.timedelta(days=1))

    assert control.send_the_rest(older) is False
    assert control.send_again(older.deliveries.all()) == 0


def test_what_is_sent_again_goes_once_more_with_a_chunk_of_its_own():
    unknown = make_digest(state="unknown")
    carrier = Batches(10)
    send(unknown.edition, carrier)
    assert carrier.calls == []

    assert [control.send_again(Delivery.objects.all()) for _ in range(2)] == [1, 0]
    send(unknown.edition, carrier)

    assert carrier.calls == [[unknown.subscriber.email]]


def test_a_cancelled_edition_ends_its_open_deliveries_and_no_others():
    edition = make_edition(D)
    waiting = make_digest(edition)
    sent = make_digest(edition, state="accepted", accepted_at=timezone.now())

    assert [control.cancel(edition) for _ in range(2)] == [True, False]

    assert Delivery.objects.get(pk=waiting.pk).reason == "cancelled"
    assert Delivery.objects.get(pk=sent.pk).state == "accepted"


def test_a_paused_edition_can_be_resumed():
    edition = make_edition(D)

    assert [control.resume(edition), control.pause(edition), control.resume(edition)] == [False, True, True]

    edition.refresh_from_db()
    assert edition.state == "sending"
