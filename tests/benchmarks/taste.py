"""What variety costs and what thumbs are worth, on papers whose keywords are known.

A reader follows five of the keywords, drawn by how many papers carry them, and a paper is worth as many of
these as it carries. Yesterday's papers are voted on: up for the first three of the reader's best 25 that carry
one of their keywords, down for the first three that carry none.
"""

import csv
import gzip
import json
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from papers.evaluation import ndcg
from papers.index import Document, PaperIndex
from papers.likeness import closeness, profile
from papers.query import parse
from subscribers.candidates import Candidates
from subscribers.fanout import fan_out
from subscribers.selection import Preferences, Reader, Wish, asked_by, select_all
from tests.benchmarks.measure import report
from tests.conftest import missing, shared_data

PAPERS, READERS = {"small": 400, "full": 1_500}, {"small": 100, "full": 1_500}
FOLLOWS, PLACES, TOP, VOTED_ON, THUMBS = 5, 7, 10, 25, 3


@dataclass(frozen=True, slots=True)
class Taste:
    """``ndcg``, and where it matters ``alike``, the mean cosine of two papers of a list: with it, and without."""

    name: str
    size: str
    readers: int
    ndcg: float
    ndcg_without: float
    alike: float = 0.0
    alike_without: float = 0.0


class Day:
    """Some papers, each with the ids of the keywords that it carries."""

    def __init__(self, papers: Sequence[tuple[Document, set[str]]]) -> None:
        self.keywords = {document.id: keywords for document, keywords in papers}
        self.documents = {document.id: document for document, _ in papers}
        self.candidates = Candidates(PaperIndex(self.documents.values()), dict.fromkeys(self.documents, 0.0))

    def gains(self, paper: int, wanted: set[str]) -> int:
        return len(self.keywords[paper] & wanted)

    def best(self, readers: Sequence[Reader], count: int) -> list[list[int]]:
        """Return each reader's best papers, not varied."""
        asked = asked_by(self.candidates, readers)  # which teaches the board what is asked
        rows = fan_out(self.candidates.board, asked, count).rows
        return [[self.candidates.ids[row] for row in line if row >= 0] for line in rows.tolist()]

    def likeness(self) -> NDArray[np.float64]:
        index = self.candidates.index
        return closeness(index, [profile(self.documents[paper]) for paper in self.candidates.ids])


def recorded(count: int) -> tuple[list[Day], dict[str, str]]:
    """Return two days of the recorded papers, and the keywords by their ids."""
    folder = shared_data()
    if folder is None:
        raise SystemExit(missing("data"))
    folder = folder / "relevance" / "hf_ai_keywords"
    carried: defaultdict[str, set[str]] = defaultdict(set)
    with (folder / "qrels" / "test.tsv").open() as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            carried[row["corpus-id"]].add(row["query-id"])
    with (folder / "queries.jsonl").open() as lines:
        keywords = {query["_id"]: query["text"] for query in map(json.loads, lines)}
    with gzip.open(folder / "corpus.jsonl.gz", "rt") as lines:
        corpus = [json.loads(line) for line in lines]
    papers = [(Document(n, p["title"], p["text"]), carried[p["_id"]]) for n, p in enumerate(corpus, start=1)]
    np.random.default_rng(1).shuffle(papers)
    return [Day(papers[at * count : (at + 1) * count]) for at in range(2)], keywords


def drawn(count: int, days: Sequence[Day], keywords: dict[str, str]) -> list[list[str]]:
    """Return the keywords of each reader, by their ids."""
    names = sorted(keywords)
    often = np.array([sum(name in held for day in days for held in day.keywords.values()) for name in names], float)
    draw = np.random.default_rng(2)
    return [
        [str(name) for name in draw.choice(names, FOLLOWS, replace=False, p=often / often.sum())] for _ in range(count)
    ]


def reader(
    wanted: Sequence[str], keywords: dict[str, str], up: Sequence[Document] = (), down: Sequence[Document] = ()
) -> Reader:
    wishes = [Wish(keywords[name], parse(keywords[name]).canonical) for name in wanted]
    return Reader(
        wishes, Preferences(paper_count=PLACES, trending_weight=0, wants_trending=False), liked=up, disliked=down
    )


def variety(size: str, day: Day, asked: Sequence[list[str]], keywords: dict[str, str]) -> Taste:
    readers = [reader(wanted, keywords) for wanted in asked]
    plain = day.best(readers, PLACES)
    varied = [[pick.paper_id for pick in chosen.picks] for chosen in select_all(day.candidates, readers)]
    full = [n for n, papers in enumerate(plain) if len(papers) == PLACES]
    likeness, row = day.likeness(), {paper: n for n, paper in enumerate(day.candidates.ids)}

    def alike(lists: Sequence[list[int]]) -> float:
        rows = [[row[paper] for paper in lists[n]] for n in full]
        squares = [likeness[np.ix_(line, line)] for line in rows]
        return float(np.mean([square[np.triu_indices(PLACES, 1)].mean() for square in squares]))

    def worth(lists: Sequence[list[int]]) -> float:
        return _worth(day, [lists[n] for n in full], [asked[n] for n in full], PLACES)

    return Taste("variety", size, len(full), worth(varied), worth(plain), alike(varied), alike(plain))


def thumbs(size: str, days: Sequence[Day], asked: Sequence[list[str]], keywords: dict[str, str]) -> Taste:
    yesterday, today = days
    seen = yesterday.best([reader(wanted, keywords) for wanted in asked], VOTED_ON)
    voters = [_voter(yesterday, wanted, papers, keywords) for wanted, papers in zip(asked, seen, strict=True)]
    without = [reader(wanted, keywords) for wanted in asked]
    worth, worth_without = (_worth(today, today.best(each, TOP), asked, TOP) for each in (voters, without))
    return Taste("thumbs", size, len(asked), worth, worth_without)


def _voter(day: Day, wanted: Sequence[str], seen: Sequence[int], keywords: dict[str, str]) -> Reader:
    up = [day.documents[paper] for paper in seen if day.gains(paper, set(wanted))][:THUMBS]
    down = [day.documents[paper] for paper in seen if not day.gains(paper, set(wanted))][:THUMBS]
    return reader(wanted, keywords, up, down)


def _worth(day: Day, lists: Sequence[list[int]], asked: Sequence[list[str]], places: int) -> float:
    return float(np.mean(list(_ndcgs(day, lists, asked, places))))


def _ndcgs(day: Day, lists: Sequence[list[int]], asked: Sequence[list[str]], places: int) -> Iterator[float]:
    for papers, wanted in zip(lists, asked, strict=True):
        gains = {paper: worth for paper in day.documents if (worth := day.gains(paper, set(wanted)))}
        if gains:
            yield ndcg(papers, gains, places)


def main(size: str) -> None:
    days, keywords = recorded(PAPERS[size])
    asked = drawn(READERS[size], days, keywords)
    report(variety(size, days[1], asked, keywords))
    report(thumbs(size, days, asked, keywords))


if __name__ == "__main__":
    main(sys.argv[1])
