"""What the database finds is what the schedule says, over readers of all kinds."""

import datetime as dt
import random

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter import schedule
from newsletter.due import due_readers, history, schedule_of
from newsletter.models import Delivery, Edition
from newsletter.schedule import ClosedEdition, closing_at
from subscribers.models import Subscriber
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)  # a Wednesday
DAY = dt.timedelta(days=1)
ZONES = ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Asia/Kolkata", "America/New_York", "Asia/Tokyo"]
LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
ENDS: list[tuple[str, str]] = [
    ("accepted", ""),
    ("accepted", ""),
    ("unknown", ""),
    ("skipped", "nothing_new"),
    ("skipped", "too_late"),
    ("skipped", "warm_up"),
    ("failed", ""),
]


def closed_editions(count: int = 10) -> list[Edition]:
    dates = [D - n * DAY for n in reversed(range(count))]
    moments = [closing_at(date, "00:30 America/New_York") for date in dates]
    rows = [
        Edition(date=date, state="closed", scheduled_at=moment, closed_at=moment, new_count=date.day % 3)
        for date, moment in zip(dates, moments, strict=True)
    ]
    return Edition.objects.bulk_create(rows)


def readers_of_all_kinds(draw: random.Random, count: int, *others: str) -> list[Subscriber]:
    return [
        make_subscriber(
            timezone=draw.choice([*ZONES, *others]),
            frequency=draw.choice(["daily", "weekdays", "weekly"]),
            weekday=draw.choice([1, 2, 3]),
            hour=draw.randrange(24),
            state=draw.choice(["active", "active", "active", "paused"]),
            confirmed_at=LONG_AGO,
        )
        for _ in range(count)
    ]


def have(reader: Subscriber, edition: Edition, state: str, reason: str, moved: int = 0) -> None:
    Delivery.objects.create(
        edition=edition,
        subscriber=reader,
        covers_from=edition.date,
        local_date=edition.date + moved * DAY,
        state=state,
        reason=reason,
        accepted_at=timezone.now() if state == "accepted" else None,
        error="x" if state == "failed" else "",
    )


def by_the_schedule(closed: list[Edition], now: dt.datetime) -> dict[int, schedule.Due]:
    """Ask about every reader, one by one."""
    known = [ClosedEdition(e.date, e.scheduled_at, e.new_count) for e in closed]
    readers = list(Subscriber.objects.active().exclude(deliveries__edition=closed[-1]))
    last, overtaken = history(readers, closed)
    found = {
        reader.pk: schedule.due(
            schedule_of(reader), last.get(reader.pk), known, now, was_too_late=reader.pk in overtaken
        )
        for reader in readers
    }
    return {pk: due for pk, due in found.items() if due}


def found(closed: list[Edition], now: dt.datetime, since: dt.datetime | None = None) -> dict[int, schedule.Due]:
    pairs = [(reader.pk, due) for reader, due in due_readers(closed, now, since)]
    assert len(pairs) == len(dict(pairs))
    return dict(pairs)


@pytest.mark.parametrize("seed", range(2))
def test_the_database_finds_whom_the_schedule_says_to_be_due(seed, monkeypatch):
    monkeypatch.setattr("newsletter.due.PAGE", 7)
    draw, closed = random.Random(seed), closed_editions()
    for reader in readers_of_all_kinds(draw, 60, "Gone/Away"):
        for edition in draw.sample(closed, draw.randrange(5)):
            if draw.random() < 0.9:
                have(reader, edition, *draw.choice(ENDS), moved=draw.choice([-1, 0, 0, 0, 1]))

    for hours in range(5, 29, 4):
        now = dt.datetime(2026, 7, 8, tzinfo=dt.UTC) + dt.timedelta(hours=hours)
        assert found(closed, now) == by_the_schedule(closed, now)


@pytest.mark.parametrize("seed", [1])
def test_looking_only_at_whose_hour_came_finds_the_same_in_the_course_of_a_day(seed):
    draw, closed = random.Random(seed), closed_editions()
    readers = readers_of_all_kinds(draw, 40)
    for reader in readers:
        have(reader, draw.choice(closed[:-1]), *draw.choice(ENDS[:4]))
    since = dt.datetime(2026, 7, 8, 4, 31, tzinfo=dt.UTC)
    everybody, by_pk = by_the_schedule(closed, since), {reader.pk: reader for reader in readers}

    while True:
        for pk in everybody:
            have(by_pk[pk], closed[-1], "accepted", "")
        now = since + dt.timedelta(minutes=draw.choice([45, 95]))
        if now > closed[-1].scheduled_at + DAY:
            break
        everybody = by_the_schedule(closed, now)
        assert found(closed, now, since) == everybody
        since = now


def test_who_just_confirmed_is_found_at_once():
    closed = closed_editions(2)
    now = dt.datetime(2026, 7, 8, 9, 5, tzinfo=dt.UTC)
    fresh = make_subscriber(hour=23, confirmed_at=now - dt.timedelta(seconds=30))
    make_subscriber(hour=23, confirmed_at=LONG_AGO)

    assert set(found(closed, now, now - dt.timedelta(minutes=1))) == {fresh.pk}


def test_while_nobodys_hour_comes_one_query_is_all():
    closed = closed_editions(2)
    for reader in readers_of_all_kinds(random.Random(1), 20):
        have(reader, closed[0], "accepted", "")
    now = dt.datetime(2026, 7, 8, 9, 5, tzinfo=dt.UTC)

    with CaptureQueriesContext(connection) as captured:
        assert found(closed, now, now - dt.timedelta(minutes=1)) == {}

    assert len(captured) == 1
