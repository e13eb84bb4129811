"""A year of days: whatever the zone, the frequency and the hour, no edition is missed or covered twice."""

import datetime as dt
from collections.abc import Iterator

import pytest

from newsletter.schedule import COVERED, ClosedEdition, LastDigest, ReaderSchedule, closing_at, due

SPEC = "00:30 America/New_York"
FIRST = dt.date(2026, 1, 1)
DAYS = 366
ZONES = [
    "UTC",
    "America/New_York",
    "Asia/Kolkata",
    "Pacific/Kiritimati",
    "Pacific/Pago_Pago",
    "Europe/Berlin",
    "Australia/Lord_Howe",
]
EDITIONS = [ClosedEdition(date, closing_at(date, SPEC), 5) for date in (FIRST + dt.timedelta(n) for n in range(DAYS))]
FREQUENCIES = ["daily", "weekdays", "weekly"]


def moments(schedule: ReaderSchedule) -> Iterator[dt.datetime]:
    """When a planner that runs all day could first find something: each closing and each slot, and an hour on."""
    hour = dt.timedelta(hours=1)
    slots = [schedule.slot(edition.date) for edition in EDITIONS]
    closings = [edition.scheduled_at for edition in EDITIONS]
    return iter(sorted({*slots, *closings, *(moment + hour for moment in (*slots, *closings))}))


@pytest.mark.parametrize("zone", ZONES)
@pytest.mark.parametrize("frequency", FREQUENCIES)
@pytest.mark.parametrize("hour", [0, 2, 7, 23])
def test_every_edition_is_covered_once_and_no_local_date_has_two_digests(zone, frequency, hour):
    schedule = ReaderSchedule(zone, frequency, 3, hour)
    last, closed, covered, local_dates = None, 0, [], []

    for now in moments(schedule):
        while closed < DAYS and EDITIONS[closed].scheduled_at <= now:
            closed += 1
        found = due(schedule, last, EDITIONS[max(0, closed - 2 * COVERED) : closed], now)
        if found:
            last = LastDigest(found.edition_date, found.local_date)
            local_dates.append(found.local_date)
            covered += [e.date for e in EDITIONS[:closed] if found.covers_from <= e.date <= found.edition_date]

    assert covered == [edition.date for edition in EDITIONS[: len(covered)]]
    assert len(covered) >= DAYS - COVERED
    assert len(local_dates) == len(set(local_dates))
