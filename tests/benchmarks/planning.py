"""Planning an edition for many readers, beside a loop that writes reader by reader; and looking in vain."""

import datetime as dt
import random
import resource
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import django
from django.core.management import call_command
from django.db import connection

from tests.benchmarks.measure import ROUNDS, one_core, report

if TYPE_CHECKING:
    from newsletter.contents import Content
    from newsletter.schedule import Due
    from subscribers.models import Subscriber

READERS = {"small": 1_500, "full": 1_000_000}
CHOSEN = {"small": 100, "full": 20_000}
INTERESTS, FOLLOWED, LOOPED = 500, 2, 100
PARTS = ROUNDS
DATE = dt.date(2026, 7, 8)
LONG_AGO = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
NOW = dt.datetime.combine(DATE, dt.time(12), tzinfo=dt.UTC)

FOLLOW = """
INSERT INTO subscribers_follow (subscriber_id, interest_id, wording, weight, is_starred, is_muted, created_at)
SELECT s.id, i.id, i.canonical, 1, false, false, now() FROM subscribers_subscriber s
CROSS JOIN generate_series(1, %s) AS k
JOIN (SELECT *, row_number() OVER (ORDER BY id) AS number FROM subscribers_interest) i
    ON i.number = (s.id * 7919 + k * 104729) %% %s + 1
ON CONFLICT DO NOTHING
"""
# Copies of one row, so that no column has to be known here that the benchmark is not about.
MORE_READERS = """
INSERT INTO subscribers_subscriber SELECT copy.* FROM subscribers_subscriber s, generate_series(2, %s) AS n,
    LATERAL jsonb_populate_record(s, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('subscribers_subscriber', 'id')), 'email', 'reader' || n || '@example.org',
        'unsubscribe_token', 'u' || n, 'feed_token', 'f' || n)) AS copy
WHERE s.id = %s
"""
HISTORY = """
INSERT INTO newsletter_delivery SELECT copy.* FROM newsletter_delivery d, subscribers_subscriber s,
    LATERAL jsonb_populate_record(d, jsonb_build_object(
        'id', nextval(pg_get_serial_sequence('newsletter_delivery', 'id')), 'subscriber_id', s.id,
        'edition_id', %s::bigint, 'local_date', %s::date, 'covers_from', %s::date, 'token', %s || s.id)) AS copy
WHERE d.id = %s AND s.id NOT IN (SELECT subscriber_id FROM newsletter_delivery WHERE edition_id = %s)
"""


@dataclass(frozen=True, slots=True)
class PlanningFigure:
    """Rates of one planner on one core and ``peak_mib`` of its process.

    ``rows_per_second``: who is due, rows and picks, with what each digest holds given. The choosing is
    a benchmark of its own and is part of ``whole_per_second``, over fewer readers. ``cpu_us`` and
    ``database_us`` are the processor time of a row, ours and PostgreSQL's, whatever else the machine does; the
    latter is 0 where its process cannot be seen. The two looks are among readers who all have their rows.
    """

    name: str
    size: str
    peer: str
    peer_version: str
    ratio: float
    rows_per_second: float
    peer_rows_per_second: float
    whole_per_second: float
    cpu_us: float
    database_us: float
    peak_mib: float
    full_look_in_vain_seconds: float
    minutes_look_in_vain_seconds: float


def fill(readers: int) -> int:
    """Make an edition of papers, interests, and readers, each of whom had yesterday's digest; return one of those."""
    from papers.query import VERSION, parse  # noqa: PLC0415 - models exist after setup()
    from subscribers.models import Interest  # noqa: PLC0415
    from tests.benchmarks import morning  # noqa: PLC0415
    from tests.factories import make_delivery, make_edition, make_subscriber  # noqa: PLC0415

    draw = random.Random(1)
    morning.make_edition(morning.make_papers(draw))
    queries = sorted({parse(morning.words(draw, 2)).canonical for _ in range(INTERESTS)})
    Interest.objects.bulk_create(Interest(canonical=query, version=VERSION) for query in queries)
    reader = make_subscriber(state="paused", confirmed_at=LONG_AGO, hour=6)
    had = make_delivery(
        make_edition(DATE - dt.timedelta(days=1)), reader, state="accepted", accepted_at=NOW, chunk=None
    )
    with connection.cursor() as cursor:
        cursor.execute(MORE_READERS, [readers, reader.pk])
        cursor.execute(FOLLOW, [FOLLOWED, len(queries)])
    have(had.edition_id, had.local_date, had.pk)
    return had.pk


def have(edition_id: int, date: dt.date, like: int) -> None:
    """Give everybody without a row in the edition one that is like another."""
    with connection.cursor() as cursor:
        cursor.execute(HISTORY, [edition_id, date, date, f"{edition_id}-", like, edition_id])
        cursor.execute("VACUUM ANALYZE")


