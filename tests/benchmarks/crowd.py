"""A day's recorded papers, interests cut out of their texts, and readers who share them by Zipf's law."""

import gzip
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from papers.index import Document
from papers.query import QueryError, parse
from papers.text import STOP_WORDS
from subscribers.candidates import Candidates
from subscribers.fanout import MUTED, STARRED, Lines, Readers
from tests.conftest import missing, shared_data

FOLLOWS = 5


def recorded() -> list[dict[str, Any]]:
    """Return the recorded papers; end the benchmark where they are missing."""
    folder = shared_data()
    if folder is None:
        raise SystemExit(missing("data"))
    with gzip.open(folder / "arxiv" / "papers.jsonl.gz", "rt") as lines:
        return [json.loads(line) for line in lines]


def documents(count: int) -> list[Document]:
    return [
        Document(
            number,
            paper["title"],
            paper["abstract"],
            authors=tuple(paper["authors"]),
            categories=tuple(paper["categories"]),
        )
        for number, paper in enumerate(recorded()[:count], start=1)
    ]


def interests(count: int) -> list[str]:
    """Return distinct canonical queries: runs of two and three words of the papers, the most frequent first.

    Made in a process of its own, so that counting them is not in the memory of this one.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_interests, count).result()


def _interests(count: int) -> list[str]:
    runs = Counter(run for paper in recorded() for run in set(_runs(f"{paper['title']}. {paper['abstract']}")))
    canonicals: dict[str, None] = {}
    for run, _count in sorted(runs.items(), key=lambda item: (-item[1], item[0])):
        try:
            canonicals.setdefault(parse(run).canonical)
        except QueryError:
            continue
        if len(canonicals) == count:
            break
    return list(canonicals)


def _runs(text: str) -> Iterator[str]:
    for sentence in text.lower().replace(",", ".").split("."):
        words = sentence.split()
        for length in (2, 3):
            for start in range(len(words) - length + 1):
                run = words[start : start + length]
                if all(word.isalpha() for word in run) and not STOP_WORDS & {run[0], run[-1]}:
                    yield " ".join(run)


class Crowd:
    """Readers of five follows: a tenth of them are mutes, a twentieth starred; half of the readers moved the slider."""

    def __init__(self, count: int, canonicals: list[str], seed: int = 1) -> None:
        draw = np.random.default_rng(seed)
        shares = 1 / np.arange(1, len(canonicals) + 1)
        self.canonicals = canonicals
        self.asked = draw.choice(len(canonicals), count * FOLLOWS, p=shares / shares.sum()).astype(np.int32)
        chance = draw.random(self.asked.size)
        self.flags = np.where(chance < 0.1, MUTED, np.where(chance < 0.15, STARRED, 0)).astype(np.uint8)
        self.mix = draw.choice(np.array([30, 30, 30, 0, 60, 100], np.float32) / np.float32(100), count)
        self.mutes = [canonicals[at] for at in np.unique(self.asked[self.flags == MUTED])]

    def __len__(self) -> int:
        return len(self.mix)

    def follows(self, reader: int) -> list[tuple[str, bool, bool]]:
        """Return the queries that a reader follows, each with whether it is muted and whether it is starred."""
        mine = slice(reader * FOLLOWS, (reader + 1) * FOLLOWS)
        both = zip(self.asked[mine].tolist(), self.flags[mine].tolist(), strict=True)
        return [(self.canonicals[at], flags == MUTED, flags == STARRED) for at, flags in both]

    def readers(self, candidates: Candidates, count: int) -> Readers:
        """Return the first of the readers as arrays, once ``candidates`` have learnt what they ask."""
        answers, hides = candidates.learn(self.canonicals, self.mutes)
        line = np.array([answers[canonical] for canonical in self.canonicals], np.int32)
        mute = np.array([hides.get(canonical, 0) for canonical in self.canonicals], np.int32)
        asked, flags = self.asked[: count * FOLLOWS], self.flags[: count * FOLLOWS]
        return Readers(
            ends=np.arange(count + 1) * FOLLOWS,
            query=np.where(flags == MUTED, mute[asked], line[asked]),
            weight=np.ones(asked.size, np.float32),
            flags=flags,
            mix=self.mix[:count],
            left_out=Lines(np.zeros(count + 1, np.int64), np.zeros(0, np.uint32), np.zeros(0, np.float32)),
            boost_of=np.full(count, -1, np.int32),
            boosts=np.zeros((0, len(candidates)), np.float32),
        )
