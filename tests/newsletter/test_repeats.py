"""What may have gone is sent again under its key alone, or by the operator's word: never by itself."""

import contextlib
import datetime as dt
import random
from collections import Counter

import pytest

from newsletter import control, events, planning, repeats
from newsletter.chunks import LEASE, sweep
from newsletter.models import Delivery, Edition, UnitKey
from newsletter.sending import deliver_chunk
from papers.models import Paper
from subscribers.emails import Outcome
from subscribers.models import Subscriber
from tests.factories import make_digest, make_edition, make_paper
from tests.newsletter.carriers import Batches, Keyed, KilledError, OneByOne

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)
SECOND, HOUR = dt.timedelta(seconds=1), dt.timedelta(hours=1)


class Story:
    """Workers one after the other, at a time that the test moves on."""

    def __init__(self, *carriers: Batches | OneByOne, readers: int = 4) -> None:
        self.edition = make_edition(START.date(), papers=(make_paper(),))
        self.deliveries = [make_digest(self.edition, count=1) for _ in range(readers)]
        self.carriers, self.now = carriers, START

    def work(self, after: dt.timedelta = dt.timedelta()) -> Counter[str]:
        """Let ``after`` pass; then the sweeper comes, and a worker for each chunk, who may be killed."""
        self.now += after
        counts: Counter[str] = Counter()
        for chunk_id in sweep(self.now):
            with contextlib.suppress(KilledError):
                counts += deliver_chunk(
                    chunk_id, self.now, carriers=self.carriers, clock=lambda: self.now, sleep=lambda _: None
                )
        return counts

    def states(self) -> list[str]:
        return list(Delivery.objects.order_by("pk").values_list("state", flat=True))

    def addresses(self) -> list[str]:
        return [delivery.subscriber.email for delivery in self.deliveries]


@pytest.mark.parametrize("fault", ["killed before", "killed after"])
def test_the_call_of_a_worker_that_died_is_made_again_under_its_key(fault):
    provider = Keyed(2, fault)
    story = Story(provider)
    story.work()
    assert story.states() == ["sending", "sending", "pending", "pending"]

    assert story.work(LEASE + SECOND) == Counter(sent=4)

    assert provider.keys[0] == provider.keys[1] != provider.keys[2]
    assert provider.mails == story.addresses()
    assert story.states() == ["accepted"] * 4
    ids = Delivery.objects.order_by("pk").values_list("provider_message_id", flat=True)
    assert list(ids)[:2] == [f"{provider.keys[0]}-0", f"{provider.keys[0]}-1"]
    assert not UnitKey.objects.exists()


@pytest.mark.parametrize("answer", [None, Outcome("retry", error="429"), Outcome("unsent", error="422")])
def test_who_wakes_up_late_says_nothing_of_a_call_that_others_have_made_again_but_that_it_was_taken(answer, settings):
    provider = Keyed(4, "lost")
    story = Story(provider)
    [chunk_id] = sweep(story.now)

    class Frozen(Keyed):
        def hand_over(self, *_args: object) -> list[Outcome]:
            story.work(LEASE + SECOND)
            return [answer or Outcome("accepted")] * 4

    def clock() -> dt.datetime:
        if answer is None and UnitKey.objects.exists() and not provider.keys:
            story.work(LEASE + SECOND)  # frozen after the commit that marks the rows, before the look at the clock
        return story.now

    deliver_chunk(chunk_id, story.now, carriers=[Frozen(4)], clock=clock)
    story.work(settings.KEY_REPEAT_S * SECOND)

    assert story.states() == ["accepted"] * 4
    assert provider.mails == story.addresses()


def test_a_call_that_held_a_mail_of_an_earlier_attempt_is_made_again_all_the_same():
    provider = Keyed(4, "killed after")
    story = Story(provider)
    Delivery.objects.filter(pk=story.deliveries[0].pk).update(state="retry", attempt=1, next_attempt_at=START - HOUR)
    story.work()

    assert story.work(LEASE + SECOND) == Counter(sent=4)
    assert sorted(provider.mails) == sorted(story.addresses())


