"""Many queries against one index at once: which papers answer each, which papers each hides."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from papers.index import PaperIndex
from papers.query import Query
from papers.ranking import answers, hides


@dataclass(frozen=True, slots=True)
class Matches:
    """The answers of q queries: query i has ``rows[indptr[i]:indptr[i + 1]]``, ascending, and their scores.

    ``indptr`` int64[q + 1]; ``rows`` int32[m], places in the index's ``ids``; ``scores`` float32[m] in (0, 1].
    """

    indptr: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]
    scores: npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Hidden:
    """What q queries hide as mutes: query i hides ``rows[indptr[i]:indptr[i + 1]]``, ascending.

    ``indptr`` int64[q + 1]; ``rows`` int32[m], places in the index's ``ids``.
    """

    indptr: npt.NDArray[np.int64]
    rows: npt.NDArray[np.int32]


def match(index: PaperIndex, queries: Sequence[Query]) -> Matches:
    """Return the papers that answer each of ``queries``, with their scores."""
    row = {paper: number for number, paper in enumerate(index.ids.tolist())}
    found = [sorted((row[paper], score) for paper, score in answers(index, query).items()) for query in queries]
    return Matches(
        indptr=_indptr(map(len, found)),
        rows=np.array([row for answer in found for row, _score in answer], dtype=np.int32),
        scores=np.array([score for answer in found for _row, score in answer], dtype=np.float32),
    )


def hide(index: PaperIndex, queries: Sequence[Query]) -> Hidden:
    """Return the papers that each of ``queries`` hides as a mute."""
    row = {paper: number for number, paper in enumerate(index.ids.tolist())}
    found = [sorted(row[paper] for paper in hides(index, query)) for query in queries]
    return Hidden(_indptr(map(len, found)), np.array([row for hidden in found for row in hidden], dtype=np.int32))


def _indptr(lengths: Iterable[int]) -> npt.NDArray[np.int64]:
    return np.cumsum(np.fromiter((0, *lengths), dtype=np.int64), dtype=np.int64)
