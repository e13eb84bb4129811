"""All distinct interests against a day's papers at once, beside one interest after the other; and the picks' evidence.

Interests are runs of one to four words of the recorded papers' titles and abstracts, without stop
words at their ends. The loop is sampled and scaled up.
"""

import gzip
import json
import random
import sys
import time
from collections.abc import Iterator

from papers.evidence import evidence
from papers.index import Document, PaperIndex
from papers.matching import match
from papers.passages import passages
from papers.query import Alternative, Query, Words
from papers.ranking import answers
from papers.text import STOP_WORDS, tokens
from tests.benchmarks.measure import Figure, in_turns, one_core, report
from tests.conftest import missing, shared_data

SIZES = {"small": (300, 5_000, 20), "full": (1_500, 200_000, 20)}  # papers, interests, interests of the sample
PICKS = 5_000  # of 500 readers


def papers(count: int) -> list[Document]:
    folder = shared_data()
    assert folder
    with gzip.open(folder / "arxiv" / "papers.jsonl.gz", "rt") as lines:
        read = [json.loads(line) for _, line in zip(range(count), lines, strict=False)]
    return [Document(number, paper["title"], paper["abstract"]) for number, paper in enumerate(read)]


def interests(documents: list[Document], count: int) -> list[Query]:
    draw = random.Random(1)
    words = [tuple(token.term for token in tokens(f"{paper.title}. {paper.abstract}")) for paper in documents]
    found: dict[Words, None] = {}
    while len(found) < count:
        text, length = draw.choice(words), draw.choices([1, 2, 3, 4], [1, 4, 3, 1])[0]
        start = draw.randrange(len(text))
        topic = text[start : start + length]
        if topic[0] not in STOP_WORDS and topic[-1] not in STOP_WORDS:
            found[topic] = None
    return [Query((Alternative(topics=(topic,)),)) for topic in found]


def answered(index: PaperIndex, queries: list[Query]) -> Iterator[tuple[Document, Query]]:
    """Yield picks as readers have them: papers with interests that they answer, many of them shared."""
    found = match(index, queries)
    draw = random.Random(2)
    owner = [number for number in range(len(queries)) for _ in range(found.indptr[number + 1] - found.indptr[number])]
    for _ in range(PICKS):
        place = draw.randrange(len(owner))
        yield index.documents[int(index.ids[found.rows[place]])], queries[owner[place]]


def main(size: str) -> None:
    if need := missing("data"):
        print(f"matching: left out: {need}", file=sys.stderr)  # noqa: T201
        return
    one_core()
    count, distinct, sample = SIZES[size]
    documents = papers(count)
    queries, index = interests(documents, distinct), PaperIndex(documents)
    match(index, queries[:1])  # what the index keeps of itself is made
    ours, peers = in_turns(
        lambda _: match(index, queries), lambda _: [answers(index, query) for query in queries[:sample]]
    )
    peers *= distinct / sample
    shape = f"{distinct} interests, {count} papers"
    report(Figure("matching", shape, "one interest at a time, sampled", "same code", peers / ours, ours, peers))
    picks = list(answered(index, queries))
    ours, peers = _evidence(picks), _evidence(picks[: PICKS // 20], is_kept=False) * 20
    report(Figure("evidence", f"{PICKS} picks", "papers not kept, sampled", "same code", peers / ours, ours, peers))


def _evidence(picks: list[tuple[Document, Query]], *, is_kept: bool = True) -> float:
    """Return the seconds for all picks; the papers are read anew for each where they are not kept."""
    passages.cache_clear()
    started = time.perf_counter()
    for document, query in picks:
        assert evidence(document, query)
        if not is_kept:
            passages.cache_clear()
    return time.perf_counter() - started


if __name__ == "__main__":
    main(sys.argv[1])
