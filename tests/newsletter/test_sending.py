"""What a worker does with a chunk: everybody's mail once, whatever happens in between."""

import contextlib
import datetime as dt
from collections import Counter

import pytest
from django.db import OperationalError
from django.utils import timezone

from newsletter.chunks import LEASE, sweep
from newsletter.lines import Line
from newsletter.models import Chunk, Delivery, Edition
from newsletter.permits import Permit
from newsletter.repeats import resend_unknown
from newsletter.sending import AHEAD, deliver_chunk
from subscribers.emails import HandOver, Outcome
from subscribers.models import Suppression, hash_address
from tests.factories import make_digest, make_edition, make_paper, make_subscriber
from tests.newsletter.carriers import Batches, OneByOne

pytestmark = pytest.mark.django_db


@pytest.fixture
def edition():
    return make_edition(papers=tuple(make_paper() for _ in range(3)))


def send(delivery, now: dt.datetime | None = None, hand_over: HandOver | None = None, **options) -> Counter[str]:
    carriers = [OneByOne(hand_over)] if hand_over else []
    return deliver_chunk(delivery.chunk_id, now or timezone.now(), carriers=carriers, **options)


def state_of(delivery) -> str:
    delivery.refresh_from_db()
    return str(delivery.state)


class Answers:
    """A provider that answers what it is told, in turn, and remembers whom it was asked to mail."""

    def __init__(self, *outcomes: Outcome) -> None:
        self.outcomes, self.to = list(outcomes), list[str]()

    def __call__(self, message) -> Outcome:
        self.to += message.to
        return self.outcomes.pop(0) if self.outcomes else Outcome("accepted", "id-1")


def test_a_delivery_is_sent_once_however_often_the_task_runs(mailoutbox, edition):
    delivery = make_digest(edition)

    counts = [send(delivery) for _ in range(3)]

    assert [message.to for message in mailoutbox] == [[delivery.subscriber.email]]
    assert counts == [Counter(sent=1), Counter(), Counter()]
    assert state_of(delivery) == "accepted"
    assert delivery.accepted_at is not None
    assert delivery.attempt == 1


def test_all_of_a_chunk_are_sent_and_the_lease_is_given_back(mailoutbox, edition):
    deliveries = [make_digest(edition) for _ in range(5)]

    assert send(deliveries[0]) == Counter(sent=5)

    assert len({message.to[0] for message in mailoutbox}) == 5
    chunk = Chunk.objects.get()
    assert (chunk.owner, chunk.leased_until, chunk.attempts) == ("", None, 0)


def test_a_chunk_that_another_worker_holds_is_left_alone(mailoutbox, edition):
    delivery = make_digest(edition)
    Chunk.objects.update(owner="other", leased_until=timezone.now() + LEASE)

    assert send(delivery) == Counter()
    assert mailoutbox == []


def test_a_failing_recipient_does_not_stop_the_others(edition):
    deliveries = [make_digest(edition) for _ in range(3)]
    answers = Answers(Outcome("accepted"), Outcome("failed", error="550 no such user"), Outcome("accepted"))

    assert send(deliveries[0], hand_over=answers) == Counter(sent=2, failed=1)
    assert [state_of(delivery) for delivery in deliveries] == ["accepted", "failed", "accepted"]
    assert deliveries[1].error == "550 no such user"


def test_a_mail_that_cannot_be_made_does_not_stop_the_others(mailoutbox, edition):
    deliveries = [make_digest(edition) for _ in range(3)]
    deliveries[1].picks.delete()

    assert send(deliveries[0]) == Counter(sent=2, failed=1)
    assert state_of(deliveries[1]) == "failed"
    assert "cannot be composed" in deliveries[1].error


def test_the_row_says_sending_when_the_message_is_handed_over(edition):
    delivery = make_digest(edition)
    seen = []

    def look(_message) -> Outcome:
        seen.append(state_of(delivery))
        return Outcome("accepted")

    send(delivery, hand_over=look)

    assert seen == ["sending"]


def test_an_unknown_outcome_is_never_sent_again_by_itself(edition):
    delivery = make_digest(edition)
    send(delivery, hand_over=Answers(Outcome("unknown", error="read time-out")))
    later = timezone.now() + dt.timedelta(days=1)

    assert state_of(delivery) == "unknown"
    assert sweep(later) == []
    assert send(delivery, later) == Counter()


# Retries ----------------------------------------------------------------------------------------


