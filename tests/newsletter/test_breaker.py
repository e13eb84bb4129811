"""A provider that takes nobody's mails is paused for all workers; nobody fails for it, and one mail tries it."""

import datetime as dt
import logging
from collections import Counter

import pytest
from django.urls import reverse

from newsletter import tick
from newsletter.breaker import FAILURES, PROBE, Breaker
from newsletter.chunks import sweep
from newsletter.models import Delivery, ProviderState
from newsletter.sending import deliver_chunk
from subscribers.emails import Outcome
from subscribers.models import Mail
from tests.factories import make_digest, make_edition, make_mail, make_paper
from tests.newsletter.carriers import Batches

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)
MINUTE = dt.timedelta(minutes=1)
WRONG_KEY = Outcome("provider_fault", error="401: Bad API token")
AWAY = Outcome("retry", error="ConnectTimeout", is_general=True)


class Story:
    """Workers one after the other, at a time that the test moves on, and a provider that answers what it is told."""

    def __init__(self, readers: int, unit_size: int = 4) -> None:
        edition = make_edition(START.date(), papers=(make_paper(),))
        self.deliveries = [make_digest(edition, count=1) for _ in range(readers)]
        self.now = START
        self.says = Outcome("accepted")
        self.carrier = Batches(unit_size, lambda to: [self.says] * len(to))
        self.slept: list[float] = []

    def clock(self) -> dt.datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += dt.timedelta(seconds=seconds)

    def work(self) -> Counter[str]:
        counts: Counter[str] = Counter()
        for chunk_id in sweep(self.now):
            counts += deliver_chunk(chunk_id, self.now, carriers=[self.carrier], clock=self.clock, sleep=self.sleep)
        return counts

    def calls(self) -> list[int]:
        calls, self.carrier.calls = self.carrier.calls, []
        return [len(call) for call in calls]

    def states(self) -> Counter[str]:
        return Counter(Delivery.objects.values_list("state", flat=True))


def test_a_wrong_key_fails_nobody_and_pauses_the_provider_at_once(caplog):
    story = Story(readers=8)
    story.says = WRONG_KEY

    assert story.work() == Counter(retry=4, provider_fault=1)

    assert story.states() == Counter(retry=4, pending=4)
    assert set(Delivery.objects.values_list("attempt", flat=True)) == {0}
    state = ProviderState.objects.get()
    assert (state.name, state.state, state.error, state.opened_at) == ("test", "open", "401: Bad API token", START)
    [said] = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert said == "the mail provider test is paused until 2026-07-01 08:01:00+00:00: 401: Bad API token"


def test_a_paused_provider_is_given_nothing_by_anybody():
    story = Story(readers=8)
    story.says = WRONG_KEY
    story.work()
    story.calls()

    assert story.work() == Counter(provider_paused=1)
    assert story.calls() == []


def test_one_mail_tries_and_when_it_goes_the_others_follow():
    story = Story(readers=8)
    story.says = WRONG_KEY
    story.work()
    story.calls()

    story.says, story.now = Outcome("accepted"), START + MINUTE
    assert story.work() == Counter(sent=8)
    assert story.calls() == [1, 4, 3]
    state = ProviderState.objects.get()
    assert (state.state, state.failures, state.error, state.opened_at, state.retry_at) == ("closed", 0, "", None, None)


def test_the_pause_doubles_up_to_a_quarter_of_an_hour():
    story = Story(readers=8)
    story.says = WRONG_KEY
    pauses = []
    for _ in range(7):
        story.work()
        retry_at = ProviderState.objects.get().retry_at
        assert retry_at is not None
        pauses.append((retry_at - story.now) / MINUTE)
        story.now = retry_at
    assert pauses == [1, 2, 4, 8, 15, 15, 15]
    assert story.calls() == [4, *[1] * 6]


def test_a_provider_that_cannot_be_reached_is_paused_after_three_calls_of_which_two_hold_one_mail():
    story = Story(readers=12)
    story.says = AWAY

    assert story.work() == Counter(retry=6, provider_paused=1)
    assert story.calls() == [4, 1, 1]
    assert ProviderState.objects.get().state == "open"


def test_calls_that_end_as_unknown_do_not_use_up_an_edition():
    story = Story(readers=100, unit_size=10)
    story.says = Outcome("unknown", error="500", is_general=True)

    story.work()

    assert story.states() == Counter(unknown=12, pending=88)


def test_what_is_said_of_one_reader_pauses_nothing():
    story = Story(readers=8, unit_size=1)
    story.says = Outcome("retry", error="450 greylisted")

    assert story.work() == Counter(retry=8)
    assert not ProviderState.objects.exists()


def test_an_answer_between_two_failures_counts_as_well():
    story = Story(readers=4, unit_size=1)
    answers = iter([AWAY, AWAY, Outcome("accepted"), AWAY])
    story.carrier.answer = lambda to: [next(answers)] * len(to)

    story.work()

    assert (ProviderState.objects.get().state, ProviderState.objects.get().failures) == ("closed", 1)


