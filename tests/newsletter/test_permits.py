"""All our processes together give a provider no more mails a second and a day than it takes."""

import datetime as dt
import secrets
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
import redis

from newsletter import permits
from newsletter.models import Delivery
from newsletter.permits import Limits, Permit, Permits
from tests.conftest import REDIS_URL
from tests.newsletter.test_breaker import Story

Take = Callable[[int, float], Permit]
START = dt.datetime(2026, 7, 1, 8, tzinfo=dt.UTC)


def in_the_row(limits: Limits, *, at: dt.datetime = START) -> Take:
    return Permits("test", limits, lambda: at).take


@pytest.fixture
def prefix(settings) -> Iterator[str]:
    settings.REDIS_URL, settings.REDIS_PREFIX = REDIS_URL, f"paperboy-test-{secrets.token_hex(6)}:"
    permits._away_until[0] = float("-inf")
    yield settings.REDIS_PREFIX
    forget(settings.REDIS_PREFIX)


def forget(prefix: str) -> None:
    with redis.Redis.from_url(REDIS_URL) as server:
        for key in server.scan_iter(match=f"{prefix}*"):
            server.delete(key)


# Without Redis ----------------------------------------------------------------------------------


@pytest.mark.django_db
def test_without_limits_nothing_is_asked(django_assert_num_queries):
    with django_assert_num_queries(0):
        assert in_the_row(Limits())(500, 0) == Permit(500)


@pytest.mark.django_db
def test_each_takes_a_place_in_the_row_behind_the_others():
    workers = [in_the_row(Limits(per_second=10)) for _ in range(3)]

    assert [take(5, 60) for take in workers] == [Permit(5, 0.0), Permit(5, 0.5), Permit(5, 1.0)]


@pytest.mark.django_db
def test_who_has_no_patience_takes_no_place():
    take = in_the_row(Limits(per_second=1))
    take(30, 60)

    assert take(1, 10) == Permit(0, 30.0)
    assert take(1, 60) == Permit(1, 30.0)


@pytest.mark.django_db
def test_a_day_has_so_many_and_the_next_day_has_as_many_again():
    limits = Limits(per_day=100)

    assert [in_the_row(limits)(60, 60).count for _ in range(2)] == [60, 40]
    assert in_the_row(limits)(1, 60) == Permit(0, 16 * 3600.0)
    assert in_the_row(limits, at=START + dt.timedelta(days=1))(60, 60) == Permit(60)


# In Redis ---------------------------------------------------------------------------------------


@pytest.mark.services
@pytest.mark.django_db
def test_redis_keeps_the_rate_and_the_day_for_all(prefix):
    limits = Limits(per_second=100, per_day=250)
    workers = [Permits("test", limits, dt.datetime.now).take for _ in range(3)]

    took = [take(100, 60) for take in workers]

    assert [permit.count for permit in took] == [100, 100, 50]
    assert [permit.wait_s for permit in took] == pytest.approx([0, 1, 2], abs=0.2)
    assert workers[0](1, 60).count == 0
    assert workers[0](1, 60).wait_s > 1


@pytest.mark.services
@pytest.mark.django_db
def test_a_redis_that_forgets_all_or_goes_away_gives_the_day_no_second_time(prefix, settings, monkeypatch):
    def worker() -> Take:
        return Permits("test", Limits(per_day=100), lambda: dt.datetime.now(dt.UTC)).take

    first = worker()
    assert first(60, 60).count == 60
    forget(prefix)
    assert worker()(20, 60).count == 20
    forget(prefix)
    assert [worker()(30, 60).count, first(30, 60).count] == [20, 0]
    monkeypatch.setattr(permits, "_away_until", [float("inf")])
    assert worker()(1, 60).count == 0


@pytest.mark.services
@pytest.mark.django_db
def test_redis_gives_no_place_to_who_has_no_patience(prefix):
    take = Permits("test", Limits(per_second=1), dt.datetime.now).take
    take(30, 60)

    assert take(1, 10).count == 0
    assert take(1, 60).wait_s == pytest.approx(30, abs=1)


@pytest.mark.services
@pytest.mark.django_db
def test_in_redis_two_never_take_the_same_place(prefix):
    took: list[float] = []

    def work() -> None:
        take = Permits("test", Limits(per_second=1000), dt.datetime.now).take
        took.extend(take(1, 60).wait_s for _ in range(50))

    started = time.monotonic()
    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # 200 places of a millisecond each: the last one begins no sooner than 199 ms after the first.
    assert len(took) == 200
    assert max(took) + time.monotonic() - started >= 0.199


@pytest.mark.django_db
def test_when_redis_is_away_the_database_keeps_the_rate_and_it_is_said(settings, caplog, monkeypatch):
    monkeypatch.setattr(permits, "_away_until", [float("-inf")])
    with socket.create_server(("127.0.0.1", 0)) as listener:
        settings.REDIS_URL = f"redis://127.0.0.1:{listener.getsockname()[1]}/0"
    take = in_the_row(Limits(per_second=10))

    assert [take(5, 60), take(5, 60)] == [Permit(5, 0.0), Permit(5, 0.5)]
    # Said once: it is not asked again for half a minute.
    assert [record.getMessage().partition(":")[0] for record in caplog.records] == [
        "Redis is away, the rate of test is kept by the database"
    ]


# The worker -------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_worker_waits_with_nothing_unsettled(settings):
    settings.EMAIL_RATE_PER_SECOND = 2
    story = Story(readers=3, unit_size=1)
    states: list[Counter[str]] = []
    sleep = story.sleep

    def look(seconds: float) -> None:
        states.append(story.states())
        sleep(seconds)

    story.sleep = look  # type: ignore[method-assign]  # the story's own, with a look around first

    assert story.work() == Counter(sent=3)
    assert states == [Counter(accepted=1, pending=2), Counter(accepted=2, pending=1)]
    assert sum(story.slept) == pytest.approx(1.0)


@pytest.mark.django_db
def test_a_unit_is_no_larger_than_what_is_left_of_the_day_and_the_rest_waits_for_the_next(settings):
    settings.EMAIL_RATE_PER_DAY = 6
    story = Story(readers=9)

    assert story.work() == Counter(sent=6, provider_paused=1)
    assert story.calls() == [4, 2]
    assert story.work() == Counter(provider_paused=1)

    story.now += dt.timedelta(days=1)
    assert story.work() == Counter(sent=3)
    assert Delivery.objects.filter(state="accepted").count() == 9
