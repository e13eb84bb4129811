"""Who gets a row, with which picks, or why without a mail."""

import datetime as dt
import gc
import re
from types import SimpleNamespace
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from newsletter.models import Delivery, Edition, EditionPaper
from newsletter.planning import LOOKS, is_under_way, plan
from papers.models import Paper
from subscribers.models import Interest, Subscriber
from subscribers.votes import vote
from tests.factories import make_delivery, make_digest, make_edition, make_paper, make_subscriber

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)  # a Wednesday
DAY = dt.timedelta(days=1)
SEVEN = dt.datetime(2026, 7, 8, 7, tzinfo=dt.UTC)


def edition_of(*titles: str, date: dt.date = D, **fields) -> Edition:
    papers = tuple(make_paper(title=title) for title in titles)
    return make_edition(date, papers=papers, **fields)


def had(reader: Subscriber, edition: Edition, **fields) -> Delivery:
    """The reader had the digest of an edition on its day."""
    values: dict[str, Any] = {"state": "accepted", "accepted_at": timezone.now()} | fields
    return make_digest(edition, reader, **values)


def row(reader: Subscriber) -> Delivery:
    return Delivery.objects.get(subscriber=reader, edition__date=D)


def why_skipped(reader: Subscriber) -> str:
    delivery = row(reader)
    assert delivery.state == "skipped"
    return delivery.reason


def titles(reader: Subscriber) -> list[str]:
    papers = {paper.paper_id: paper.paper.title for paper in EditionPaper.objects.select_related("paper")}
    return [papers[paper_id] for paper_id in row(reader).picks.paper_ids]


def test_a_new_reader_gets_a_pending_row_in_a_chunk():
    edition = edition_of("Diffusion models for weather", "Robots that fold towels")
    reader = make_subscriber(interests=("diffusion models",))

    planned = plan(edition, SEVEN)

    delivery = row(reader)
    assert (delivery.state, delivery.local_date, delivery.covers_from) == ("pending", D, D)
    assert planned.chunk_ids == [delivery.chunk_id]
    assert (planned.pending, planned.skipped) == (1, {})
    assert titles(reader) == ["Diffusion models for weather", "Robots that fold towels"]
    assert [pick["section"] for pick in delivery.picks.details] == ["for_you", "trending"]
    [why] = delivery.picks.details[0]["why"]
    assert (why["interest"], why["field"]) == ("diffusion models", "title")
    assert delivery.picks.counts == {"considered": 2, "matched": 1, "muted": 0, "sent_before": 0, "is_first": True}
    edition.refresh_from_db()
    assert edition.state == "sending"


def test_planning_again_adds_nothing():
    edition = edition_of("Robots")
    make_subscriber(interests=("robots",))
    plan(edition, SEVEN)

    planned = plan(edition, SEVEN)

    assert (planned.chunk_ids, planned.pending) == ([], 0)
    assert Delivery.objects.count() == 1


@pytest.mark.parametrize("state", ["pending", "paused", "unsubscribed"])
def test_who_is_not_active_gets_no_row(state):
    make_subscriber(state=state)

    plan(edition_of("Robots"), SEVEN)

    assert not Delivery.objects.exists()


def test_a_reader_waits_for_their_hour():
    yesterday = edition_of("Towels", date=D - DAY)
    reader = make_subscriber(hour=9)
    had(reader, yesterday)
    edition = edition_of("Robots")

    plan(edition, SEVEN)
    assert not edition.deliveries.exists()
    plan(edition, SEVEN + dt.timedelta(hours=2))
    assert row(reader).state == "pending"