def test_a_call_without_an_answer_is_made_again_after_a_while(settings):
    provider = Keyed(4, "lost")
    story = Story(provider)
    assert story.work() == Counter(unknown=4)

    assert story.work(SECOND) == Counter()
    assert story.work(settings.KEY_REPEAT_S * SECOND) == Counter(sent=4)
    assert provider.mails == story.addresses()


def test_a_repetition_that_is_not_taken_proves_nothing_about_the_first_call():
    answers: list[str | Outcome] = ["lost", Outcome("retry", error="429"), Outcome("provider_fault", error="401")]
    provider = Keyed(4, *answers)
    story = Story(provider)
    story.work()

    states = [(story.work(10 * 60 * SECOND), story.states()) for _ in answers]

    assert states[0] == (Counter(unknown=4), ["unknown"] * 4)
    assert states[1][1] == ["unknown"] * 4
    assert states[2] == (Counter(sent=4), ["accepted"] * 4)
    assert len(set(provider.keys)) == 1
    assert provider.mails == story.addresses()


def test_a_repetition_that_is_refused_whole_says_the_same_of_the_first_call():
    provider = Keyed(4, "killed before", Outcome("unsent", error="422: no such mailbox"))
    story = Story(provider)
    story.work()

    story.work(LEASE + SECOND)

    assert story.states() == ["accepted"] * 4
    assert provider.keys[0] == provider.keys[1] != provider.keys[2]
    assert provider.mails == story.addresses()


def left(story: Story) -> None:
    Subscriber.objects.filter(pk=story.deliveries[1].subscriber_id).update(
        state="unsubscribed", unsubscribed_at=story.now
    )


def moved(story: Story) -> None:
    Subscriber.objects.filter(pk=story.deliveries[1].subscriber_id).update(email="elsewhere@example.org")


def erased(story: Story) -> None:
    story.deliveries[1].subscriber.delete()


def reworded(_story: Story) -> None:
    Paper.objects.update(title="Another title")


def overtaken(story: Story) -> None:
    make_edition(story.edition.date + dt.timedelta(days=1))


def cancelled(_story: Story) -> None:
    Edition.objects.update(state="cancelled")


@pytest.mark.parametrize("change", [left, moved, erased, reworded, overtaken, cancelled])
def test_a_call_is_not_made_again_when_it_is_not_the_same_or_somebody_must_not_get_it(change):
    provider = Keyed(4, "killed after")
    story = Story(provider)
    story.work()
    change(story)

    story.work(LEASE + SECOND)
    story.work(LEASE + SECOND)

    assert len(provider.keys) == 1
    assert set(story.states()) == {"unknown"}


def test_a_key_is_used_for_half_of_its_life():
    provider = Keyed(4, "killed after")
    story = Story(provider)
    story.work()

    assert story.work(13 * HOUR) == Counter()

    assert len(provider.keys) == 1
    assert story.states() == ["unknown"] * 4
    assert not UnitKey.objects.exists()


def test_a_pause_keeps_the_key_and_it_is_used_when_the_edition_goes_on():
    provider = Keyed(4, "killed before")
    story = Story(provider)
    story.work()
    Edition.objects.update(state="paused")
    story.work(LEASE + SECOND)
    assert len(provider.keys) == 1

    Edition.objects.update(state="sending")
    assert story.work(SECOND) == Counter(sent=4)
    assert provider.mails == story.addresses()


def test_a_delivery_that_an_event_proved_meanwhile_stays_in_the_call_and_keeps_its_state():
    provider = Keyed(4, "killed after")
    story = Story(provider)
    story.work()
    Delivery.objects.filter(pk=story.deliveries[2].pk).update(state="delivered")

    story.work(LEASE + SECOND)

    assert story.states() == ["accepted", "accepted", "delivered", "accepted"]
    assert provider.mails == story.addresses()
    assert Delivery.objects.get(state="delivered").provider_message_id == f"{provider.keys[0]}-2"