def wake(part: int, at_most: int | None = None) -> None:
    """Make the readers of a part active, and nobody else."""
    with connection.cursor() as cursor:
        cursor.execute("UPDATE subscribers_subscriber SET state = 'paused' WHERE state = 'active'")
        cursor.execute(
            "UPDATE subscribers_subscriber SET state = 'active' WHERE id IN"
            " (SELECT id FROM subscribers_subscriber WHERE id %% %s = %s LIMIT %s)",
            [PARTS, part, at_most],
        )
        cursor.execute("ANALYZE subscribers_subscriber")


class Given:
    """Stands for the choosing: ten papers, seven of them with a sentence that says why, the same for everybody."""

    def __init__(self, paper_ids: Sequence[int]) -> None:
        from newsletter.contents import Content  # noqa: PLC0415
        from subscribers.selection import Pick, Selection, Why  # noqa: PLC0415

        why = (Why("diffusion models", "abstract", "A sentence of the usual length, " * 4, ((2, 10), (20, 30))),)
        shown = [
            Pick(pk, "for_you" if n < 7 else "trending", 0.5, 1.0, why if n < 7 else ())
            for n, pk in enumerate(paper_ids)
        ]
        self.content = Content(selection=Selection(picks=tuple(shown), considered=60, matched=9, muted=0))

    def __call__(self, book: object, batch: Iterable[tuple["Subscriber", "Due"]]) -> dict[int, "Content"]:  # noqa: ARG002
        return {reader.pk: self.content for reader, _ in batch}


def plan_one_by_one(content: "Content") -> int:
    """Write for some readers as one would write it first; return how many."""
    from newsletter.contents import Book  # noqa: PLC0415
    from newsletter.due import due_readers  # noqa: PLC0415
    from newsletter.editions import newest_closed  # noqa: PLC0415
    from newsletter.models import Delivery, DeliveryPicks  # noqa: PLC0415
    from newsletter.planning import _picks, _row  # noqa: PLC0415

    edition = newest_closed()
    assert edition is not None
    for reader, due in islice(due_readers(Book(edition).editions, NOW), LOOPED):
        delivery = Delivery.objects.create(edition=edition, subscriber=reader, **_row(due, content))
        DeliveryPicks.objects.create(delivery=delivery, **_picks(content, is_first=due.is_first))
    return LOOPED


def look(*, is_full: bool) -> float:
    """Return the seconds of a planner that finds nobody, among readers who are all active."""
    from newsletter.editions import newest_closed  # noqa: PLC0415
    from newsletter.planning import plan  # noqa: PLC0415

    edition = newest_closed()
    assert edition is not None
    started = time.perf_counter()
    assert plan(edition, NOW + dt.timedelta(minutes=1), is_full=is_full).pending == 0
    return time.perf_counter() - started


def database_cpu_s() -> float:
    """Return the processor time of the process that serves us, 0 where it is on another machine."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_backend_pid()")
        (pid,) = cursor.fetchone()
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    return 0.0


@dataclass(frozen=True, slots=True)
class Round:
    """Rows a second, and the microseconds of processor time of a row: ours, the database's."""

    rate: float
    cpu_us: float
    database_us: float


def measured(work: Callable[[], int]) -> Round:
    clock, ours, theirs = time.perf_counter(), time.process_time(), database_cpu_s()
    rows = work()
    spent = time.process_time() - ours, database_cpu_s() - theirs
    return Round(rows / (time.perf_counter() - clock), *(1e6 * seconds / rows for seconds in spent))


def main(size: str) -> None:
    one_core()
    django.setup()
    call_command("migrate", verbosity=0)
    from newsletter import planning  # noqa: PLC0415
    from newsletter.editions import newest_closed  # noqa: PLC0415

    like = fill(READERS[size])
    edition = newest_closed()
    assert edition is not None
    wake(PARTS - 1, at_most=CHOSEN[size])
    whole = measured(lambda: planning.plan(edition, NOW).pending)
    given = Given(list(edition.papers.values_list("paper", flat=True)[:10]))
    setattr(planning, "contents", given)  # noqa: B010 - what is given is not measured
    ours, loops = [], []
    for number in range(ROUNDS):
        # Waking the readers of a round is not what is measured.
        wake(number)
        loops.append(measured(lambda: plan_one_by_one(given.content)))
        ours.append(measured(lambda: planning.plan(edition, NOW).pending))
    middle, peers = (sorted(rounds, key=lambda each: each.rate)[ROUNDS // 2] for rounds in (ours, loops))
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with connection.cursor() as cursor:
        cursor.execute("UPDATE subscribers_subscriber SET state = 'active'")
    have(edition.pk, DATE, like)
    report(
        PlanningFigure(
            name="planning",
            size=f"{READERS[size]} readers, two of {INTERESTS} interests each",
            peer="create two rows, reader by reader",
            peer_version="same code",
            ratio=middle.rate / peers.rate,
            rows_per_second=middle.rate,
            peer_rows_per_second=peers.rate,
            whole_per_second=whole.rate,
            cpu_us=middle.cpu_us,
            database_us=middle.database_us,
            peak_mib=peak_kib / 1024,
            full_look_in_vain_seconds=look(is_full=True),
            minutes_look_in_vain_seconds=look(is_full=False),
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