def test_a_digest_covers_all_editions_since_the_last_one():
    edition_of("Towels", date=D - 2 * DAY)
    reader = make_subscriber(wants_trending_if_no_match=True)
    had(reader, make_edition(D - 3 * DAY))
    edition_of("Robots", date=D - DAY)
    edition = edition_of("Weather")
    for title, date in (("Towels", D - 2 * DAY), ("Robots", D - DAY)):
        earlier = EditionPaper.objects.get(paper__title=title)
        EditionPaper.objects.create(
            edition=edition, paper=earlier.paper, role="earlier", new_by=[], new_on=date, score=0.5, rank=9
        )

    plan(edition, SEVEN)

    assert row(reader).covers_from == D - 2 * DAY
    assert set(titles(reader)) == {"Towels", "Robots", "Weather"}


COUNTING = [
    *[{"state": state} for state in ("accepted", "delivered", "bounced", "complained", "unknown")],
    *[{"state": "skipped", "reason": reason} for reason in ("nothing_new", "no_match")],
]
NOT_COUNTING = [
    {"state": "failed", "error": "no such user"},
    *[
        {"state": "skipped", "reason": reason}
        for reason in ("paused", "unsubscribed", "suppressed", "too_late", "warm_up", "cancelled")
    ],
]


@pytest.mark.parametrize("ended", COUNTING)
def test_who_was_told_all_of_an_edition_gets_the_next_from_there_and_not_on_the_same_date(ended):
    readers = [make_subscriber(), make_subscriber()]
    before, last = make_edition(D - 3 * DAY), edition_of("Robots", date=D - DAY)
    for reader, local_date in zip(readers, (D - DAY, D), strict=True):
        had(reader, before)
        had(reader, last, **ended, local_date=local_date)
    edition = edition_of("Weather")

    plan(edition, SEVEN)

    assert row(readers[0]).covers_from == D
    assert not edition.deliveries.filter(subscriber=readers[1]).exists()


@pytest.mark.parametrize("ended", NOT_COUNTING)
def test_who_did_not_get_an_edition_gets_its_papers_with_the_next_even_on_the_same_date(ended):
    reader = make_subscriber()
    had(reader, make_edition(D - 2 * DAY))
    had(reader, edition_of("Robots", date=D - DAY), **ended, local_date=D)

    plan(edition_of("Weather"), SEVEN)

    assert row(reader).covers_from == D - DAY


def test_a_digest_of_long_ago_is_the_last_one_all_the_same():
    editions = [make_edition(D - n * DAY) for n in range(20, 0, -1)]
    regular, overtaken, late = make_subscriber(), make_subscriber(hour=23), make_subscriber(hour=23)
    for reader in (regular, overtaken, late):
        had(reader, editions[0])
    make_delivery(editions[1], overtaken, state="skipped", reason="too_late")
    edition = edition_of("Weather")

    plan(edition, SEVEN)

    assert row(regular).covers_from == row(overtaken).covers_from == D - 7 * DAY
    assert not row(regular).picks.counts["is_first"]
    assert not edition.deliveries.filter(subscriber=late).exists()


def test_an_earlier_paper_that_the_last_digest_covered_does_not_come_again():
    yesterday = edition_of("Robots", date=D - DAY)
    reader = make_subscriber(interests=("robots",))
    had(reader, yesterday, state="skipped", reason="no_match", accepted_at=None)
    edition = edition_of("Weather")
    EditionPaper.objects.create(
        edition=edition,
        paper=EditionPaper.objects.get(paper__title="Robots").paper,
        role="earlier",
        new_by=[],
        new_on=D - DAY,
        score=9,
        rank=9,
    )

    plan(edition, SEVEN)

    assert titles(reader) == ["Weather"]


@pytest.mark.parametrize("state", ["sending", "unknown", "accepted", "delivered", "bounced", "complained"])
def test_a_paper_that_was_or_may_have_been_sent_is_left_out_even_when_it_is_new_again(state):
    robots = make_paper(title="Robots")
    reader, unsent = make_subscriber(), make_subscriber()
    older = make_edition(D - 5 * DAY, papers=(robots,))
    had(reader, older, state=state)
    had(unsent, older, state="failed", error="no such user")
    other = make_subscriber()
    edition = make_edition(D, papers=(robots, make_paper(title="Weather")))

    plan(edition, SEVEN)

    assert titles(reader) == ["Weather"]
    assert titles(other) == titles(unsent) == ["Robots", "Weather"]


