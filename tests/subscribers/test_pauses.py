"""A pause ends on the day that the reader named, by their own calendar."""

import datetime as dt

import pytest

from subscribers.models import Subscriber
from subscribers.signup import resume_due
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("timezone", "until", "is_over"),
    [
        ("UTC", dt.date(2026, 7, 1), True),
        ("UTC", dt.date(2026, 7, 2), False),
        ("Pacific/Kiritimati", dt.date(2026, 7, 2), True),  # UTC+14
        ("Pacific/Pago_Pago", dt.date(2026, 7, 1), True),  # UTC-11
        ("Pacific/Pago_Pago", dt.date(2026, 7, 2), False),
    ],
)
def test_a_pause_ends_by_the_readers_calendar(timezone, until, is_over):
    make_subscriber(state="paused", paused_until=until, timezone=timezone)

    assert resume_due(NOW) == is_over

    reader = Subscriber.objects.get()
    assert (reader.state, reader.paused_until) == (("active", None) if is_over else ("paused", until))


def test_a_pause_without_an_end_goes_on():
    make_subscriber(state="paused", paused_until=None)

    assert resume_due(NOW) == 0


def test_who_left_is_not_woken():
    make_subscriber(state="unsubscribed", paused_until=dt.date(2026, 6, 1))

    assert resume_due(NOW) == 0
