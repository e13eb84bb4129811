"""Storing a day's list, against the loop of ``update_or_create`` that one would write first."""

import datetime as dt
import sys
from typing import Any

import django
from django.core.management import call_command
from django.db import transaction

from papers.records import PaperRecord
from tests.benchmarks.measure import ROUNDS, Figure, in_turns, one_core, report

PAPERS = {"small": 200, "full": 1_500}
NOW = dt.datetime(2026, 7, 1, 9, 30, tzinfo=dt.UTC)
DATE = NOW.date()


def records(month: int, count: int) -> list[PaperRecord]:
    """Return a list of papers that only ``month``, 0101 to 9912, has."""
    return [
        PaperRecord(
            arxiv_id=f"{month:04d}.{n:05d}",
            title=f"A paper for a benchmark, number {n} of {month}",
            abstract="We measure how long it takes to store this abstract, and nothing else. " * 15,
            authors=tuple(f"Author {m} Example" for m in range(7)),
            organisation="Example",
            submitted_on=DATE,
            keywords=tuple(f"keyword {m}" for m in range(10)),
            code_url="https://code.example.org/made/up",
            upvotes=n % 50,
            comment_count=1,
            github_stars=n,
        )
        for n in range(1, count + 1)
    ]


def store_one_by_one(day: list[PaperRecord]) -> None:
    from papers.models import Listing, Paper, Snapshot  # noqa: PLC0415 - models exist after setup()

    with transaction.atomic():
        for record in day:
            paper, _ = Paper.objects.update_or_create(
                arxiv_id=record.arxiv_id,
                defaults={
                    "title": record.title,
                    "abstract": record.abstract,
                    "authors": list(record.authors),
                    "organisation": record.organisation,
                    "submitted_on": record.submitted_on,
                    "keywords": list(record.keywords),
                    "code_url": record.code_url,
                    "upvotes": record.upvotes,
                    "comment_count": record.comment_count,
                    "github_stars": record.github_stars,
                    "counted_at": NOW,
                },
            )
            list_row: dict[str, Any] = {"paper": paper, "source": "huggingface", "list_date": DATE}
            Listing.objects.update_or_create(**list_row, defaults={"stored_at": NOW})
            moment: dict[str, Any] = {"paper": paper, "source": "huggingface", "taken_at": NOW}
            Snapshot.objects.update_or_create(**moment, defaults={"upvotes": record.upvotes or 0})


def main(size: str) -> None:
    """Store lists of papers seen for the first time; every round and side has papers of its own."""
    one_core()
    django.setup()
    call_command("migrate", verbosity=0)
    from papers.ingest import store  # noqa: PLC0415 - models exist after setup()

    ours, peers = ([records(month + n, PAPERS[size]) for n in range(ROUNDS)] for month in (101, 201))
    seconds, loop = in_turns(
        lambda number: store("huggingface", ours[number], DATE, NOW),
        lambda number: store_one_by_one(peers[number]),
    )
    report(
        Figure(
            name="ingest",
            size=f"{PAPERS[size]} papers",
            peer="a loop of update_or_create in one transaction",
            peer_version=f"Django {django.get_version()}",
            ratio=loop / seconds,
            seconds=seconds,
            peer_seconds=loop,
        )
    )


if __name__ == "__main__":
    main(sys.argv[1])