def test_hidden_and_withdrawn_papers_are_left_out():
    edition = make_edition(
        D,
        papers=(
            make_paper(title="Hidden", is_hidden=True),
            make_paper(title="Withdrawn", is_withdrawn=True),
            make_paper(title="Robots"),
        ),
    )
    reader = make_subscriber()

    plan(edition, SEVEN)

    assert titles(reader) == ["Robots"]


# Why not ----------------------------------------------------------------------------------------


def test_a_reader_without_a_match_who_wants_no_other_papers_is_skipped():
    reader = make_subscriber(interests=("towels",), wants_trending_if_no_match=False)

    planned = plan(edition_of("Robots"), SEVEN)

    assert why_skipped(reader) == "no_match"
    assert planned.skipped == {"no_match": 1}
    assert planned.chunk_ids == []


def test_a_day_without_new_papers_by_the_calendar_is_skipped():
    reader = make_subscriber()

    plan(make_edition(D, coverage=[note("empty")]), SEVEN)

    assert why_skipped(reader) == "nothing_new"


def note(status: str) -> dict[str, object]:
    return {"source": "huggingface", "list_dates": ["2026-07-07"], "status": status, "new": 0, "fetched_at": ""}


def test_a_failed_source_is_said_in_a_short_mail():
    reader = make_subscriber()

    plan(make_edition(D, coverage=[note("failed")]), SEVEN)

    assert row(reader).state == "pending"
    assert row(reader).picks.form == "source_late"
    assert row(reader).picks.paper_ids == []


def test_a_failed_source_is_not_said_to_who_does_not_want_it():
    reader = make_subscriber(wants_late_notice=False)

    plan(make_edition(D, coverage=[note("failed")]), SEVEN)

    assert why_skipped(reader) == "nothing_new"


def test_a_failure_is_said_once_however_many_days_it_lasts():
    told, untold = make_subscriber(), make_subscriber()
    first = make_edition(D - 2 * DAY, coverage=[note("failed")])
    for reader, state in ((told, "accepted"), (untold, "failed")):
        delivery = had(reader, first, state=state, error="x")
        delivery.picks.form = "source_late"
        delivery.picks.save()
    make_edition(D - DAY, coverage=[note("failed")])
    edition = make_edition(D, coverage=[note("failed")])

    plan(edition, SEVEN)

    assert why_skipped(told) == "nothing_new"
    assert row(untold).picks.form == "source_late"


def test_another_failure_after_a_good_day_is_said_again():
    reader = make_subscriber()
    delivery = had(reader, make_edition(D - 2 * DAY, coverage=[note("failed")]))
    delivery.picks.form = "source_late"
    delivery.picks.save()
    had(reader, edition_of("Robots", date=D - DAY))

    plan(make_edition(D, coverage=[note("failed")]), SEVEN)

    assert row(reader).picks.form == "source_late"


def test_where_there_are_papers_a_failed_source_does_not_change_the_digest():
    reader = make_subscriber()

    plan(edition_of("Robots", coverage=[note("failed")]), SEVEN)

    assert row(reader).picks.form == "digest"


def test_the_readers_of_a_cancelled_edition_have_a_row_that_says_so():
    reader = make_subscriber()

    plan(edition_of("Robots", state="cancelled"), SEVEN)

    assert why_skipped(reader) == "cancelled"


def test_the_papers_of_a_cancelled_edition_come_with_the_next():
    cancelled = edition_of("Robots", date=D - DAY, state="cancelled")
    reader = make_subscriber()
    had(reader, make_edition(D - 2 * DAY))
    had(reader, cancelled, state="skipped", reason="cancelled", accepted_at=None)

    plan(edition_of("Weather"), SEVEN)

    assert row(reader).covers_from == D - DAY