def test_a_key_of_another_provider_is_left_alone():
    provider, other = Keyed(4, "killed after"), Keyed(4)
    other.name = "other"
    story = Story(provider)
    story.work()

    story.carriers = (other,)
    story.work(LEASE + SECOND)

    assert other.keys == []
    assert story.states() == ["unknown"] * 4


@pytest.mark.parametrize("seed", range(6))
def test_with_keys_nobody_is_mailed_twice_and_nobody_stays_unknown(seed):
    chance = random.Random(seed)
    faults: list[str | Outcome] = ["", "", "killed before", "killed after", "lost", Outcome("unknown", error="500")]
    provider = Keyed(3, *chance.choices(faults, k=12))
    story = Story(provider, readers=11)

    while set(story.states()) != {"accepted"}:
        assert story.now < START + 11 * HOUR
        story.work(chance.choice([SECOND, 40 * SECOND, LEASE + SECOND]))

    assert sorted(provider.mails) == sorted(story.addresses())


# The operator's word ----------------------------------------------------------------------------


def die_once():
    calls: list[list[str]] = []

    def answer(to):
        calls.append(to)
        if len(calls) == 1:
            raise KilledError
        return [Outcome("accepted")] * len(to)

    return answer


def test_by_the_policy_what_stays_unknown_is_sent_once_more(settings):
    settings.UNKNOWN_DELIVERIES = "resend"
    provider = Batches(2, die_once())
    story = Story(provider)
    story.work()

    assert story.work(LEASE + SECOND) == Counter(sent=4)

    assert Counter(address for call in provider.calls for address in call) == Counter(
        dict.fromkeys(story.addresses()[:2], 2) | dict.fromkeys(story.addresses()[2:], 1)
    )
    assert list(Delivery.objects.order_by("pk").values_list("may_have_gone", flat=True)) == [True, True, False, False]


def test_the_policy_waits_while_the_worker_may_still_say_what_became_of_it(settings):
    settings.UNKNOWN_DELIVERIES = "resend"
    provider = Batches(4, lambda to: [Outcome("unknown", error="500")] * len(to))
    story = Story(provider)
    story.work()

    story.work(LEASE / 2)
    assert len(provider.calls) == 1
    story.work(LEASE / 2)
    assert len(provider.calls) == 2


def test_the_policy_leaves_a_key_to_be_used_first(settings):
    settings.UNKNOWN_DELIVERIES = "resend"
    provider = Keyed(4, "killed after")
    story = Story(provider)
    story.work()

    assert story.work(LEASE + SECOND) == Counter(sent=4)
    assert provider.mails == story.addresses()


def test_the_policy_ends_with_the_edition_and_with_the_attempts(settings):
    settings.UNKNOWN_DELIVERIES = "resend"
    story = Story(Batches(4), readers=2)
    Delivery.objects.update(state="unknown", unit="u", sending_at=START, attempt=8)
    assert story.work(2 * LEASE) == Counter()

    Delivery.objects.update(attempt=1)
    make_edition(story.edition.date + dt.timedelta(days=1))
    assert story.work(2 * LEASE) == Counter()
    assert story.states() == ["unknown"] * 2


def test_the_operator_lets_the_unknown_be_sent_again():
    story = Story(Batches(4), readers=2)
    Delivery.objects.update(state="unknown", unit="u", sending_at=START, attempt=1)

    assert repeats.resend_unknown(Delivery.objects.filter(pk=story.deliveries[0].pk)) == 1
    assert story.work() == Counter(sent=1)
    assert story.states() == ["accepted", "unknown"]

    make_edition(story.edition.date + dt.timedelta(days=1))
    assert repeats.resend_unknown(Delivery.objects.all()) == 0


