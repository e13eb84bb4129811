"""The papers that some digests choose from, and what each distinct interest finds among them, matched once."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from papers.index import Document, PaperIndex
from papers.matching import Matches, hide, match
from papers.query import Query, parse_canonical
from papers.ranking import Evidence, evidence
from subscribers.fanout import Board, Floats, Integers, Lines
from subscribers.sketches import WordVectors

MOST_ROWS = 50_000_000  # that are kept of the interests' lines, 300 MB; beyond, all are forgotten and matched anew

MOST_PROOFS = 100_000  # that are kept, some 50 MB: a chunk of readers asks for far fewer

# Reading one takes longer than matching it; a process meets the same ones in every edition and span.
_read = lru_cache(maxsize=300_000)(parse_canonical)

Match = Callable[[PaperIndex, Sequence[Query]], Matches]
Prove = Callable[[Document, Query], Evidence | None]


class Candidates:
    """Some papers in the order of trending, of equals the lower id first; a row is a place in it.

    Interests are matched when the first reader asks for them, all that a batch brings at once.
    """

    def __init__(
        self, index: PaperIndex, trending: Mapping[int, float], match: Match = match, prove: Prove = evidence
    ) -> None:
        """``trending`` gives each paper's score, >= 0, 0 where it is missing.

        ``match`` may know more than words; then ``prove`` shows what words do not.
        """
        loud = np.array([trending.get(paper, 0.0) for paper in index.ids.tolist()], np.float64)
        order = np.lexsort((index.ids, -loud))
        self.index, self._match, self._prove = index, match, prove
        self.ids: list[int] = index.ids[order].tolist()
        self.trending: list[float] = loud[order].tolist()
        self.row = {paper: row for row, paper in enumerate(self.ids)}
        self._loud = loud[order].astype(np.float32)
        self._row_of: Integers = np.argsort(order).astype(np.uint16 if len(order) <= 1 << 16 else np.uint32)
        self.forget()

    def __len__(self) -> int:
        return len(self.ids)

    def forget(self) -> None:
        """Forget what every interest finds, and where."""
        self._answers, self._hides = _Known(self._row_of.dtype), _Known(self._row_of.dtype)
        self._proofs: dict[tuple[str, int], Evidence | None] = {}

    def learn(self, interests: Iterable[str], mutes: Iterable[str]) -> tuple[Mapping[str, int], Mapping[str, int]]:
        """Match what is new among some canonical queries; return the lines of interests and of mutes.

        Raises ``QueryError`` for one that cannot be read.
        """
        if len(self._answers) + len(self._hides) > MOST_ROWS:
            self.forget()
        if new := self._answers.unknown(interests):
            matches = self._match(self.index, [_read(canonical) for canonical in new])
            self._answers.add(new, matches.indptr, self._row_of[matches.rows], matches.scores)
        if new := self._hides.unknown(mutes):
            hidden = hide(self.index, [_read(canonical) for canonical in new])
            self._hides.add(new, hidden.indptr, self._row_of[hidden.rows])
        return self._answers.number, self._hides.number

    @property
    def board(self) -> Board:
        return Board(self._answers.lines, self._hides.lines, self._loud)

    def rows(self, papers: Collection[int]) -> list[int]:
        """Return the rows of those of ``papers`` that are among these."""
        return [self.row[paper] for paper in papers if paper in self.row]

    def proof(self, canonical: str, row: int) -> Evidence | None:
        """Return where one can see that a paper answers a query; None where no text shows it."""
        key = (canonical, row)
        if key not in self._proofs:
            if len(self._proofs) >= MOST_PROOFS:
                self._proofs.clear()
            self._proofs[key] = self._prove(self.index.documents[self.ids[row]], _read(canonical))
        return self._proofs[key]

    @cached_property
    def words(self) -> WordVectors:
        """How alike papers are by their words; asked for by the first reader who votes or has too many answers."""
        return WordVectors([self.index.documents[paper] for paper in self.ids])

    @cached_property
    def sketches(self) -> Floats:
        """How alike two papers are is the product of their lines: float32[n, d]."""
        return self.words.sketches()


class _Known:
    """Lines of rows by query; there are ever more of them."""

    def __init__(self, dtype: np.dtype[Any]) -> None:
        self.number: dict[str, int] = {}
        self._ends = _Growing(np.zeros(1, np.int64))
        self._rows = _Growing(np.zeros(0, dtype))
        self._scores = _Growing(np.zeros(0, np.float32))

    def __len__(self) -> int:
        return self._rows.size

    def unknown(self, canonicals: Iterable[str]) -> list[str]:
        return [canonical for canonical in dict.fromkeys(canonicals) if canonical not in self.number]

    def add(self, canonicals: Sequence[str], ends: Integers, rows: Integers, scores: Floats | None = None) -> None:
        self._ends.extend(ends[1:] + self._rows.size)
        self._rows.extend(rows)
        if scores is not None:
            self._scores.extend(scores)
        self.number.update(zip(canonicals, range(len(self.number), len(self.number) + len(canonicals)), strict=True))

    @property
    def lines(self) -> Lines:
        return Lines(self._ends.values, self._rows.values, self._scores.values)


class _Growing:
    """An array that grows by doubling, so that adding costs what is added."""

    def __init__(self, values: NDArray[Any]) -> None:
        self._room, self.size = values, values.size

    def extend(self, values: NDArray[Any]) -> None:
        wanted = self.size + values.size
        if wanted > self._room.size:
            room = np.empty(max(wanted, 2 * self._room.size), self._room.dtype)
            room[: self.size] = self._room[: self.size]
            self._room = room
        self._room[self.size : wanted] = values
        self.size = wanted

    @property
    def values(self) -> NDArray[Any]:
        return self._room[: self.size]
