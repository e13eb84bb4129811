"""A year of days: whatever the zone, the frequency and the hour, no edition is missed or covered twice."""

import datetime as dt
import itertools
import random
import zoneinfo
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from functools import cache

import pytest

from newsletter.schedule import (
    COVERED,
    ClosedEdition,
    Due,
    LastDigest,
    ReaderSchedule,
    closing_at,
    due,
    edition_date,
    turns,
)

SPEC = "00:30 America/New_York"
DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
FIRST, DAYS = dt.date(2026, 1, 1), 366
EDITIONS = [ClosedEdition(date, closing_at(date, SPEC), 5) for date in (FIRST + n * DAY for n in range(DAYS))]
# Every whole offset there is, and clocks that change: by an hour, by half of one, at midnight, in the south.
ZONES = [
    *(f"Etc/GMT{-offset:+d}" for offset in range(-11, 15)),
    *("America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Beirut", "America/Santiago", "Asia/Kolkata"),
]
HOURS = range(24)

Digest = tuple[dt.datetime, Due]


def schedules(zone: str) -> list[ReaderSchedule]:
    """All hours by all frequencies; the weekday of a weekly digest goes round with the hour."""
    return [
        ReaderSchedule(zone, frequency, hour % 7, hour)
        for hour in HOURS
        for frequency in ("daily", "weekdays", "weekly")
    ]


@cache
def slots(zone: str, hour: int) -> list[dt.datetime]:
    return [ReaderSchedule(zone, "daily", 0, hour).slot(edition.date) for edition in EDITIONS]


@cache
def newest_at(zone: str, hour: int) -> dict[dt.date, dt.date]:
    """The newest edition that was to close by the reader's hour, for each of their dates."""
    dates = zip((edition.date for edition in EDITIONS), slots(zone, hour), strict=True)
    return {date: edition_date(slot, SPEC) for date, slot in dates}


def follow(
    schedule: ReaderSchedule,
    *,
    late: dict[int, dt.timedelta] | None = None,
    away: Sequence[tuple[dt.datetime, dt.datetime]] = (),
) -> list[Digest]:
    """Return what a reader gets in the year, from a planner that looks at each closing and at each slot.

    ``late`` says by how much some editions, by number, closed after their time. In the spans
    ``away`` nothing is planned, be it that the planner was down or the reader paused; it looks
    when such a span ends.
    """
    closed_at = [edition.scheduled_at + (late or {}).get(n, 0 * HOUR) for n, edition in enumerate(EDITIONS)]
    moments = {*closed_at, *slots(schedule.timezone, schedule.hour), *(end for _, end in away)}
    last, closed, digests = None, 0, []
    for now in sorted(moments):
        while closed < DAYS and closed_at[closed] <= now:
            closed += 1
        if any(start <= now < end for start, end in away):
            continue
        if found := due(schedule, last, EDITIONS[max(0, closed - COVERED - 1) : closed], now):
            last = LastDigest(found.edition_date, found.local_date)
            digests.append((now, found))
    return digests


def covered(digests: Iterable[Digest]) -> list[dt.date]:
    """The editions that the digests cover, one after the other; one that comes twice stands here twice."""
    return [
        found.covers_from + n * DAY
        for _, found in digests
        for n in range((found.edition_date - found.covers_from).days + 1)
    ]


def local_dates(digests: Iterable[Digest]) -> list[dt.date]:
    return [found.local_date for _, found in digests]


def days_of(schedule: ReaderSchedule, last: dt.date) -> list[dt.date]:
    """The reader's days from the fourth of January to ``last``.

    Without the one on which the closing time of New York, seen from a clock that does not change,
    moves past the reader's hour: no edition was to close between that day's slot and the one before.
    """
    dates = [date for n in range((last - FIRST).days + 1) if schedule.has_day(date := FIRST + n * DAY)]
    newest = [newest_at(schedule.timezone, schedule.hour)[date] for date in dates]
    return [
        date
        for date, held, before in zip(dates, newest, [None, *newest], strict=False)
        if held != before and date > FIRST + 2 * DAY
    ]