def test_a_delivery_to_be_tried_again_waits_and_gets_another_chunk(mailoutbox, edition):
    delivery = make_digest(edition)
    first = delivery.chunk_id
    assert send(delivery, hand_over=Answers(Outcome("retry", error="421 busy"))) == Counter(retry=1)
    assert state_of(delivery) == "retry"
    assert delivery.error == "421 busy"

    assert sweep(timezone.now()) == []
    [second] = sweep(timezone.now() + dt.timedelta(minutes=2))
    later = timezone.now() + dt.timedelta(minutes=2)
    assert second != first
    assert deliver_chunk(second, later, clock=lambda: later) == Counter(sent=1)
    assert state_of(delivery) == "accepted"
    assert len(mailoutbox) == 1


def test_the_provider_says_how_long_to_wait(edition):
    delivery = make_digest(edition)
    send(delivery, hand_over=Answers(Outcome("retry", retry_after_s=3600)))

    delivery.refresh_from_db()
    assert delivery.next_attempt_at is not None
    assert delivery.next_attempt_at >= timezone.now() + dt.timedelta(minutes=59)


def test_the_eighth_attempt_is_the_last(edition):
    delivery = make_digest(edition, attempt=7)

    send(delivery, hand_over=Answers(Outcome("retry", error="450 try later")))

    assert state_of(delivery) == "failed"
    assert delivery.error == "gave up after 8 attempts: 450 try later"


def test_a_fault_of_the_provider_stops_the_chunk_and_costs_nobody_an_attempt(edition):
    deliveries = [make_digest(edition) for _ in range(3)]
    answers = Answers(Outcome("accepted"), Outcome("provider_fault", error="401 wrong key"))

    counts = send(deliveries[0], hand_over=answers)

    assert counts == Counter(sent=1, retry=1, provider_fault=1)
    assert [state_of(delivery) for delivery in deliveries] == ["accepted", "retry", "pending"]
    assert [delivery.attempt for delivery in deliveries] == [1, 0, 0]
    assert deliveries[1].error == "401 wrong key"
    # The edition is as it was, and the next sweep takes the chunk up again.
    assert Edition.objects.get().state == "closed"
    assert sweep(timezone.now()) == [deliveries[0].chunk_id]


# Who must not get it any more -------------------------------------------------------------------


def test_a_reader_who_left_is_skipped(mailoutbox, edition):
    delivery = make_digest(edition, make_subscriber(state="unsubscribed"))

    assert send(delivery) == Counter({"skipped:unsubscribed": 1})
    assert mailoutbox == []
    assert (state_of(delivery), delivery.reason) == ("skipped", "unsubscribed")


def test_a_reader_who_leaves_while_the_chunk_is_sent_is_skipped(edition):
    deliveries = [make_digest(edition) for _ in range(2)]

    def leave(_message) -> Outcome:
        reader = deliveries[1].subscriber
        reader.state, reader.unsubscribed_at = "unsubscribed", timezone.now()
        reader.save()
        return Outcome("accepted")

    assert send(deliveries[0], hand_over=leave) == Counter({"sent": 1, "skipped:unsubscribed": 1})


def test_a_reader_on_a_break_is_skipped(mailoutbox, edition):
    assert send(make_digest(edition, make_subscriber(state="paused"))) == Counter({"skipped:paused": 1})
    assert mailoutbox == []


@pytest.mark.parametrize("reason", Suppression.Reason.values)
def test_a_suppressed_address_is_skipped(mailoutbox, edition, reason):
    delivery = make_digest(edition)
    Suppression.objects.create(address_hash=hash_address(delivery.subscriber.email), reason=reason)

    assert send(delivery) == Counter({"skipped:suppressed": 1})
    assert mailoutbox == []


def test_a_digest_that_a_newer_edition_overtook_is_too_late(mailoutbox, edition):
    delivery = make_digest(edition)
    make_edition(edition.date + dt.timedelta(days=1))

    assert send(delivery) == Counter({"skipped:too_late": 1})
    assert mailoutbox == []


def test_a_cancelled_edition_is_sent_to_nobody(mailoutbox, edition):
    delivery = make_digest(edition)
    Edition.objects.update(state="cancelled")

    assert send(delivery) == Counter({"skipped:cancelled": 1})
    assert mailoutbox == []


