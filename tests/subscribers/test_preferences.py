"""The link in a mail opens everything a reader may choose; saving keeps it, errors lose nothing."""

import datetime as dt
import html
import re

import pytest
import time_machine
from django.db import connection
from django.test import RequestFactory
from django.test.utils import CaptureQueriesContext

from subscribers.models import Interest, Subscriber
from subscribers.views import preferences
from tests.factories import make_subscriber

pytestmark = pytest.mark.django_db

NOW = dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)
ADDRESS = "/m/token/preferences"


@pytest.fixture(autouse=True)
def _clock():
    with time_machine.travel(NOW, tick=False):
        yield


def get(reader, query=""):
    return preferences(RequestFactory().get(ADDRESS + query), reader, ADDRESS)


def save(reader, **changes):
    data = {
        "interests": "diffusion models",
        "mutes": "",
        "trending_weight": "30",
        "paper_count": "10",
        "wants_trending": "on",
        "frequency": "daily",
        "weekday": "0",
        "hour": "7",
        "timezone": "UTC",
        "paused_until": "",
        "language": "en",
    }
    return preferences(RequestFactory().post(ADDRESS, data | changes), Subscriber.objects.get(pk=reader.pk), ADDRESS)


def page(answer):
    return answer.content.decode()


def test_the_page_shows_what_is_set_and_masks_the_address():
    reader = make_subscriber(
        email="ada.lovelace@example.org",
        interests=("diffusion models", "agents"),
        mutes=("surveys",),
        timezone="Europe/Berlin",
        hour=6,
        frequency="weekly",
        weekday=4,
    )
    reader.follows.filter(wording="agents").update(is_starred=True)

    text = page(get(reader))

    assert "diffusion models\n* agents</textarea>" in text
    assert "surveys</textarea>" in text
    assert 'value="Europe/Berlin"' in text
    assert '<option value="6" selected>06:00</option>' in text
    assert '<option value="4" selected>Friday</option>' in text
    assert re.search(r'value="weekly"[^>]*checked', text)
    assert "lovelace" not in text
    assert "a…@example.org" in text


def test_saving_keeps_everything_and_says_so():
    reader = make_subscriber()

    answer = save(
        reader,
        interests="* diffusion models\nrobot -surgery",
        mutes="surveys",
        trending_weight="80",
        paper_count="5",
        wants_trending="",
        wants_trending_if_no_match="on",
        frequency="weekdays",
        weekday="3",
        hour="22",
        timezone="America/New_York",
        wants_late_notice="on",
    )

    assert (answer.status_code, answer["Location"]) == (303, f"{ADDRESS}?saved")
    reader.refresh_from_db()
    assert [(row.wording, row.is_starred, row.is_muted) for row in reader.follows.all()] == [
        ("diffusion models", True, False),
        ("robot -surgery", False, False),
        ("surveys", False, True),
    ]
    assert (reader.trending_weight, reader.paper_count, reader.wants_trending) == (80, 5, False)
    assert (reader.wants_trending_if_no_match, reader.wants_late_notice) == (True, True)
    assert (reader.frequency, reader.weekday, reader.hour, reader.timezone) == ("weekdays", 3, 22, "America/New_York")
    assert 'role="status"' in page(get(reader, "?saved"))
    assert 'role="status"' not in page(get(reader))


def test_what_is_shown_can_be_saved_as_it_is():
    reader = make_subscriber(interests=("diffusion models", "agents"), mutes=("surveys",))
    before = list(reader.follows.values_list("wording", "is_starred", "is_muted", "weight"))

    save(reader, interests="diffusion models\r\nagents", mutes="surveys")

    assert list(reader.follows.values_list("wording", "is_starred", "is_muted", "weight")) == before


def test_an_interest_that_nobody_follows_any_more_is_forgotten():
    reader = make_subscriber(interests=("a secret of mine",))

    save(reader, interests="agents")

    assert [row.canonical for row in Interest.objects.all()] == ["agent"]


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"interests": 'agents\nfoo "bar'}, "Line 2, “foo &quot;bar”, at “&quot;bar”"),
        ({"mutes": "-only"}, "Line 1, “"),
        ({"interests": "surveys", "mutes": "Surveys"}, "is an interest too"),
        (
            {"interests": "\n".join(f"topic {n}" for n in range(40)), "mutes": "\n".join(f"m {n}" for n in range(11))},
            "50",
        ),
        ({"timezone": "Mars/Olympus"}, "Europe/Berlin"),
        ({"paper_count": "26"}, "25"),
        ({"paper_count": ""}, "required"),
        ({"trending_weight": "101"}, "100"),
        ({"hour": "24"}, "valid choice"),
        ({"paused_until": "2026-07-01"}, "a day after today"),
        ({"paused_until": "soon"}, "valid date"),
    ],
)
def test_an_error_changes_nothing_keeps_what_was_typed_and_says_what_to_do(changes, remedy):
    reader = make_subscriber(interests=("robots",))
    before = Subscriber.objects.values().get()

    answer = save(reader, **changes)

    assert answer.status_code == 422
    assert remedy in page(answer)
    assert 'role="alert"' in page(answer)
    assert Subscriber.objects.values().get() == before
    assert [row.wording for row in reader.follows.all()] == ["robots"]