def has_repeated(values: Collection[object]) -> bool:
    return len(values) != len(set(values))


@pytest.mark.parametrize("zone", ZONES)
def test_undisturbed_every_edition_is_covered_once_by_one_digest_a_day_at_the_readers_hour(zone):
    for schedule in schedules(zone):
        digests = follow(schedule)
        dates = covered(digests)
        # The first comes at once, and the second may be of the day after.
        regular = [(now, found) for now, found in digests if found.local_date > FIRST + 2 * DAY]

        assert dates == [edition.date for edition in EDITIONS[: len(dates)]], schedule
        assert len(dates) >= DAYS - COVERED, schedule
        assert not has_repeated(local_dates(digests)), schedule
        assert all(now == schedule.slot(found.local_date) for now, found in regular), schedule
        assert local_dates(regular) == days_of(schedule, local_dates(digests)[-1]), schedule


@pytest.mark.parametrize("zone", ["Etc/GMT-14", "Etc/GMT+11", "Europe/Berlin", "America/New_York"])
def test_what_was_missed_comes_with_the_next_digest_up_to_eight_editions(zone):
    draw = random.Random(zone)
    for schedule in schedules(zone)[::5]:
        start = EDITIONS[draw.randrange(30, 300)].scheduled_at + draw.randrange(24) * HOUR
        end = start + draw.randrange(1, 20 * 24) * HOUR
        digests = follow(schedule, away=[(start, end)])

        dates = covered(digests)
        assert dates == sorted(set(dates)), schedule
        assert not has_repeated(local_dates(digests)), schedule
        after = next(n for n, (now, _) in enumerate(digests) if now >= end)
        missed_from, catch_up = digests[after - 1][1].edition_date + DAY, digests[after][1]
        assert catch_up.covers_from == max(missed_from, catch_up.edition_date - (COVERED - 1) * DAY), schedule
        # Beyond the newest eight nothing is covered, and from then on nothing is missed again.
        assert covered(digests[after:]) == [
            catch_up.covers_from + n * DAY for n in range(len(covered(digests[after:])))
        ]


@pytest.mark.parametrize("zone", ["Etc/GMT-14", "Etc/GMT+11", "Europe/Berlin", "America/New_York"])
def test_nobodys_hour_drifts_after_a_late_closing_or_a_planner_that_was_down(zone):
    draw = random.Random(zone)
    for schedule in schedules(zone)[::5]:
        numbers = draw.sample(range(20, 340), 12)
        late = {n: draw.randrange(1, 23) * HOUR for n in numbers[:6]}
        down = [
            (EDITIONS[n].scheduled_at, EDITIONS[n].scheduled_at + draw.randrange(1, 40) * HOUR) for n in numbers[6:]
        ]
        digests = follow(schedule, late=late, away=down)
        dates = covered(digests)
        assert dates == sorted(set(dates)), schedule
        # A weekly reader whose day went by has their next digest a week later, of eight editions.
        assert schedule.frequency == "weekly" or dates[-1] - FIRST == (len(dates) - 1) * DAY, schedule
        assert not has_repeated(local_dates(digests)), schedule

        disturbed = {EDITIONS[n].date + days * DAY for n in numbers for days in range(-1, 4)}
        drifted = [
            (now, found)
            for now, found in digests[2:]
            if found.local_date not in disturbed and now != schedule.slot(found.local_date)
        ]
        assert drifted == [], schedule
        undisturbed = {found.local_date for _, found in follow(schedule)[2:]} - disturbed
        assert undisturbed - set(local_dates(digests)) == set(), schedule


