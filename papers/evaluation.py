"""How well rankings find what people judged relevant: a retrieval set in BEIR layout, and its measures."""

import gzip
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import IO

from papers.index import Document
from papers.text import prose


class EvaluationSetError(ValueError):
    """A folder that is no retrieval set: which file, which line, and what is wrong with it."""


@dataclass(frozen=True, slots=True)
class EvaluationSet:
    """Papers, whose ids are their places in the corpus, and what they should answer.

    ``texts`` are the judged queries in the order of their file; ``relevant`` gives for each the
    papers judged above 0 with their grades. A relevant paper that the corpus lacks has a negative
    id: it can never be found, and counts.
    """

    documents: tuple[Document, ...]
    texts: tuple[str, ...]
    relevant: tuple[Mapping[int, int], ...]


# Measures ---------------------------------------------------------------------------------------


def ndcg(ranking: Sequence[int], grades: Mapping[int, int], depth: int) -> float:
    """Return the normalised discounted cumulative gain of the first ``depth`` papers, 0 to 1.

    A paper's gain is its grade, discounted by log2(place + 1), as trec_eval has it (Järvelin and
    Kekäläinen, Cumulated gain-based evaluation of IR techniques, 2002). ``grades`` are > 0 and not empty.
    """
    ideal = sorted(grades.values(), reverse=True)[:depth]
    return _gain(grades.get(paper, 0) for paper in ranking[:depth]) / _gain(ideal)


def _gain(grades: Iterable[int]) -> float:
    return sum(grade / math.log2(place + 1) for place, grade in enumerate(grades, 1))


def recall(ranking: Sequence[int], grades: Mapping[int, int], depth: int) -> float:
    """Return the share of relevant papers among the first ``depth``, 0 to 1."""
    return len(grades.keys() & set(ranking[:depth])) / len(grades)


def reciprocal_rank(ranking: Sequence[int], grades: Mapping[int, int]) -> float:
    """Return 1 / the place of the first relevant paper, 0 where none is ranked."""
    return next((1 / place for place, paper in enumerate(ranking, 1) if paper in grades), 0.0)


def measures(rankings: Sequence[Sequence[int]], relevant: Sequence[Mapping[int, int]]) -> dict[str, float]:
    """Return each measure's mean over the queries, of which there is at least one."""
    pairs = list(zip(rankings, relevant, strict=True))
    return {
        "ndcg@10": fmean(ndcg(*pair, 10) for pair in pairs),
        "ndcg@20": fmean(ndcg(*pair, 20) for pair in pairs),
        "recall@50": fmean(recall(*pair, 50) for pair in pairs),
        "mrr": fmean(reciprocal_rank(*pair) for pair in pairs),
    }


# Reading ----------------------------------------------------------------------------------------


def read_set(folder: Path, limit: int | None = None) -> EvaluationSet:
    """Read the first ``limit`` judged queries and all papers; raise ``EvaluationSetError``.

    The papers' texts are cleaned as those of a source are. A query without a relevant paper is left
    out, since no ranking of it is better than another.
    """
    documents, numbers = _corpus(_existing(folder, "corpus.jsonl", "corpus.jsonl.gz"))
    texts = dict(_texts(_existing(folder, "queries.jsonl")))
    relevant = _relevant(_existing(folder, "qrels/test.tsv"), texts, numbers)
    judged = [query for query in texts if query in relevant][:limit]
    if not judged:
        raise EvaluationSetError(f"{folder}: no query has a relevant paper")
    return EvaluationSet(
        tuple(documents), tuple(texts[query] for query in judged), tuple(relevant[query] for query in judged)
    )


def _existing(folder: Path, *names: str) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise EvaluationSetError(f"{folder} holds no {' or '.join(names)}: it is no retrieval set in BEIR layout")


def _corpus(path: Path) -> tuple[list[Document], dict[str, int]]:
    documents: list[Document] = []
    numbers: dict[str, int] = {}
    for place, row in _rows(path):
        name = _text(place, row, "_id")
        if name in numbers:
            raise EvaluationSetError(f"{place}: the id {name!r} is there twice")
        title = prose(_text(place, row, "title")) if "title" in row else ""
        numbers[name] = len(documents)
        documents.append(Document(len(documents), title, prose(_text(place, row, "text"))))
    return documents, numbers


def _texts(path: Path) -> Iterator[tuple[str, str]]:
    for place, row in _rows(path):
        yield _text(place, row, "_id"), _text(place, row, "text")


def _relevant(path: Path, texts: Mapping[str, str], numbers: Mapping[str, int]) -> dict[str, dict[int, int]]:
    relevant: dict[str, dict[int, int]] = {}
    lacking: dict[str, int] = {}
    for number, line in _lines(path):
        place, cells = f"{path}, line {number}", line.split("\t")
        if number == 1 and cells[-1] == "score":
            continue
        if len(cells) != 3 or not cells[2].removeprefix("-").isdecimal():
            raise EvaluationSetError(f"{place}: expected query-id, corpus-id and a whole number, separated by tabs")
        query, name, grade = cells[0], cells[1], int(cells[2])
        if query not in texts:
            raise EvaluationSetError(f"{place}: the query {query!r} is not in queries.jsonl")
        if grade > 0:
            paper = numbers.get(name)
            found = lacking.setdefault(name, -1 - len(lacking)) if paper is None else paper
            relevant.setdefault(query, {})[found] = grade
    return relevant


def _rows(path: Path) -> Iterator[tuple[str, dict[str, object]]]:
    """Yield each line's place and JSON object."""
    for number, line in _lines(path):
        place = f"{path}, line {number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise EvaluationSetError(f"{place}: no JSON ({error})") from error
        if not isinstance(row, dict):
            raise EvaluationSetError(f"{place}: no JSON object")
        yield place, row


def _text(place: str, row: Mapping[str, object], key: str) -> str:
    value = row.get(key)
    if not isinstance(value, str):
        raise EvaluationSetError(f"{place}: “{key}” is no text")
    return value


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the lines that are not empty, with their numbers from 1."""
    number = 0
    try:
        with _opened(path) as lines:
            for number, line in enumerate(lines, 1):
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise EvaluationSetError(f"{path}, after line {number}: cannot be read ({error})") from error


def _opened(path: Path) -> IO[str]:
    # Lines end at line feeds only: abstracts may hold other separators.
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="\n")
    return path.open(encoding="utf-8", newline="\n")