def test_a_pause_ends_with_an_empty_date():
    reader = make_subscriber()

    save(reader, paused_until="2026-07-20")
    reader.refresh_from_db()
    assert (reader.state, reader.paused_until) == ("paused", dt.date(2026, 7, 20))
    assert 'value="2026-07-20"' in page(get(reader))

    save(reader, paused_until="")
    reader.refresh_from_db()
    assert (reader.state, reader.paused_until) == ("active", None)


def test_the_day_after_today_is_told_by_the_readers_own_calendar():
    reader = make_subscriber(timezone="Pacific/Kiritimati")  # the 2nd already

    assert save(reader, paused_until="2026-07-02").status_code == 422
    assert save(reader, paused_until="2026-07-03").status_code == 303


def test_a_pause_that_is_over_does_not_stand_in_the_way_of_saving():
    reader = make_subscriber(state="paused", paused_until=dt.date(2026, 6, 30))

    assert "2026-06-30" not in page(get(reader))


@pytest.mark.parametrize("state", ["unsubscribed", "pending"])
def test_an_old_link_brings_nobody_back(state):
    reader = make_subscriber(state=state)

    for answer in (get(reader), save(reader)):
        assert answer.status_code == 410
        assert 'action="/subscribe"' in page(answer)
    reader.refresh_from_db()
    assert reader.state == state


def test_who_unsubscribes_while_the_form_is_saved_stays_unsubscribed():
    reader = make_subscriber()
    opened = Subscriber.objects.get(pk=reader.pk)
    Subscriber.objects.filter(pk=reader.pk).update(state="unsubscribed", unsubscribed_at=NOW)
    data = {"interests": "", "mutes": "", "trending_weight": "30", "paper_count": "10", "frequency": "daily"}
    data |= {"weekday": "0", "hour": "7", "timezone": "UTC", "paused_until": ""}

    preferences(RequestFactory().post(ADDRESS, data), opened, ADDRESS)

    reader.refresh_from_db()
    assert reader.state == "unsubscribed"


def test_the_page_is_kept_by_nobody_and_leads_out():
    reader = make_subscriber()
    answer = get(reader)

    assert answer["Cache-Control"] == "private, no-store"
    assert answer["Referrer-Policy"] == "no-referrer"
    assert f'action="/u/{reader.unsubscribe_token}"' in page(answer)
    assert f'action="{ADDRESS}"' in page(answer)


def test_every_box_has_a_label_and_a_hint_that_exist():
    text = page(save(make_subscriber(), interests='"', paper_count="99", paused_until="x"))
    ids = re.findall(r'\bid="([^"]+)"', text)

    assert len(ids) == len(set(ids))
    for box in re.findall(r"<(?:input|select|textarea)\b[^>]*>", text):
        if "aria-label=" in box:
            continue  # the search in the page's head
        (name,) = re.findall(r'\bid="([^"]+)"', box)
        assert f'<label for="{name}">' in text
        for described in re.findall(r'aria-describedby="([^"]+)"', box):
            assert set(described.split()) <= set(ids)


def test_the_number_of_queries_does_not_grow_with_the_interests(django_assert_num_queries):
    few = make_subscriber(interests=("one",))
    many = make_subscriber(interests=tuple(f"topic {n}" for n in range(50)))

    with CaptureQueriesContext(connection) as captured:
        get(few)
    with django_assert_num_queries(len(captured)):
        get(many)


@pytest.mark.parametrize(
    ("field", "line", "message"),
    [
        ("interests", "robot foo:bar", "Line 1, “robot foo:bar”, at “foo:bar”: “foo:” is no field"),
        ("interests", "foo:bar robot", "Line 1, “foo:bar robot”: “foo:” is no field"),
        ("interests", "\u202erobot OR", "Line 1, “robot OR”, at “OR”: Write what to look for on both sides"),
        ("interests", "robots " * 40, "…”, at “ts robots robots robots robots…”: A line has at most 200 characters."),
        ("mutes", "robot OR like:2401.12345", "at “like:2401.12345”: Nothing is hidden because it is like"),
    ],
)
def test_a_line_that_cannot_be_read_is_shown_with_the_place(field, line, message):
    text = html.unescape(page(save(make_subscriber(), **{field: line})))

    assert text.count(message) == 2  # in the summary and beside the field