def test_an_interest_that_cannot_be_read_is_that_readers_failure():
    edition = edition_of("Robots")
    broken, fine = make_subscriber(interests=("robots",)), make_subscriber()
    Interest.objects.filter(follows__subscriber=broken).update(canonical='"never closed')

    planned = plan(edition, SEVEN)

    assert (row(broken).state, row(fine).state) == ("failed", "pending")
    assert "no digest could be chosen" in row(broken).error
    assert planned.failed == 1


def test_thumbs_move_what_is_like_the_paper_they_were_for_and_a_thumb_down_keeps_the_paper_away():
    edition = edition_of("Robots that dance", "Robots that grasp fruit", "Robots that sleep")
    asleep = Paper.objects.get(title="Robots that sleep")
    dancer, grasper = [make_subscriber(interests=("robots",), trending_weight=0) for _ in range(2)]
    vote(dancer, make_paper(title="On how to dance"), is_up=True)
    vote(grasper, make_paper(title="On how to grasp fruit"), is_up=True)
    vote(grasper, asleep, is_up=False)

    plan(edition, SEVEN)

    first, second = [Paper.objects.in_bulk(row(reader).picks.paper_ids) for reader in (dancer, grasper)]
    assert first[row(dancer).picks.paper_ids[0]].title == "Robots that dance"
    assert second[row(grasper).picks.paper_ids[0]].title == "Robots that grasp fruit"
    assert asleep.pk in first
    assert asleep.pk not in second


# Older editions ---------------------------------------------------------------------------------


def test_what_is_open_when_a_newer_edition_is_planned_ends_as_too_late_and_the_reader_is_due_at_once():
    reader = make_subscriber(hour=23)
    had(reader, make_edition(D - 2 * DAY))
    missed = make_digest(edition_of("Robots", date=D - DAY), reader)
    edition = edition_of("Weather")

    plan(edition, SEVEN)

    missed.refresh_from_db()
    assert (missed.state, missed.reason) == ("skipped", "too_late")
    assert row(reader).state == "pending"
    assert row(reader).covers_from == D - DAY


def test_an_older_edition_is_done_when_none_of_its_deliveries_can_change_by_itself():
    older = edition_of("Robots", date=D - DAY, state="sending")
    make_digest(older, state="unknown")
    busy = edition_of("Towels", date=D - 2 * DAY, state="sending")
    make_digest(busy, state="sending")

    plan(edition_of("Weather"), SEVEN)

    states = dict(Edition.objects.values_list("date", "state"))
    assert (states[older.date], states[busy.date]) == ("done", "sending")


def test_an_edition_that_a_newer_one_overtook_is_not_planned():
    make_subscriber()
    older = edition_of("Robots", date=D - DAY)
    make_edition(D)

    assert plan(older, SEVEN).chunk_ids == []
    assert not Delivery.objects.exists()


def test_a_reader_whose_pause_is_over_gets_one_digest_of_what_was_missed():
    reader = make_subscriber(state="paused", paused_until=D)
    had(reader, make_edition(D - 4 * DAY))
    for days in (3, 2, 1):
        edition_of("Robots", date=D - days * DAY)

    plan(edition_of("Weather"), SEVEN)

    assert row(reader).covers_from == D - 3 * DAY


def test_a_zone_that_is_unknown_stops_no_planner_and_ends_a_pause_by_utc():
    readers = [make_subscriber(state=state, paused_until=until) for state, until in (("paused", D), ("active", None))]
    Subscriber.objects.filter(state="paused").update(timezone="Atlantic/Atlantis")

    plan(edition_of("Robots"), SEVEN)

    assert [row(reader).state for reader in readers] == ["pending", "pending"]


# Size -------------------------------------------------------------------------------------------