def test_a_late_answer_ends_the_wait_of_what_was_to_be_sent_again():
    story = Story(Batches(4), readers=1)

    def be_slow(_message) -> Outcome:
        sweep(START + LEASE + SECOND)
        repeats.resend_unknown(Delivery.objects.all())
        assert story.states() == ["pending"]
        return Outcome("accepted", "late-1")

    story.carriers = (OneByOne(be_slow),)
    story.work()

    assert story.states() == ["accepted"]
    assert story.work(LEASE) == Counter()


def test_an_event_proves_that_what_was_to_be_sent_again_went():
    story = Story(Batches(4), readers=2)
    for delivery in story.deliveries:
        Delivery.objects.filter(pk=delivery.pk).update(
            state="unknown", unit="u", message_id=f"<m{delivery.pk}@paperboy.localhost>"
        )
    repeats.resend_unknown(Delivery.objects.all())

    events.record(events.Event("Postmark", "queued", opaque_id=f"m{story.deliveries[0].pk}", occurred_at=START))
    events.record(events.Event("Postmark", "delivered", opaque_id=f"m{story.deliveries[1].pk}", occurred_at=START))

    assert story.states() == ["accepted", "delivered"]


@pytest.mark.parametrize("end", ["planned", "met", "cancelled"])
def test_what_may_have_gone_and_was_not_sent_again_in_time_stays_unknown(end):
    story = Story(Batches(4), readers=2)
    first = story.deliveries[0].pk
    Delivery.objects.filter(pk=first).update(state="unknown", unit="u", sending_at=START, attempt=1)
    repeats.resend_unknown(Delivery.objects.all())
    chunk_ids = sweep(START)

    if end == "cancelled":
        control.cancel(story.edition)
    else:
        newer = make_edition(START.date() + dt.timedelta(days=1))
        if end == "planned":
            planning.plan(newer, START)
        for chunk_id in chunk_ids:
            deliver_chunk(chunk_id, START, carriers=story.carriers)

    assert story.states()[:2] == ["unknown", "skipped"]


# The provider that stands in --------------------------------------------------------------------


def fault(to):
    return [Outcome("provider_fault", error="401")] * len(to)


def test_another_provider_takes_what_was_never_sent_while_the_first_is_paused():
    first, second = Batches(2, fault), Batches(3)
    second.name = "second"
    story = Story(first, second, readers=7)

    assert story.work() == Counter(retry=2, sent=5, provider_fault=1)

    assert [len(call) for call in first.calls] == [2]
    assert [len(call) for call in second.calls] == [3, 2]
    # The two that the first refused are as unsent as the others; a minute later the first is tried, with one.
    assert story.work(30 * SECOND) == Counter()
    assert story.work(31 * SECOND) == Counter(retry=1, sent=1, provider_fault=1)
    assert [len(call) for call in first.calls] == [2, 1]


def test_another_provider_never_takes_what_may_have_gone_by_the_first():
    first, second = Batches(2, fault), Batches(2)
    second.name = "second"
    story = Story(first, second, readers=4)
    Delivery.objects.filter(pk=story.deliveries[3].pk).update(state="unknown", unit="u")
    repeats.resend_unknown(Delivery.objects.all())
    Delivery.objects.filter(pk=story.deliveries[0].pk).update(state="unknown", unit="v")

    story.work()
    story.work(SECOND)

    sent = [address for call in second.calls for address in call]
    assert story.addresses()[0] not in sent
    assert story.addresses()[3] not in sent
    assert story.states()[3] == "pending"


def test_another_provider_takes_over_when_the_first_has_had_its_mails_of_the_day(settings):
    settings.EMAIL_RATE_PER_DAY = 3
    first, second = Batches(2), Batches(2)
    second.name = "second"
    story = Story(first, second, readers=6)

    assert story.work() == Counter(sent=6)
    assert [len(call) for call in first.calls] == [2, 1]
    assert [len(call) for call in second.calls] == [2, 1]
