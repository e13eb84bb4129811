"""Who is due, over all readers: the cost of a reader must not grow with their number."""

import datetime as dt
import random
import sys

from newsletter.schedule import ClosedEdition, LastDigest, ReaderSchedule, due
from tests.benchmarks.measure import Figure, in_turns, one_core, report

READERS = {"small": 50_000, "full": 1_000_000}
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Asia/Kolkata", "Australia/Lord_Howe")
NOW = dt.datetime(2026, 7, 1, 9, 30, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
EDITIONS = [ClosedEdition(at.date(), at, 20) for at in (NOW.replace(hour=4) - days * DAY for days in range(8, -1, -1))]


def readers(number: int) -> list[tuple[ReaderSchedule, LastDigest]]:
    """Return readers of all kinds who got yesterday's digest."""
    draw = random.Random(1)
    yesterday = LastDigest(NOW.date() - DAY, NOW.date() - DAY)
    return [
        (
            ReaderSchedule(
                timezone=draw.choice(ZONES),
                frequency=draw.choice(["daily", "weekdays", "weekly"]),
                weekday=draw.randrange(7),
                hour=draw.randrange(24),
            ),
            yesterday,
        )
        for _ in range(number)
    ]


def main(size: str) -> None:
    one_core()
    many = readers(READERS[size])
    few = many[: len(many) // 10]

    def count_due(of: list[tuple[ReaderSchedule, LastDigest]]) -> int:
        return sum(due(schedule, last, EDITIONS, NOW) is not None for schedule, last in of)

    seconds, tenth = in_turns(lambda _: count_due(many), lambda _: count_due(few))
    report(
        Figure(
            name="due",
            size=f"{len(many)} readers",
            peer="ten times the time of a tenth of the readers",
            peer_version="same code",
            ratio=10 * tenth / seconds,
            seconds=seconds,
            peer_seconds=tenth,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