def test_a_paused_provider_is_left_alone_for_as_long_as_it_asks_if_that_is_longer():
    for asked, minutes in ((20, 1), (1800, 30)):
        ProviderState.objects.all().delete()
        Breaker("test", lambda: START).record([Outcome("provider_fault", error="402", retry_after_s=asked)])
        assert ProviderState.objects.get().retry_at == START + minutes * MINUTE


def test_the_provider_is_waited_for_as_long_as_it_asks():
    story = Story(readers=2, unit_size=1)
    answers = iter([Outcome("retry", retry_after_s=7, is_general=True), Outcome("accepted")])
    story.carrier.answer = lambda to: [next(answers)] * len(to)

    assert story.work() == Counter(retry=1, sent=1)
    assert sum(story.slept) == pytest.approx(7)


def test_a_provider_that_asks_for_an_hour_gets_the_chunk_handed_back():
    story = Story(readers=2, unit_size=1)
    story.says = Outcome("retry", retry_after_s=3600, is_general=True)

    assert story.work() == Counter(retry=1, provider_paused=1)
    assert (story.slept, story.states()) == ([], Counter(retry=1, pending=1))
    story.now += 59 * MINUTE
    assert story.work() == Counter(provider_paused=1)
    story.says, story.now = Outcome("accepted"), story.now + 2 * MINUTE
    assert story.work() == Counter(sent=2)


def test_of_several_workers_one_tries():
    now = START
    breakers = [Breaker("test", lambda: now) for _ in range(3)]
    for _ in range(FAILURES):
        breakers[0].record([AWAY])
    now = START + 5 * MINUTE

    # The first may send one mail, and again until it knows what became of it; the others wait for it.
    assert [breaker.look() for breaker in breakers] == [(True, None), (True, now + PROBE), (True, now + PROBE)]
    assert breakers[0].look() == (True, None)
    breakers[0].record([Outcome("accepted")])
    assert breakers[1].look() == (False, None)


def test_a_worker_that_dies_while_it_tries_leaves_the_next_try_to_another():
    now = START
    breakers = [Breaker("test", lambda: now) for _ in range(2)]
    breakers[0].record([WRONG_KEY])
    now += MINUTE
    assert breakers[0].look() == (True, None)
    now += PROBE
    assert breakers[1].look() == (True, None)


def test_a_slow_answer_of_an_older_call_does_not_end_the_pause():
    breakers = [Breaker("test", lambda: START) for _ in range(2)]
    breakers[0].record([WRONG_KEY])
    breakers[1].look()

    breakers[1].record([Outcome("accepted")])

    assert ProviderState.objects.get().state == "open"


def test_a_provider_that_is_well_costs_no_statement(django_assert_num_queries):
    breaker = Breaker("test", lambda: START)
    breaker.look()
    with django_assert_num_queries(0):
        breaker.record([Outcome("accepted")])
        breaker.look()


def test_the_operator_sees_the_pause_and_can_end_it(admin_client):
    Breaker("postmark", lambda: dt.datetime.now(dt.UTC)).record([WRONG_KEY])
    state, page = ProviderState.objects.get(), reverse("admin:newsletter_providerstate_changelist")

    assert "401: Bad API token" in admin_client.get(page).content.decode()
    admin_client.post(page, {"action": "try_now", "_selected_action": [state.pk]})

    assert Breaker("postmark", lambda: dt.datetime.now(dt.UTC)).look() == (True, None)


def test_a_service_mail_waits_while_the_provider_is_paused_and_goes_afterwards(mailoutbox):
    mail = make_mail()
    Breaker("locmem", lambda: dt.datetime.now(dt.UTC)).record([WRONG_KEY])

    assert tick.mail(dt.datetime.now(dt.UTC)) == {"unsent": 1}
    mail.refresh_from_db()
    assert (mail.state, mail.attempt, mailoutbox) == ("pending", 0, [])

    ProviderState.objects.update(retry_at=START)
    Mail.objects.update(next_attempt_at=START)
    assert tick.mail(dt.datetime.now(dt.UTC)) == {"accepted": 1}
    assert ProviderState.objects.get().state == "closed"


@pytest.mark.parametrize("every", [MINUTE, 5 * MINUTE])
def test_a_fault_that_only_one_mail_meets_with_stops_nobody_else_for_long_and_ends(every):
    story = Story(readers=5, unit_size=1)
    theirs = story.deliveries[0].subscriber.email
    story.carrier.answer = lambda to: [WRONG_KEY if to == [theirs] else Outcome("accepted")]

    for _ in range(3):
        story.work()
        story.now += every
    assert story.states() == Counter(accepted=4, retry=1)

    for _ in range(20):
        story.work()
        story.now += 60 * MINUTE
    assert story.states() == Counter(accepted=4, failed=1)
    assert ProviderState.objects.get().state == "closed"


def test_a_service_mail_goes_by_the_provider_that_stands_in(settings, mailoutbox):
    settings.EMAIL_BACKEND, settings.EMAIL_FALLBACK_BACKEND = (
        "anymail.backends.postmark.EmailBackend",
        "django.core.mail.backends.locmem.EmailBackend",
    )
    make_mail()
    Breaker("postmark", lambda: dt.datetime.now(dt.UTC)).record([WRONG_KEY])

    assert tick.mail(dt.datetime.now(dt.UTC)) == {"accepted": 1}
    assert len(mailoutbox) == 1
