"""Which papers get a place in each reader's mail: For you out of the best, varied, then what trends; over arrays."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from subscribers.fanout import MUTED, Best, Board, Booleans, Floats, Integers, Readers, is_worth_compiling
from subscribers.sketches import FINENESS

CANDIDATES = 30  # of so many of a reader's best papers at least For you is chosen
# Of a candidate's score for each part in which it is like the most alike of those chosen (Carbonell and
# Goldstein, The Use of MMR, 1998, with lambda 0.4). On hf_ai_keywords a list of seven is 17 % less alike
# (mean cosine .076 to .063) for 1.7 % of nDCG@7 (`make bench ONLY=taste SIZE=full`).
PENALTY = 1.5


class Places(NamedTuple):
    """What each of r readers has room for.

    ``total`` int32[r] > 0: papers of the mail; ``for_you`` int32[r]: those For you may take;
    ``wants_rest`` bool[r, 2]: whether trending papers take what it leaves when it is empty, and when it is not.
    """

    total: Integers
    for_you: Integers
    wants_rest: Booleans


class Picks(NamedTuple):
    """The papers of r mails of at most p papers in their order.

    ``rows`` int32[r, p], -1 for no paper; ``for_you`` int32[r]: how many of them stand in For you;
    ``scores`` float32[r, p]; ``parts`` float32[f, p]: what each follow adds to the sum of each pick.
    """

    rows: Integers
    for_you: Integers
    scores: Floats
    parts: Floats


def candidates_for(places: Places) -> int:
    """Return of how many of a reader's best papers For you is chosen."""
    return max(CANDIDATES, int(places.total.max(initial=0)))


def settle(board: Board, readers: Readers, best: Best, places: Places, sketches: Callable[[], Floats]) -> Picks:
    """Give the places of each mail away.

    ``best`` are as many of each reader's as ``candidates_for`` says; ``sketches`` is as ``vary`` has it.
    """
    r, most = places.total.size, int(places.total.max(initial=0))
    rows = vary(best, places.for_you, most, sketches)
    for_you = np.minimum(np.count_nonzero(best.rows >= 0, axis=1), places.for_you)
    wants_rest = places.wants_rest[np.arange(r), np.minimum(for_you, 1)]
    total = np.where(wants_rest, places.total, for_you)
    scores, parts = np.zeros((r, most), np.float32), np.zeros((readers.query.size, most), np.float32)
    picks = Picks(rows, for_you, scores, parts)
    if is_worth_compiling(r):
        from subscribers import loops  # noqa: PLC0415

        loops.fill_up(board, readers, for_you, total, rows)
        loops.explain(board, readers, best.scale, picks)
    else:
        for reader in range(r):
            _fill_up(board, readers, reader, for_you[reader], rows[reader, : total[reader]])
            _explain(board, readers, reader, best.scale[reader], picks)
    return picks


# For you ----------------------------------------------------------------------------------------


def vary(best: Best, room: Integers, most: int, sketches: Callable[[], Floats]) -> Integers:
    """Return which papers For you holds, in the order of ``best``: int32[r, most], -1 for none.

    Where there are more candidates than room, starred ones come first; then each place goes to
    the paper whose score, less what it has in common with those chosen, is highest. Then ``sketches`` are
    asked for, as ``sketches.WordVectors`` draws them.
    """
    rows = best.rows[:, :most].copy()
    crowded = np.flatnonzero(np.count_nonzero(best.rows >= 0, axis=1) > room)
    if crowded.size:
        chosen = np.full((crowded.size, most), -1, np.int32)
        _choose(_of(best, crowded), room[crowded], sketches(), chosen)
        rows[crowded] = chosen
    return rows


def _of(best: Best, some: Integers) -> Best:
    return Best(best.rows[some], best.scores[some], best.starred[some], best.counts[some], best.scale[some])


def _choose(best: Best, room: Integers, sketches: Floats, chosen: Integers) -> None:
    if is_worth_compiling(room.size):
        from subscribers import loops  # noqa: PLC0415

        loops.vary(best, room, sketches, PENALTY / FINENESS**2, chosen)
        return
    for reader in range(room.size):
        near = sketches[best.rows[reader]]
        common = np.zeros(len(near), np.float32)  # with the most alike of those chosen
        is_taken = np.zeros(len(near), np.bool_)
        for done in range(room[reader]):
            worth = best.scores[reader] - np.float32(PENALTY / FINENESS**2) * common
            worth[is_taken | (best.rows[reader] < 0)] = -np.inf
            at = done if done < best.starred[reader] else int(worth.argmax())
            is_taken[at] = True
            common = np.maximum(common, near @ near[at])
        chosen[reader, : room[reader]] = best.rows[reader, is_taken]


# The rest, and why ------------------------------------------------------------------------------


def _fill_up(board: Board, readers: Readers, reader: int, filled: int, rows: Integers) -> None:
    is_left = np.ones(board.trending.size, np.bool_)
    for follow in readers.follows(reader):
        if readers.flags[follow] & MUTED:
            is_left[board.hides.line(readers.query[follow])] = False
    is_left[readers.left_out.line(reader)] = False
    is_left[rows[:filled]] = False
    rest = np.flatnonzero(is_left)[: rows.size - filled]
    rows[filled : filled + rest.size] = rest


def _explain(board: Board, readers: Readers, reader: int, scale: Floats, picks: Picks) -> None:
    rows = picks.rows[reader][picks.rows[reader] >= 0]
    value, sums = np.zeros(board.trending.size, np.float32), np.zeros(rows.size, np.float32)
    for follow in readers.follows(reader):
        if not readers.flags[follow] & MUTED:
            query = readers.query[follow]
            found = board.answers.line(query)
            value[found] = board.answers.scores[slice(*board.answers.ends[query : query + 2])]
            picks.parts[follow, : rows.size] = readers.weight[follow] * value[rows]
            value[found] = 0
            sums += picks.parts[follow, : rows.size]
    if readers.boost_of[reader] >= 0:
        sums *= readers.boosts[readers.boost_of[reader], rows]
    picks.scores[reader, : rows.size] = sums * scale[0] + board.trending[rows] * scale[1]