def test_a_paused_edition_stops_within_one_message_and_goes_on_when_resumed(mailoutbox, edition):
    deliveries = [make_digest(edition) for _ in range(3)]

    def pause(_message) -> Outcome:
        Edition.objects.update(state="paused")
        return Outcome("accepted")

    assert send(deliveries[0], hand_over=pause) == Counter(sent=1)
    assert [state_of(delivery) for delivery in deliveries] == ["accepted", "pending", "pending"]
    assert sweep(timezone.now()) == []

    Edition.objects.update(state="sending")
    assert sweep(timezone.now()) == [deliveries[0].chunk_id]
    assert send(deliveries[0]) == Counter(sent=2)


def test_a_stop_hands_the_chunk_back(edition):
    deliveries = [make_digest(edition) for _ in range(3)]
    answers = Answers()

    assert send(deliveries[0], hand_over=answers, should_stop=lambda: len(answers.to) == 1) == Counter(sent=1)
    assert [state_of(delivery) for delivery in deliveries] == ["accepted", "pending", "pending"]
    assert sweep(timezone.now()) == [deliveries[0].chunk_id]


# Death and time ---------------------------------------------------------------------------------


class KilledError(Exception):
    """Stands for the end of the process: nothing after it runs."""


def kill(_message) -> Outcome:
    raise KilledError


def test_a_worker_that_dies_while_it_hands_over_leaves_one_unknown_row_and_the_others_are_sent(mailoutbox, edition):
    deliveries = [make_digest(edition) for _ in range(3)]
    with pytest.raises(KilledError):
        send(deliveries[0], hand_over=kill)
    assert [state_of(delivery) for delivery in deliveries] == ["sending", "pending", "pending"]

    assert sweep(timezone.now()) == []
    later = timezone.now() + LEASE + dt.timedelta(seconds=1)
    assert sweep(later) == [deliveries[0].chunk_id]
    assert send(deliveries[0], later, clock=lambda: later) == Counter(sent=2)
    assert [state_of(delivery) for delivery in deliveries] == ["unknown", "accepted", "accepted"]


def test_who_takes_over_an_expired_lease_does_not_send_the_unsettled_message_again(edition):
    delivery = make_digest(edition)
    with pytest.raises(KilledError):
        send(delivery, hand_over=kill)
    later = timezone.now() + LEASE + dt.timedelta(seconds=1)

    assert send(delivery, later, clock=lambda: later) == Counter()
    assert state_of(delivery) == "unknown"


def test_a_worker_taken_for_dead_still_settles_its_own_attempt(edition):
    delivery = make_digest(edition)

    def be_slow(_message) -> Outcome:
        sweep(timezone.now() + LEASE + dt.timedelta(seconds=1))
        assert state_of(delivery) == "unknown"
        return Outcome("accepted", "late-1")

    send(delivery, hand_over=be_slow)

    assert state_of(delivery) == "accepted"
    assert delivery.provider_message_id == "late-1"


@pytest.mark.parametrize("late", [Outcome("retry", error="429"), Outcome("failed", error="550")])
def test_a_late_answer_says_nothing_of_the_attempt_that_came_after_its_own(edition, late):
    delivery = make_digest(edition)

    def be_late(_message):
        now = timezone.now() + LEASE + dt.timedelta(seconds=1)
        sweep(now)
        resend_unknown(Delivery.objects.all())
        for chunk_id in sweep(now):
            answers = Answers(Outcome("unknown", error="reset"))
            deliver_chunk(chunk_id, now, carriers=[OneByOne(answers)], clock=lambda: now)
        return late

    send(delivery, hand_over=be_late)

    assert (state_of(delivery), delivery.error, delivery.attempt) == ("unknown", "reset", 2)


def test_a_worker_that_lost_its_lease_sends_nothing_more(edition):
    deliveries = [make_digest(edition) for _ in range(3)]

    def lose(_message) -> Outcome:
        Chunk.objects.update(owner="other", leased_until=timezone.now() + LEASE)
        return Outcome("accepted")

    assert send(deliveries[0], hand_over=lose) == Counter(sent=1)
    assert [state_of(delivery) for delivery in deliveries] == ["accepted", "pending", "pending"]
    assert Chunk.objects.get().owner == "other"


def test_what_was_sent_before_something_broke_is_not_unknown(edition, monkeypatch):
    deliveries = [make_digest(edition) for _ in range(3)]
    permits = iter([Permit(1)])

    def permit(*_args) -> Permit:
        if found := next(permits, None):
            return found
        raise OperationalError("the database is started anew")

    monkeypatch.setattr(Line, "permit", permit)
    with pytest.raises(OperationalError, match="started anew"):
        send(deliveries[0], hand_over=Answers())
    sweep(timezone.now() + LEASE + dt.timedelta(seconds=1))

    assert [state_of(delivery) for delivery in deliveries] == ["accepted", "pending", "pending"]