def test_a_pause_ends_with_one_digest_of_the_newest_eight_editions():
    schedule = ReaderSchedule("Europe/Berlin", "daily", 0, 7)
    start, end = dt.datetime(2026, 3, 20, tzinfo=dt.UTC), dt.datetime(2026, 4, 9, 22, tzinfo=dt.UTC)

    after = [(now, found) for now, found in follow(schedule, away=[(start, end)]) if now >= end]

    # The pause ends at midnight in Berlin; the digest waits for the hour.
    assert after[0][0] == dt.datetime(2026, 4, 10, 5, tzinfo=dt.UTC)
    assert after[0][1] == Due(dt.date(2026, 4, 10), dt.date(2026, 4, 3), dt.date(2026, 4, 10))
    assert after[1][1] == Due(dt.date(2026, 4, 11), dt.date(2026, 4, 11), dt.date(2026, 4, 11))


def test_who_moves_west_gets_no_second_digest_on_a_date_that_they_have_lived_before():
    last = LastDigest(dt.date(2026, 7, 1), dt.date(2026, 7, 2))
    schedule = ReaderSchedule("Pacific/Pago_Pago", "daily", 0, 7)
    editions = [edition for edition in EDITIONS if edition.date <= dt.date(2026, 7, 3)]
    moment = schedule.slot(dt.date(2026, 7, 2)) - HOUR

    assert moment.astimezone(zoneinfo.ZoneInfo("Pacific/Pago_Pago")).date() == dt.date(2026, 7, 2)
    assert due(schedule, last, editions, moment - DAY, was_too_late=True) is None
    assert due(schedule, last, editions, moment + DAY) is None
    assert due(schedule, replace(last, local_date=dt.date(2026, 6, 30)), editions, moment, was_too_late=True)


@pytest.mark.parametrize("zone", ["Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Antarctica/Troll"])
def test_whose_hour_came_is_found_on_the_days_on_which_clocks_change(zone):
    local = [edition.scheduled_at.astimezone(zoneinfo.ZoneInfo(zone)) for edition in EDITIONS]
    changes = [one for one, next_ in itertools.pairwise(local) if one.utcoffset() != next_.utcoffset()]
    assert len(changes) == 2

    for change, minutes in itertools.product(changes, (5, 25, 113)):
        since, end = change.astimezone(dt.UTC) - DAY, change.astimezone(dt.UTC) + 2 * DAY
        while since < end:
            now = since + dt.timedelta(minutes=minutes)
            today = now.astimezone(zoneinfo.ZoneInfo(zone)).date()
            come = {hour for hour in HOURS if since < ReaderSchedule(zone, "daily", 0, hour).slot(today) <= now}
            assert {hour for turn in turns([zone], EDITIONS, now, since) for hour in turn.hours} == come, now
            since = now


@pytest.mark.parametrize("seed", range(5))
def test_who_changes_zone_frequency_or_hour_gets_no_edition_twice_and_one_digest_a_date(seed):
    draw, last, digests = random.Random(seed), None, []
    schedule = ReaderSchedule("UTC", "daily", 0, 7)
    for hours in range(24 * 90):
        now = EDITIONS[0].scheduled_at + hours * HOUR
        if draw.random() < 1 / 40:
            frequency = draw.choice(["daily", "daily", "weekdays", "weekly"])
            schedule = ReaderSchedule(draw.choice(ZONES), frequency, draw.randrange(7), draw.choice(HOURS))
        closed = [edition for edition in EDITIONS[:100] if edition.scheduled_at <= now]
        if found := due(schedule, last, closed, now):
            last = LastDigest(found.edition_date, found.local_date)
            digests.append((now, found))

    dates = covered(digests)
    assert dates == sorted(set(dates))
    assert local_dates(digests) == sorted(set(local_dates(digests)))
    gaps = [after.covers_from - before.edition_date for (_, before), (_, after) in itertools.pairwise(digests)]
    whole = [(after.edition_date - after.covers_from).days == COVERED - 1 for _, after in digests[1:]]
    assert all(gap == DAY or is_whole for gap, is_whole in zip(gaps, whole, strict=True))
    assert len(digests) > 20
