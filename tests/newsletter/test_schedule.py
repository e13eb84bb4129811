"""When editions close, and when a reader is due."""

import datetime as dt

import pytest
from django.core.checks import run_checks

from newsletter.schedule import (
    ClosedEdition,
    ClosingTimeError,
    Due,
    LastDigest,
    ReaderSchedule,
    check_spec,
    closing_at,
    due,
    edition_date,
)

NEW_YORK = "00:30 America/New_York"


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def editions(first: str, count: int, *, new: int = 10) -> list[ClosedEdition]:
    dates = [day(first) + dt.timedelta(days=n) for n in range(count)]
    return [ClosedEdition(date, closing_at(date, NEW_YORK), new) for date in dates]


def reader(timezone: str = "UTC", frequency: str = "daily", *, weekday: int = 0, hour: int = 7) -> ReaderSchedule:
    return ReaderSchedule(timezone, frequency, weekday, hour)


@pytest.mark.parametrize(
    ("spec", "date", "moment"),
    [
        (NEW_YORK, "2026-07-01", "2026-07-01T04:30"),
        (NEW_YORK, "2026-12-01", "2026-12-01T05:30"),
        ("05:00 UTC", "2026-12-01", "2026-12-01T05:00"),
        # Half past midnight in Berlin is the evening before in UTC, summer and winter alike.
        ("00:30 Europe/Berlin", "2026-07-01", "2026-07-01T22:30"),
        ("00:30 Europe/Berlin", "2026-12-01", "2026-12-01T23:30"),
        ("22:00 America/New_York", "2026-07-01", "2026-07-01T02:00"),
    ],
)
def test_an_edition_closes_at_the_moment_that_has_its_utc_date(spec, date, moment):
    assert closing_at(day(date), spec) == at(moment)


def test_the_newest_edition_that_should_be_closed_is_yesterdays_until_the_closing_time():
    assert edition_date(at("2026-07-01T04:29"), NEW_YORK) == day("2026-06-30")
    assert edition_date(at("2026-07-01T04:30"), NEW_YORK) == day("2026-07-01")


@pytest.mark.parametrize("spec", [NEW_YORK, "05:00 UTC", "20:00 America/New_York", "00:30 Europe/Berlin", "7:05 UTC"])
def test_a_closing_time_that_keeps_its_utc_date_is_accepted(spec):
    check_spec(spec)


@pytest.mark.parametrize("spec", ["01:30 Europe/Berlin", "19:30 America/New_York"])
def test_a_closing_time_whose_utc_date_jumps_with_daylight_saving_is_refused(spec):
    with pytest.raises(ClosingTimeError, match=r"daylight saving.*00:30 America/New_York"):
        check_spec(spec)


@pytest.mark.parametrize("spec", ["", "half past", "00:30", "24:30 UTC", "00:30 Mars/Olympus", "00:30 ../passwd"])
def test_a_closing_time_that_cannot_be_read_says_what_to_write(spec):
    with pytest.raises(ClosingTimeError, match="00:30 America/New_York"):
        check_spec(spec)


def test_an_hour_that_does_not_exist_is_the_first_one_after_it():
    # At 02:00 on 8 March 2026 the clocks of New York go to 03:00, which is 07:00 UTC.
    assert reader("America/New_York", hour=2).slot(day("2026-03-08")) == at("2026-03-08T07:00")


def test_of_an_hour_that_exists_twice_the_first_is_taken():
    # On 1 November 2026 it is 01:00 in New York at 05:00 and at 06:00 UTC.
    assert reader("America/New_York", hour=1).slot(day("2026-11-01")) == at("2026-11-01T05:00")


def test_a_zone_that_is_unknown_is_read_as_utc():
    assert reader("Mars/Olympus").slot(day("2026-07-01")) == at("2026-07-01T07:00")


def test_nobody_is_due_before_an_edition_is_closed():
    assert due(reader(), None, [], at("2026-07-01T07:00")) is None


def test_a_reader_is_due_from_their_hour_on():
    last = LastDigest(day("2026-06-30"), day("2026-06-30"))
    closed = editions("2026-06-25", 7)

    assert due(reader(), last, closed, at("2026-07-01T06:59")) is None
    expected = Due(day("2026-07-01"), day("2026-07-01"), day("2026-07-01"))
    assert due(reader(), last, closed, at("2026-07-01T07:00")) == expected
    assert due(reader(), last, closed, at("2026-07-01T23:59")) == expected