def test_the_number_of_queries_does_not_grow_with_the_readers():
    edition = edition_of("Robots", "Weather")
    yesterday = edition_of("Towels", date=D - DAY)

    def queries(readers: int) -> int:
        Delivery.objects.all().delete()
        Subscriber.objects.all().delete()
        for _ in range(readers):
            had(make_subscriber(interests=("robots", "towels"), mutes=("weather",)), yesterday)
        with CaptureQueriesContext(
            connection,
        ) as captured:
            plan(edition, SEVEN)
        assert edition.deliveries.filter(state="pending").count() == readers
        return len(captured)

    queries(1)  # ends the edition before, which is done only once
    assert queries(3) == queries(30)


def test_no_query_lists_the_readers_one_by_one():
    edition = edition_of("Robots", "Weather")
    yesterday = edition_of("Towels", date=D - DAY)
    for _ in range(50):
        had(make_subscriber(interests=("robots",)), yesterday)

    with CaptureQueriesContext(connection) as captured:
        plan(edition, SEVEN)

    assert edition.deliveries.filter(state="pending").count() == 50
    reading = [query["sql"] for query in captured if "WHERE" in query["sql"] and "SELECT" in query["sql"][:8]]
    assert reading
    assert not [sql for sql in reading if re.search(r"IN \((\d+, ){20}", sql)]


@pytest.mark.parametrize("was_enabled", [True, False])
def test_garbage_is_collected_after_planning_if_it_was_before(was_enabled):
    make_subscriber()
    edition = edition_of("Robots")
    (gc.enable if was_enabled else gc.disable)()
    try:
        plan(edition, SEVEN)
        assert gc.isenabled() == was_enabled
    finally:
        gc.enable()


def test_readers_come_in_chunks(monkeypatch):
    monkeypatch.setattr("newsletter.planning.CHUNK_SIZE", 2)
    monkeypatch.setattr("newsletter.due.PAGE", 3)
    for _ in range(5):
        make_subscriber()
    edition = edition_of("Robots")

    planned = plan(edition, SEVEN)

    assert planned.pending == 5
    assert sorted(chunk.deliveries.count() for chunk in edition.chunks.all()) == [1, 2, 2]
    assert sorted(edition.chunks.values_list("number", flat=True)) == [1, 2, 3]


def test_a_chunk_is_noted_as_soon_as_it_is_planned(monkeypatch):
    monkeypatch.setattr("newsletter.planning.CHUNK_SIZE", 2)
    for _ in range(5):
        make_subscriber()
    edition = edition_of("Robots")
    planned_by_then = []

    planned = plan(edition, SEVEN, note=lambda _chunk_id: planned_by_then.append(edition.deliveries.count()))

    assert planned_by_then == [2, 4, 5]
    assert len(planned.chunk_ids) == 3


@pytest.fixture
def naps(monkeypatch):
    """Sleeps that take no time; what stands in ``naps.meanwhile`` happens in each."""
    naps = SimpleNamespace(slept=[], meanwhile=lambda: None)

    def sleep(seconds: float) -> None:
        naps.slept.append(seconds)
        naps.meanwhile()

    monkeypatch.setattr("time.sleep", sleep)
    return naps


def test_a_planner_is_at_work_while_rows_of_its_edition_come(naps):
    edition = edition_of("Robots")
    make_delivery(edition)
    naps.meanwhile = lambda: make_delivery(edition)

    assert is_under_way(edition)
    assert len(naps.slept) == 1


def test_where_young_rows_get_no_more_their_planner_has_ended(naps):
    edition = edition_of("Robots")
    make_delivery(edition)

    assert not is_under_way(edition)
    assert len(naps.slept) == LOOKS


def test_nobody_waits_for_a_planner_where_no_row_is_young(naps):
    edition, other = edition_of("Robots"), edition_of("Drones", date=D - DAY)
    assert not is_under_way(edition)
    make_delivery(other)
    assert not is_under_way(edition)
    make_delivery(edition)
    Delivery.objects.update(created_at=timezone.now() - dt.timedelta(seconds=11))
    assert not is_under_way(edition)

    assert naps.slept == []
