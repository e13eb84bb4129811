"""When editions close, when a reader's hour comes, and which editions their digest then covers. Pure."""

import datetime as dt
import re
import zoneinfo
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

COVERED = 8  # editions at most: a week, and the hour that daylight saving moves
DAY = dt.timedelta(days=1)

# Enough years for the check of a closing time; a zone keeps one offset for longer than a week.
CHECKED_DAYS = [dt.date(2024, 1, 1) + n * 7 * DAY for n in range(52 * 12)]
HOW_TO_WRITE = "Set EDITION_CLOSES_AT to a time and a zone such as “00:30 America/New_York” or “05:00 UTC”."


class ClosingTimeError(ValueError):
    """A closing time that cannot be used; its text says what to write instead."""


@lru_cache
def read_spec(spec: str) -> tuple[dt.time, dt.tzinfo]:
    """Return the time and the zone of a closing time such as ``00:30 America/New_York``."""
    match = re.fullmatch(r"\s*(\d{1,2}):(\d{2})\s+(\S+)\s*", spec)
    if not match:
        raise ClosingTimeError(f"“{spec}” is no closing time. {HOW_TO_WRITE}")
    try:
        return dt.time(int(match[1]), int(match[2])), zoneinfo.ZoneInfo(match[3])
    except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
        raise ClosingTimeError(f"“{spec}” names no time or no zone that is known. {HOW_TO_WRITE}") from None


def closing_at(date: dt.date, spec: str) -> dt.datetime:
    """Return the moment, in UTC, at which the edition of ``date`` is to close.

    An edition is named by the UTC date of that moment, which may be the day before or after the
    local one. Raises ``ClosingTimeError`` where no moment, or more than one, has that date.
    """
    moments = [moment for moment in (_moment(date + n * DAY, spec) for n in (-1, 0, 1)) if moment.date() == date]
    if len(moments) != 1:
        raise _jumps(spec)
    return moments[0]


def check_spec(spec: str) -> None:
    """Raise ``ClosingTimeError`` for a closing time that cannot be read or whose UTC date jumps."""
    if len({_moment(date, spec).date() - date for date in CHECKED_DAYS}) > 1:
        raise _jumps(spec)


def _moment(local_date: dt.date, spec: str) -> dt.datetime:
    time, zone = read_spec(spec)
    return dt.datetime.combine(local_date, time, tzinfo=zone).astimezone(dt.UTC)


def _jumps(spec: str) -> ClosingTimeError:
    return ClosingTimeError(
        f"“{spec}” changes its UTC date with daylight saving, so some days would have two editions and"
        f" others none. {HOW_TO_WRITE}"
    )


def edition_date(moment: dt.datetime, spec: str) -> dt.date:
    """Return the date of the newest edition whose closing time lies at or before ``moment``."""
    date = moment.astimezone(dt.UTC).date()
    return date if closing_at(date, spec) <= moment else date - DAY


@dataclass(frozen=True, slots=True)
class ReaderSchedule:
    """When a reader wants their digest; ``frequency`` is daily, weekdays or weekly, ``weekday`` 0 Monday."""

    timezone: str
    frequency: str
    weekday: int
    hour: int

    @property
    def zone(self) -> dt.tzinfo:
        try:
            return zoneinfo.ZoneInfo(self.timezone)
        except (ValueError, OSError, zoneinfo.ZoneInfoNotFoundError):
            return dt.UTC  # a zone that left the database of zones must not stop the other readers

    def has_day(self, date: dt.date) -> bool:
        if self.frequency == "weekly":
            return date.weekday() == self.weekday
        return self.frequency == "daily" or date.weekday() < 5

    def slot(self, date: dt.date) -> dt.datetime:
        """Return the reader's moment of the local ``date``, in UTC.

        ``fold=0`` is the rule of both odd days: an hour that does not exist becomes the first one
        after it, of an hour that exists twice the first is taken.
        """
        return dt.datetime.combine(date, dt.time(self.hour), tzinfo=self.zone).astimezone(dt.UTC)


@dataclass(frozen=True, slots=True)
class LastDigest:
    """The reader's last digest that counts: the edition it was of, and their date when it was made."""

    edition_date: dt.date
    local_date: dt.date


