"""A search over the archive, beside the same line as ``icontains`` and as bare full text of the same database.

The recorded papers are multiplied with changed ids. Each way answers a whole search: how many papers
there are, and the best twenty. ``icontains`` and full text take the line as words: what they find is
less than what a search finds, or ordered worse.
"""

import gzip
import json
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from typing import Any

import django
from django.core.management import call_command
from django.db import connection, transaction

from tests.benchmarks.measure import ROUNDS, Figure, one_core, report
from tests.conftest import missing, shared_data

PAPERS = {"small": 4_000, "full": 100_000}
QUERIES = {"small": 12, "full": 60}
SHOWN = 20
# What a person writes besides a topic.
WRITTEN = [
    "model", "language model", '"chain of thought"', "diffusion models -video", "LLM agents OR tool use",
    "title:survey reinforcement learning", "cat:cs.CL multilingual translation", "author:wang segmentation",
]  # fmt: skip


def recorded() -> Iterator[dict[str, Any]]:
    """Yield rows of papers without end: the recorded ones, again and again, with ids of their own."""
    folder = shared_data()
    assert folder is not None
    with gzip.open(folder / "arxiv" / "papers.jsonl.gz", "rt") as lines:
        papers = [json.loads(line) for line in lines]
    for number in count():
        paper = papers[number % len(papers)]
        yield {
            "arxiv_id": f"{number // 90_000 + 1001}.{number % 90_000 + 1:05d}",
            "title": " ".join(paper["title"].split()),
            "abstract": " ".join(paper["abstract"].split()),
            "authors": paper["authors"],
            "categories": paper["categories"],
        }


def fill(number: int) -> None:
    from papers import archive  # noqa: PLC0415 - models exist after setup()
    from papers.bulk import upsert  # noqa: PLC0415
    from papers.models import Paper  # noqa: PLC0415

    rows = recorded()
    for start in range(0, number, 1_000):
        with transaction.atomic():
            upsert(Paper, list(islice(rows, min(1_000, number - start))), unique="arxiv_id")
            archive.index_missing()
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")


def lines(number: int) -> list[str]:
    """Return ``number`` lines: what people write, and keywords of papers."""
    folder = shared_data()
    assert folder is not None
    texts = (folder / "relevance" / "hf_ai_keywords" / "queries.jsonl").read_text().splitlines()
    keywords = [json.loads(text)["text"] for text in texts]
    return [*WRITTEN, *random.Random(1).sample(keywords, number - len(WRITTEN))]


# The three ways -----------------------------------------------------------------------------------


def ours(line: str) -> int:
    from papers.search import search  # noqa: PLC0415

    return search(line, SHOWN).total


def by_icontains(line: str) -> int:
    from django.db.models import Q  # noqa: PLC0415

    from papers.models import Paper  # noqa: PLC0415

    words = line.replace('"', "")
    found = Paper.objects.visible().filter(Q(title__icontains=words) | Q(abstract__icontains=words))
    list(found.order_by("-pk")[:SHOWN])
    return found.count()


def by_bare_full_text(line: str) -> int:
    """Ask the engine for all of the line's words, in the engine's own order, as its manual shows it."""
    from papers.models import Paper  # noqa: PLC0415

    if connection.vendor == "sqlite":
        words = " ".join(f'"{word}"' for word in line.replace('"', "").split())
        held, rank = "papers_archive WHERE papers_archive MATCH %s", "SELECT rowid FROM {} ORDER BY rank LIMIT %s"
    else:
        words = line
        held = "papers_paperterms, plainto_tsquery('simple', %s) AS asked WHERE document @@ asked"
        rank = "SELECT paper_id FROM {} ORDER BY ts_rank(document, asked) DESC LIMIT %s"
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT count(*) FROM {held}", [words])  # noqa: S608
        total = int(cursor.fetchone()[0])
        cursor.execute(rank.format(held), [words, SHOWN])
        best = [row[0] for row in cursor.fetchall()]
    Paper.objects.in_bulk(best)
    return total


def p95(seconds: Sequence[float]) -> float:
    return statistics.quantiles(seconds, n=20)[-1]


def timed(ways: Sequence[Callable[[str], int]], asked: Sequence[str]) -> list[list[float]]:
    """Return, for each way, the median seconds of each line; the ways take turns at every line."""
    taken: list[list[list[float]]] = [[[] for _ in asked] for _ in ways]
    for _ in range(ROUNDS):
        for number, line in enumerate(asked):
            for way, rounds in zip(ways, taken, strict=True):
                started = time.perf_counter()
                way(line)
                rounds[number].append(time.perf_counter() - started)
    return [[statistics.median(rounds) for rounds in of_way] for of_way in taken]


def main(size: str) -> None:
    if remedy := missing("data"):
        print(f"search: {remedy}", file=sys.stderr)  # noqa: T201
        return
    one_core()
    django.setup()
    call_command("migrate", verbosity=0)
    fill(PAPERS[size])
    asked = lines(QUERIES[size])
    seconds, *peers = timed([ours, by_icontains, by_bare_full_text], asked)
    for peer, peer_seconds in zip(["icontains", "bare full text, words only"], peers, strict=True):
        report(
            Figure(
                name="search",
                size=f"p95 of {len(asked)} lines over {PAPERS[size]} papers",
                peer=peer,
                peer_version=f"Django {django.get_version()}",
                ratio=p95(peer_seconds) / p95(seconds),
                seconds=p95(seconds),
                peer_seconds=p95(peer_seconds),
            )
        )


if __name__ == "__main__":
    main(sys.argv[1])
