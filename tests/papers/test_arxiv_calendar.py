"""arXiv's announcements: Eastern days, a cut-off at 14:00, weekends and deferrals."""

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.sources.arxiv_calendar import EASTERN, list_date, opens_at, submitted_between, today, why_no_list


def eastern(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=EASTERN)


# 2026-08-24 is a Monday.
@pytest.mark.parametrize(
    ("submitted", "listed"),
    [
        ("2026-08-20T13:59:59", "2026-08-21"),  # Thursday before the cut-off: announced that evening
        ("2026-08-20T14:00:00", "2026-08-24"),  # Thursday after it: Sunday evening, Monday's list
        ("2026-08-21T13:59:59", "2026-08-24"),
        ("2026-08-21T14:00:00", "2026-08-25"),  # from Friday's cut-off on: Monday evening
        ("2026-08-22T09:00:00", "2026-08-25"),
        ("2026-08-23T23:59:59", "2026-08-25"),
        ("2026-08-24T13:59:59", "2026-08-25"),
        ("2026-08-24T14:00:00", "2026-08-26"),
        ("2026-08-26T03:00:00", "2026-08-27"),
    ],
)
def test_a_submission_comes_with_the_announcement_that_follows_it(submitted, listed):
    assert list_date(eastern(submitted)) == dt.date.fromisoformat(listed)


def test_the_cut_off_is_eastern_in_summer_and_in_winter():
    before, after = dt.datetime(2026, 7, 14, 17, 59, tzinfo=dt.UTC), dt.datetime(2026, 7, 14, 18, tzinfo=dt.UTC)
    assert (list_date(before), list_date(after)) == (dt.date(2026, 7, 15), dt.date(2026, 7, 16))

    before, after = dt.datetime(2026, 1, 13, 18, 59, tzinfo=dt.UTC), dt.datetime(2026, 1, 13, 19, tzinfo=dt.UTC)
    assert (list_date(before), list_date(after)) == (dt.date(2026, 1, 14), dt.date(2026, 1, 15))


def test_a_deferred_list_comes_with_the_next():
    # Thanksgiving, Thursday 26 November 2026, has no list: Tuesday's and Wednesday's papers are Friday's.
    assert list_date(eastern("2026-11-24T15:00:00")) == dt.date(2026, 11, 27)
    assert list_date(eastern("2026-11-25T15:00:00")) == dt.date(2026, 11, 27)
    assert submitted_between(dt.date(2026, 11, 26)) is None
    assert submitted_between(dt.date(2026, 11, 27)) == (
        dt.datetime(2026, 11, 24, 19, tzinfo=dt.UTC),
        dt.datetime(2026, 11, 26, 19, tzinfo=dt.UTC),
    )


@pytest.mark.parametrize(
    ("year", "days"),
    [
        (2023, ["01-16", "06-14", "06-19", "07-04", "09-04", "11-23", "12-25", "12-27"]),
        (2026, ["01-01", "01-19", "06-19", "07-03", "09-07", "11-26", "12-25", "12-29", "12-31"]),
    ],
)
def test_every_published_deferral_is_known(year, days):
    deferred = [dt.date(year, 1, 1) + dt.timedelta(days=n) for n in range(365)]
    deferred = [date for date in deferred if why_no_list(date) and date.weekday() < 5]

    published = {dt.date.fromisoformat(f"{year}-{day}") for day in days}
    # 1 January 2023 was a Sunday; the page that was read did not name the Monday after it.
    assert set(deferred) - {dt.date(2023, 1, 2)} == published


def test_an_empty_day_has_a_name():
    assert why_no_list(dt.date(2026, 8, 22)) == "the weekend"
    assert why_no_list(dt.date(2026, 11, 26)) == "Thanksgiving"
    assert why_no_list(dt.date(2026, 8, 25)) == ""


def test_a_feed_opens_at_eastern_midnight():
    assert opens_at(dt.date(2026, 8, 25)) == dt.datetime(2026, 8, 25, 4, tzinfo=dt.UTC)
    assert opens_at(dt.date(2026, 1, 13)) == dt.datetime(2026, 1, 13, 5, tzinfo=dt.UTC)
    assert today(dt.datetime(2026, 8, 25, 3, 59, tzinfo=dt.UTC)) == dt.date(2026, 8, 24)


# Its bounds must be naive: the time zone is added.
@given(st.datetimes(dt.datetime(1991, 8, 14), dt.datetime(2100, 1, 1), timezones=st.just(dt.UTC)))  # noqa: DTZ001
def test_the_windows_of_the_lists_share_every_moment_among_them(moment):
    date = list_date(moment)
    window = submitted_between(date)

    assert window is not None
    assert window[0] <= moment < window[1]
    assert moment < opens_at(date) < moment + dt.timedelta(days=9)


@given(st.dates(dt.date(1991, 8, 14), dt.date(2100, 1, 1)))
def test_consecutive_windows_leave_no_gap(date):
    window = submitted_between(date)
    following = date + dt.timedelta(days=1)
    while why_no_list(following):
        following += dt.timedelta(days=1)

    after = submitted_between(following)
    assert after is not None
    assert window is None or window[1] == after[0]
