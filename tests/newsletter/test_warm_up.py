"""A new sender's first weeks: so many digests of an edition, to those longest without one."""

import datetime as dt

import pytest
from django.utils import timezone

from newsletter.models import Delivery, Edition
from newsletter.planning import plan
from subscribers.models import Subscriber
from tests.factories import make_delivery, make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)
DAY = dt.timedelta(days=1)
EVENING = dt.datetime(2026, 7, 8, 23, tzinfo=dt.UTC)


@pytest.fixture(autouse=True)
def _two_a_day(settings):
    settings.WARM_UP_PER_DAY = 2


def edition(date: dt.date = D) -> Edition:
    return make_edition(date, papers=(make_paper(),))


def had(reader: Subscriber, of: Edition, **fields) -> None:
    make_delivery(of, reader, **({"state": "accepted", "accepted_at": timezone.now()} | fields))


def outcomes() -> dict[int, str]:
    rows = Delivery.objects.filter(edition__date=D).values_list("subscriber", "state", "reason")
    return {reader: reason or state for reader, state, reason in rows}


def test_those_longest_without_a_digest_come_first_and_the_others_are_skipped():
    lately, new, long_ago, never = (make_subscriber() for _ in range(4))
    before, yesterday = edition(D - 2 * DAY), edition(D - DAY)
    had(lately, yesterday)
    had(new, yesterday)
    had(long_ago, before)
    had(never, yesterday, state="failed", accepted_at=None, error="no")

    planned = plan(edition(), EVENING)

    assert outcomes() == {lately.pk: "warm_up", new.pk: "warm_up", long_ago.pk: "pending", never.pk: "pending"}
    assert (planned.pending, planned.skipped) == (2, {"warm_up": 2})


def test_who_was_left_out_gets_the_papers_with_a_later_digest():
    readers, before = [make_subscriber() for _ in range(3)], make_edition(D - 2 * DAY)
    for reader in readers:
        had(reader, before)
    plan(edition(D - DAY), EVENING - DAY)
    Delivery.objects.filter(state="pending").update(state="accepted", accepted_at=timezone.now())
    left_out = readers[2]
    assert left_out.deliveries.get(edition__date=D - DAY).reason == "warm_up"

    plan(edition(), EVENING)

    assert outcomes() == {readers[0].pk: "pending", readers[1].pk: "warm_up", left_out.pk: "pending"}
    assert left_out.deliveries.get(edition__date=D).covers_from == D - DAY


def test_the_line_is_drawn_for_the_day_and_not_for_those_whose_hour_is_first():
    yesterday, before = edition(D - DAY), edition(D - 2 * DAY)
    early = [make_subscriber(hour=6) for _ in range(2)]
    late = [make_subscriber(hour=20) for _ in range(2)]
    for reader in early:
        had(reader, yesterday)
    for reader in late:
        had(reader, before)
    today = edition()

    plan(today, EVENING.replace(hour=7))
    assert set(outcomes().values()) == {"warm_up"}
    plan(today, EVENING)

    assert [outcomes()[reader.pk] for reader in late] == ["pending", "pending"]


def test_readers_whose_day_it_is_not_take_nobodys_place():
    weekly = make_subscriber(frequency="weekly", weekday=0)
    had(weekly, make_edition(D - 5 * DAY))
    daily, yesterday = [make_subscriber() for _ in range(2)], make_edition(D - DAY)
    for reader in daily:
        had(reader, yesterday)

    plan(edition(), EVENING)

    assert outcomes() == {reader.pk: "pending" for reader in daily}


def test_a_second_planner_does_not_go_beyond_the_number():
    for _ in range(3):
        make_subscriber()
    today = edition()
    plan(today, EVENING)
    # One who confirms later was longest without a digest, but the day's number is used up.
    first = Subscriber.objects.order_by("pk")[0]
    Delivery.objects.filter(subscriber=first).delete()
    make_delivery(today, make_subscriber(state="paused"), state="failed", error="no")

    plan(today, EVENING)

    assert sum(state in {"pending", "failed"} for state in outcomes().values()) == 2
    assert outcomes()[first.pk] == "warm_up"


def test_without_a_number_everybody_gets_one(settings):
    settings.WARM_UP_PER_DAY = 0
    for _ in range(3):
        make_subscriber()

    plan(edition(), EVENING)

    assert set(outcomes().values()) == {"pending"}
