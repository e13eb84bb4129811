"""Every reader's best papers out of the scores of all distinct interests, over arrays.

Papers are rows in the order of trending: row 0 is the most trending one, of equals the one with the
lower id. So a tie between scores goes to the upper row, and no id is ever compared. What is handed
to the loops are named tuples, since machine code can take those apart.
"""

import importlib.util
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.integer]
Floats = NDArray[np.float32]
Booleans = NDArray[np.bool_]

STARRED, MUTED = 1, 2  # flags of a follow
WORTH_COMPILING = 200  # readers; below, loading machine code takes longer than numpy does


class Lines(NamedTuple):
    """A line of rows for each of q queries, one after the other.

    ``ends`` int64[q + 1]: line i lies at ``ends[i]:ends[i + 1]``; ``rows`` uint16 or uint32, each at
    most once in a line; ``scores`` float32 > 0, or nothing where only membership counts.
    """

    ends: Integers
    rows: Integers
    scores: Floats

    def line(self, number: int) -> Integers:
        return self.rows[self.ends[number] : self.ends[number + 1]]


class Board(NamedTuple):
    """n papers: what each interest finds and each mute hides among them; ``trending`` float32[n] >= 0, falling."""

    answers: Lines
    hides: Lines
    trending: Floats


class Readers(NamedTuple):
    """What r readers with f follows in all asked for.

    ``ends`` int64[r + 1] of each reader's follows; ``query`` int32[f]: a line of what is answered, or of
    what is hidden where the follow is muted; ``weight`` float32[f] > 0; ``flags`` uint8[f]; ``mix``
    float32[r]: how much trending counts, in [0, 1]; ``left_out``: a line per reader of the rows that they
    were sent or voted down; ``boost_of`` int32[r]: the line of ``boosts`` float32[b, n] > 0 by which their
    thumbs multiply each paper's sum; -1 for none.
    """

    ends: Integers
    query: Integers
    weight: Floats
    flags: Integers
    mix: Floats
    left_out: Lines
    boost_of: Integers
    boosts: Floats

    def follows(self, reader: int) -> range:
        return range(int(self.ends[reader]), int(self.ends[reader + 1]))


class Best(NamedTuple):
    """Each reader's best k answers, starred first, then by score, then by trending, then by id.

    ``rows`` int32[r, k], -1 where there are fewer; ``scores`` float32[r, k] in [0, 1]; ``starred``
    int32[r]: how many of them answer a starred interest. ``counts`` int32[r, 3]: how many papers answer and
    are not muted, how many a mute hides, how many of the first were left out. ``scale`` float32[r, 2]:
    what a sum of interests and a trending score are multiplied with to make a score of both.
    """

    rows: Integers
    scores: Floats
    starred: Integers
    counts: Integers
    scale: Floats


def fan_out(board: Board, readers: Readers, k: int) -> Best:
    """Return each reader's exact best ``k`` among the papers that answer an interest of theirs.

    A reader's interests are summed up by weight; the sum and trending are each scaled to [0, 1] over
    what is left of the papers once what is muted and left out is gone, and mixed. The result is the
    same to the last bit, compiled or not. Raises ``IndexError`` where readers point beside the board.
    """
    _check(board, readers)
    r = readers.mix.size
    best = Best(
        rows=np.full((r, k), -1, np.int32),
        scores=np.zeros((r, k), np.float32),
        starred=np.zeros(r, np.int32),
        counts=np.zeros((r, 3), np.int32),
        scale=np.zeros((r, 2), np.float32),
    )
    if is_worth_compiling(r):
        from subscribers import loops  # noqa: PLC0415 - numba takes half a second to load

        loops.fan_out(board, readers, best)
    else:
        _fan_out(board, readers, best)
    return best


def _check(board: Board, readers: Readers) -> None:
    """Look at every index once: machine code looks at none."""
    is_mute = (readers.flags & MUTED) != 0
    lines = np.where(is_mute, board.hides.ends.size, board.answers.ends.size) - 1
    if (readers.query >= lines).any() or (readers.query < 0).any():
        raise IndexError("a follow of a query that has no line")
    if readers.left_out.rows.max(initial=0) >= max(board.trending.size, 1):
        raise IndexError("a paper was left out that is not among those")


def is_worth_compiling(readers: int) -> bool:
    """Whether so many readers are served by machine code: if numba is installed, and they are not too few."""
    return readers >= WORTH_COMPILING and importlib.util.find_spec("numba") is not None


def _fan_out(board: Board, readers: Readers, best: Best) -> None:
    """Do as ``loops.fan_out`` does, without a compiler: the same sums in the same order."""
    for reader in range(readers.mix.size):
        sums, is_starred, is_out = _sums(board, readers, reader)
        matched = np.count_nonzero(sums)
        best.counts[reader, :2] = matched, np.count_nonzero(is_out)
        sums[readers.left_out.line(reader)] = 0
        is_out[readers.left_out.line(reader)] = True
        best.counts[reader, 2] = matched - np.count_nonzero(sums)
        if readers.boost_of[reader] >= 0:
            sums *= readers.boosts[readers.boost_of[reader]]
        best.scale[reader] = _scale(sums, board.trending, is_out, readers.mix[reader])
        mixed = sums * best.scale[reader, 0] + board.trending * best.scale[reader, 1]
        found = np.flatnonzero(sums)
        order = found[np.lexsort((-mixed[found], ~is_starred[found]))[: best.rows.shape[1]]]
        best.rows[reader, : order.size] = order
        best.scores[reader, : order.size] = mixed[order]
        best.starred[reader] = np.count_nonzero(is_starred[order])


def _sums(board: Board, readers: Readers, reader: int) -> tuple[Floats, Booleans, Booleans]:
    """Return the sum of the reader's interests by paper, which of them a starred one adds to, and what is muted."""
    n = board.trending.size
    sums, is_starred, is_muted = np.zeros(n, np.float32), np.zeros(n, np.bool_), np.zeros(n, np.bool_)
    for follow in readers.follows(reader):
        query, flags = readers.query[follow], readers.flags[follow]
        if flags & MUTED:
            is_muted[board.hides.line(query)] = True
            continue
        found = board.answers.line(query)
        sums[found] += readers.weight[follow] * board.answers.scores[slice(*board.answers.ends[query : query + 2])]
        if flags & STARRED:
            is_starred[found] = True
    sums[is_muted] = 0
    return sums, is_starred, is_muted


def _scale(sums: Floats, trending: Floats, is_out: Booleans, mix: np.float32) -> tuple[np.float32, np.float32]:
    """Return the factors that bring the best sum to 1 - ``mix`` and the most trending paper that is left to ``mix``."""
    none = np.float32(0)
    top, left = sums.max(initial=none), np.flatnonzero(~is_out)
    loudest = trending[left[0]] if left.size else none
    return (np.float32(1) - mix) / top if top > 0 else none, mix / loudest if loudest > 0 else none
