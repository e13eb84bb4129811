"""When arXiv announces: which dates have a list, and which list a submission comes with.

Dates here are Eastern, as arXiv's are. The list of a date is the one whose feed appears at that
date's midnight, mailed the evening before: Monday to Friday, unless the mailing is deferred.

Source: https://info.arxiv.org/help/availability.html, read for 2023 and 2026.
"""

import datetime as dt
from zoneinfo import ZoneInfo

EASTERN = ZoneInfo("America/New_York")
CUT_OFF = dt.time(14)  # what is received from then on waits for the next announcement

MONDAY, THURSDAY, FRIDAY, SATURDAY = 0, 3, 4, 5

# Days that arXiv added to the holidays of every year, as far as they were published.
ALSO_DEFERRED = {
    dt.date(2023, 6, 14): "arXiv's own holiday",
    dt.date(2023, 12, 27): "the days around New Year",
    dt.date(2026, 12, 29): "the days around New Year",
    dt.date(2026, 12, 31): "the days around New Year",
}


def why_no_list(date: dt.date) -> str:
    """Return why nothing is announced on ``date``, such as “Thanksgiving”; '' for a day with a list."""
    if date.weekday() >= SATURDAY:
        return "the weekend"
    return ALSO_DEFERRED.get(date) or _holidays(date.year).get(date, "")


def opens_at(date: dt.date) -> dt.datetime:
    """Return when the feed of ``date`` appears, in UTC."""
    return _eastern(date, dt.time())


def list_date(submitted_at: dt.datetime) -> dt.date:
    """Return the date of the first list that can hold what was submitted at that (aware) moment.

    Moderation may hold a paper back for days: then the list it came with was a later one, which
    nothing but the feed of that day tells.
    """
    date = submitted_at.astimezone(EASTERN).date()
    while why_no_list(date) or submitted_at >= _cut_off(date):
        date += dt.timedelta(days=1)
    return date


def submitted_between(date: dt.date) -> tuple[dt.datetime, dt.datetime] | None:
    """Return from when (included) to when (excluded) the papers of a list were submitted, in UTC.

    None for a date without a list. After a deferral the next list holds two days' papers.
    """
    if why_no_list(date):
        return None
    before = date - dt.timedelta(days=1)
    while why_no_list(before):
        before -= dt.timedelta(days=1)
    return _cut_off(before), _cut_off(date)


def today(now: dt.datetime) -> dt.date:
    """Return arXiv's date at a moment."""
    return now.astimezone(EASTERN).date()


def _cut_off(date: dt.date) -> dt.datetime:
    """Return when the list of ``date``, a weekday, is closed: two in the afternoon of the last weekday before it."""
    days = 3 if date.weekday() == MONDAY else 1
    return _eastern(date - dt.timedelta(days=days), CUT_OFF)


def _eastern(date: dt.date, time: dt.time) -> dt.datetime:
    return dt.datetime.combine(date, time, EASTERN).astimezone(dt.UTC)


def _holidays(year: int) -> dict[dt.date, str]:
    """Return the holidays that every published year had; a holiday at a weekend moves to the weekday beside it."""
    fixed = {
        (1, 1): "New Year's Day",
        (6, 19): "Juneteenth",
        (7, 4): "Independence Day",
        (12, 25): "Christmas",
    }
    return {_observed(dt.date(year, month, day)): name for (month, day), name in fixed.items()} | {
        _nth(3, MONDAY, year, 1): "Martin Luther King Jr. Day",
        _nth(1, MONDAY, year, 9): "Labor Day",
        _nth(4, THURSDAY, year, 11): "Thanksgiving",
    }


def _observed(date: dt.date) -> dt.date:
    return date + dt.timedelta(days={SATURDAY: -1, SATURDAY + 1: 1}.get(date.weekday(), 0))


def _nth(n: int, weekday: int, year: int, month: int) -> dt.date:
    first = dt.date(year, month, 1)
    return first + dt.timedelta(days=(weekday - first.weekday()) % 7 + 7 * (n - 1))