def test_a_worker_held_up_beyond_its_lease_does_not_send(edition):
    delivery = make_digest(edition)
    start, answers = timezone.now(), Answers()

    def clock() -> dt.datetime:
        # The process is frozen between the commit that marks the row and the hand-over.
        return start + 2 * LEASE if state_of(delivery) == "sending" else start

    send(delivery, hand_over=answers, clock=clock)

    assert answers.to == []
    assert (state_of(delivery), delivery.attempt) == ("retry", 0)


def test_the_lease_is_renewed_while_a_long_chunk_is_sent(edition):
    deliveries = [make_digest(edition) for _ in range(5)]
    start, minutes = timezone.now(), iter(range(100))
    now = start

    def take_four_minutes(_message) -> Outcome:
        nonlocal now
        now = start + dt.timedelta(minutes=4 * (next(minutes) + 1))
        return Outcome("accepted")

    counts = send(deliveries[0], start, hand_over=take_four_minutes, clock=lambda: now)

    assert counts == Counter(sent=5)  # in twenty minutes, twice the lease


def test_an_answer_that_an_event_overtook_does_not_take_the_event_back(edition):
    delivery = make_digest(edition)

    def be_overtaken(_message) -> Outcome:
        Delivery.objects.update(state="delivered")
        return Outcome("accepted", "id-7")

    send(delivery, hand_over=be_overtaken)

    assert state_of(delivery) == "delivered"
    assert delivery.provider_message_id == "id-7"


def test_sending_costs_the_same_queries_for_each_reader(edition, django_assert_max_num_queries):
    deliveries = [make_digest(edition) for _ in range(40)]

    # The breaker's row is looked at once a second.
    with django_assert_max_num_queries(40 * 4 + 30):
        send(deliveries[0], hand_over=Answers())


class Noting(OneByOne):
    """Notes whose mail was made, and whose was handed over."""

    def __init__(self) -> None:
        super().__init__(self.note)
        self.log: list[tuple[str, str]] = []

    def prepare(self, message):
        self.log.append(("made", message.to[0]))
        return super().prepare(message)

    def note(self, message) -> Outcome:
        self.log.append(("sent", message.to[0]))
        return Outcome("accepted")


def test_mails_that_go_alone_are_made_some_ahead_and_each_once(edition):
    addresses = [make_digest(edition).subscriber.email for _ in range(AHEAD + 2)]
    carrier = Noting()

    deliver_chunk(Chunk.objects.get().pk, timezone.now(), carriers=[carrier])

    first, rest = addresses[:AHEAD], addresses[AHEAD:]
    order = [("made", first), ("sent", first), ("made", rest), ("sent", rest)]
    assert carrier.log == [(what, address) for what, those in order for address in those]


class Deadly(Batches):
    """Ends the process, as the kernel does for its memory, over one reader's mail."""

    def __init__(self, unit_size: int, address: str) -> None:
        super().__init__(unit_size)
        self.address, self.ends = address, 0

    def prepare(self, message):
        if message.to == [self.address]:
            self.ends += 1
            raise SystemExit
        return super().prepare(message)


@pytest.mark.parametrize(("unit_size", "ends"), [(1, 3 + 8), (4, 3 + 8)])
def test_a_mail_that_ends_its_worker_while_it_is_made_holds_up_no_other_and_fails(edition, unit_size, ends):
    deliveries = [make_digest(edition) for _ in range(6)]
    carrier = Deadly(unit_size, deliveries[1].subscriber.email)
    now = timezone.now()

    while carrier.ends < 50 and (chunk_ids := sweep(now)):
        for chunk_id in chunk_ids:
            with contextlib.suppress(SystemExit):
                deliver_chunk(chunk_id, now, carriers=[carrier], clock=lambda: now)  # noqa: B023 - called at once
        now += LEASE + dt.timedelta(seconds=1)

    states = [state_of(delivery) for delivery in deliveries]
    assert states[1:] == ["failed", *["accepted"] * 4]
    assert carrier.ends == ends
    deliveries[1].refresh_from_db()
    assert deliveries[1].error == "8 workers ended while they made this mail"