def test_a_digest_covers_every_edition_since_the_last_one_even_those_closed_since_the_hour():
    last = LastDigest(day("2026-06-28"), day("2026-06-28"))
    # The hour, 03:00, was for the edition of 30 June; by 05:00 the next has closed as well.
    found = due(reader(hour=3), last, editions("2026-06-20", 12), at("2026-07-01T05:00"))

    assert found == Due(day("2026-07-01"), day("2026-06-29"), day("2026-07-01"))


def test_an_edition_that_was_to_close_after_the_hour_makes_nobody_due():
    last = LastDigest(day("2026-06-30"), day("2026-06-30"))

    assert due(reader(hour=3), last, editions("2026-06-25", 7), at("2026-07-01T05:00")) is None


def test_at_most_eight_editions_are_covered():
    last = LastDigest(day("2026-05-01"), day("2026-05-01"))

    found = due(reader(), last, editions("2026-05-01", 62), at("2026-07-01T07:00"))

    assert found == Due(day("2026-07-01"), day("2026-06-24"), day("2026-07-01"))


def test_there_is_one_digest_per_local_date():
    last = LastDigest(day("2026-06-30"), day("2026-07-01"))

    assert due(reader(), last, editions("2026-06-25", 7), at("2026-07-01T09:00")) is None


def test_a_weekdays_reader_gets_nothing_at_the_weekend_and_three_editions_on_monday():
    friday = LastDigest(day("2026-07-03"), day("2026-07-03"))
    weekdays = reader(frequency="weekdays")

    assert due(weekdays, friday, editions("2026-06-25", 10), at("2026-07-04T12:00")) is None
    assert due(weekdays, friday, editions("2026-06-25", 11), at("2026-07-05T12:00")) is None
    found = due(weekdays, friday, editions("2026-06-25", 12), at("2026-07-06T07:00"))
    assert found == Due(day("2026-07-06"), day("2026-07-04"), day("2026-07-06"))


def test_a_weekly_reader_is_due_on_their_day_alone():
    last = LastDigest(day("2026-06-24"), day("2026-06-24"))
    weekly = reader(frequency="weekly", weekday=2)

    assert due(weekly, last, editions("2026-06-20", 11), at("2026-06-30T12:00")) is None
    found = due(weekly, last, editions("2026-06-20", 12), at("2026-07-01T07:00"))
    assert found == Due(day("2026-07-01"), day("2026-06-25"), day("2026-07-01"))


def test_the_local_date_is_the_readers_own():
    last = LastDigest(day("2026-06-29"), day("2026-06-30"))
    # 07:00 on 1 July on Kiritimati is 17:00 UTC on 30 June.
    found = due(reader("Pacific/Kiritimati"), last, editions("2026-06-25", 6), at("2026-06-30T17:00"))

    assert found == Due(day("2026-06-30"), day("2026-06-30"), day("2026-07-01"))


def test_a_reader_without_any_digest_is_due_at_once_from_the_newest_edition_that_holds_new_papers():
    closed = [*editions("2026-06-25", 4), *editions("2026-06-29", 2, new=0)]

    found = due(reader(hour=23), None, closed, at("2026-06-30T05:00"))

    assert found == Due(day("2026-06-30"), day("2026-06-28"), day("2026-06-30"), is_first=True)


def test_a_first_digest_without_any_new_paper_covers_the_newest_edition():
    found = due(reader(), None, editions("2026-06-25", 3, new=0), at("2026-06-27T05:00"))

    assert found == Due(day("2026-06-27"), day("2026-06-27"), day("2026-06-27"), is_first=True)


def test_a_reader_whose_delivery_came_too_late_does_not_wait_for_their_hour():
    last = LastDigest(day("2026-06-29"), day("2026-06-29"))

    found = due(reader(hour=23), last, editions("2026-06-25", 7), at("2026-07-01T04:31"), was_too_late=True)

    assert found == Due(day("2026-07-01"), day("2026-06-30"), day("2026-07-01"))


def test_a_reader_whose_delivery_came_too_late_waits_for_the_next_edition():
    last = LastDigest(day("2026-07-01"), day("2026-06-30"))

    assert due(reader(), last, editions("2026-06-25", 7), at("2026-07-01T09:00"), was_too_late=True) is None


def test_start_up_refuses_a_closing_time_that_cannot_be_used(settings):
    settings.EDITION_CLOSES_AT = "01:30 Europe/Berlin"

    [error] = [message for message in run_checks() if message.id == "newsletter.E001"]

    assert error.is_serious()
    assert "daylight saving" in error.msg