@dataclass(frozen=True, slots=True)
class ClosedEdition:
    """An edition that closed; ``scheduled_at`` is when it was to close, ``new_count`` its new papers."""

    date: dt.date
    scheduled_at: dt.datetime
    new_count: int


@dataclass(frozen=True, slots=True)
class Due:
    """A digest to be made: recorded under ``edition_date``, of all editions since ``covers_from``.

    ``is_first`` says that the reader has had none before.
    """

    edition_date: dt.date
    covers_from: dt.date
    local_date: dt.date
    is_first: bool = False


def due(
    schedule: ReaderSchedule,
    last: LastDigest | None,
    editions: Sequence[ClosedEdition],
    now: dt.datetime,
    *,
    was_too_late: bool = False,
) -> Due | None:
    """Return the digest that an active reader is due at ``now``, or None.

    ``last`` is None for a reader without any digest; ``editions`` are the newest ones that closed,
    oldest first, ``COVERED`` of them at least where there are so many. ``was_too_late`` says that
    the reader's newest delivery could not be sent before the next edition closed: they, like a
    reader without any digest, do not wait for their hour.
    """
    local_date = now.astimezone(schedule.zone).date()
    # Later than today's: who moves west lives some dates a second time.
    if last and last.local_date >= local_date:
        return None
    newer = [edition for edition in editions if last is None or edition.date > last.edition_date]
    if not newer:
        return None
    if last and not was_too_late and not _slot_has_come(schedule, local_date, newer, now):
        return None
    covered = newer[-COVERED:]
    first = covered[0] if last else next((e for e in reversed(covered) if e.new_count), covered[-1])
    return Due(covered[-1].date, first.date, local_date, is_first=last is None)


def _slot_has_come(
    schedule: ReaderSchedule, local_date: dt.date, newer: Sequence[ClosedEdition], now: dt.datetime
) -> bool:
    """Say whether the day's hour has come, for an edition that was to close by then.

    What counts is when it was *to* close: a late closing is made up the same day, and nobody's
    hour drifts.
    """
    if not schedule.has_day(local_date):
        return False
    slot = schedule.slot(local_date)
    return slot <= now and any(edition.scheduled_at <= slot for edition in newer)


# Many readers at once ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Turn:
    """Whose slot of today has come: readers of these zones, for whom it is this weekday, at these hours.

    ``held`` is the newest edition that was to close by then: who had it, or a newer one, is not due.
    """

    zones: tuple[str, ...]
    weekday: int
    hours: tuple[int, ...]
    held: dt.date


def turns(
    zones: Iterable[str], editions: Sequence[ClosedEdition], now: dt.datetime, since: dt.datetime | None = None
) -> list[Turn]:
    """Return whose slots have come by ``now``, after ``since`` if it is given; no reader is of two turns.

    A reader with a digest that counts, and whose newest delivery did not come too late, is never
    ``due`` without a turn, for the same ``editions`` and ``now``.
    """
    found: defaultdict[tuple[int, dt.date, tuple[int, ...]], list[str]] = defaultdict(list)
    for zone in zones:
        local_date, by_edition = _hours_come(zone, editions, now, since)
        for held, hours in by_edition.items():
            found[local_date.weekday(), held, tuple(hours)].append(zone)
    return [Turn(tuple(of), weekday, hours, held) for (weekday, held, hours), of in found.items()]


def _hours_come(
    timezone: str, editions: Sequence[ClosedEdition], now: dt.datetime, since: dt.datetime | None
) -> tuple[dt.date, dict[dt.date, list[int]]]:
    """Return the zone's date, and the hours of it that have come, by the edition that was to close by then."""
    zone = ReaderSchedule(timezone, "daily", 0, 0).zone
    local = now.astimezone(zone)
    local_date, first, hours = local.date(), 0, defaultdict[dt.date, list[int]](list)
    if since and (before := since.astimezone(zone)).date() == local_date:
        first = max(0, min(before.hour, local.hour) - 1)  # clocks go back by an hour at most
    for hour in range(first, min(24, local.hour + 2)):
        slot = ReaderSchedule(timezone, "daily", 0, hour).slot(local_date)
        held = next((edition.date for edition in reversed(editions) if edition.scheduled_at <= slot), None)
        if held and slot <= now and (since is None or slot > since):
            hours[held].append(hour)
    return local_date, hours
