"""The inner loops over readers as machine code; importing this needs numba, the extra ``fast``."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np

from subscribers.fanout import MUTED, STARRED, Best, Board, Booleans, Floats, Integers, Lines, Readers
from subscribers.places import Picks

Loop = TypeVar("Loop", bound=Callable[..., object])

BLOCK = 32  # papers whose best is looked at before each of them is: two registers of AVX-512
LOWEST = np.int32(-(2**31))


def compiled(loop: Loop, **options: Any) -> Loop:
    """Return ``loop`` as machine code, which is kept beside this file where it may be.

    What is kept is made anew when this file changes, not when a constant from another does.
    """
    try:
        return cast("Loop", numba.njit(cache=True, **options)(loop))
    except RuntimeError:  # there is no folder to keep it in: every process makes its own
        return cast("Loop", numba.njit(**options)(loop))


def any_order(loop: Loop) -> Loop:
    """Compile a sum of whole numbers, which is the same in any order, as floats: many are added at once."""
    return compiled(loop, fastmath={"reassoc", "contract"})


# The best ---------------------------------------------------------------------------------------


@compiled
def fan_out(board: Board, readers: Readers, best: Best) -> None:
    """Fill ``best`` reader by reader.

    A reader's sums stand in one dense line, which stays in the first-level cache: adding needs no
    search, and all else is a straight run over it. Its end is padded with rows that nothing answers.
    """
    n = board.trending.size
    size = (n // BLOCK + 1) * BLOCK
    sums, mixed, loud = np.zeros(size, np.float32), np.zeros(size, np.float32), np.zeros(size, np.float32)
    loud[:n] = board.trending
    is_starred, is_out = np.zeros(size, np.uint8), np.zeros(size, np.uint8)
    for reader in range(readers.mix.size):
        has_star = _add(board.answers, readers, reader, sums, is_starred)
        best.counts[reader, 1] = _hide(board.hides, readers, reader, sums, is_out)
        best.counts[reader, 0] = _positive(sums)
        best.counts[reader, 2] = _leave_out(readers.left_out, reader, sums, is_out)
        if readers.boost_of[reader] >= 0:
            sums[:n] *= readers.boosts[readers.boost_of[reader]]
        _scale(sums, loud, is_out, readers.mix[reader], best.scale[reader])
        if has_star:
            _mix(sums, loud, best.scale[reader], mixed)
            _keep(mixed, is_starred)
            best.starred[reader] = _take(mixed, best.rows[reader], best.scores[reader], best.starred[reader])
            _drop(sums, is_starred)
            is_starred[:] = 0
        _mix(sums, loud, best.scale[reader], mixed)
        _take(mixed, best.rows[reader], best.scores[reader], best.starred[reader])
        sums[:] = 0
        is_out[:] = 0


@compiled
def _add(answers: Lines, readers: Readers, reader: int, sums: Floats, is_starred: Integers) -> bool:
    """Add up what answers; return whether an interest is starred."""
    has_star = False
    for follow in range(readers.ends[reader], readers.ends[reader + 1]):
        if readers.flags[follow] & MUTED:
            continue
        line = range(answers.ends[readers.query[follow]], answers.ends[readers.query[follow] + 1])
        weight = readers.weight[follow]
        for at in line:
            sums[answers.rows[at]] += weight * answers.scores[at]
        if readers.flags[follow] & STARRED:
            has_star = True
            for at in line:
                is_starred[answers.rows[at]] = 1
    return has_star


@compiled
def _hide(hides: Lines, readers: Readers, reader: int, sums: Floats, is_out: Integers) -> int:
    muted = 0
    for follow in range(readers.ends[reader], readers.ends[reader + 1]):
        if readers.flags[follow] & MUTED:
            for at in range(hides.ends[readers.query[follow]], hides.ends[readers.query[follow] + 1]):
                row = hides.rows[at]
                muted += 1 - is_out[row]
                is_out[row] = 1
                sums[row] = 0
    return muted


@compiled
def _leave_out(left_out: Lines, reader: int, sums: Floats, is_out: Integers) -> int:
    """Leave out what was sent or voted down; return how many of them answered."""
    answered = 0
    for at in range(left_out.ends[reader], left_out.ends[reader + 1]):
        row = left_out.rows[at]
        answered += sums[row] > 0
        is_out[row] = 1
        sums[row] = 0
    return answered


@compiled
def _positive(sums: Floats) -> int:
    """Count the sums above 0 by their bits, which have the same order where nothing is negative."""
    bits, count = sums.view(np.int32), np.int32(0)
    for at in range(bits.size):
        count += np.int32(bits[at] > 0)
    return int(count)


@compiled
def _scale(sums: Floats, loud: Floats, is_out: Integers, mix: float, scale: Floats) -> None:
    bits, highest = sums.view(np.int32), np.zeros(1, np.int32)
    peak = np.int32(0)
    for at in range(bits.size):
        peak = max(peak, bits[at])
    highest[0] = peak
    top = highest.view(np.float32)[0]
    first = 0
    while is_out[first]:
        first += 1
    scale[0] = (np.float32(1) - mix) / top if top > 0 else np.float32(0)
    scale[1] = mix / loud[first] if loud[first] > 0 else np.float32(0)


@compiled
def _mix(sums: Floats, loud: Floats, scale: Floats, mixed: Floats) -> None:
    by_interest, by_trending = scale[0], scale[1]
    for row in range(sums.size):
        value = sums[row] * by_interest + loud[row] * by_trending
        mixed[row] = value if sums[row] > 0 else np.float32(-1)


@compiled
def _keep(mixed: Floats, is_kept: Integers) -> None:
    for row in range(mixed.size):
        mixed[row] = mixed[row] if is_kept[row] else np.float32(-1)


@compiled
def _drop(sums: Floats, is_dropped: Integers) -> None:
    for row in range(sums.size):
        sums[row] = np.float32(0) if is_dropped[row] else sums[row]


@compiled
def _take(mixed: Floats, rows: Integers, scores: Floats, first: int) -> int:
    """Put the best into ``rows`` from ``first`` on, the best first, of equals the upper row; return the end."""
    blocks, bits = mixed.reshape(-1, BLOCK), mixed.view(np.int32).reshape(-1, BLOCK)
    end, floor = first, np.full(1, -1, np.float32)
    for number in range(bits.shape[0] if first < rows.size else 0):
        peak = LOWEST
        for at in range(BLOCK):
            peak = max(peak, bits[number, at])
        if peak > floor.view(np.int32)[0]:
            for at in range(BLOCK):
                if blocks[number, at] > floor[0]:
                    end = min(end + 1, rows.size)
                    _insert(blocks[number, at], number * BLOCK + at, scores[first:end], rows[first:end])
                    if end == rows.size:
                        floor[0] = scores[end - 1]
    return end


@compiled
def _insert(score: float, row: int, scores: Floats, rows: Integers) -> None:
    """Put the row where it belongs, behind its equals; the last one falls out."""
    at = scores.size - 1
    while at > 0 and scores[at - 1] < score:
        scores[at], rows[at] = scores[at - 1], rows[at - 1]
        at -= 1
    scores[at], rows[at] = score, row


# The places -------------------------------------------------------------------------------------


@compiled
def vary(best: Best, room: Integers, sketches: Floats, penalty: float, rows: Integers) -> None:
    """Choose for each reader as ``places.vary`` says."""
    k = best.rows.shape[1]
    common, is_taken = np.zeros(k, np.float32), np.zeros(k, np.bool_)
    for reader in range(room.size):
        common[:] = 0
        is_taken[:] = False
        candidates = best.rows[reader]
        for done in range(room[reader]):
            at = done if done < best.starred[reader] else _most_worth(best, reader, common, is_taken, penalty)
            is_taken[at] = True
            for other in range(k):
                if not is_taken[other] and candidates[other] >= 0:
                    common[other] = max(common[other], product(sketches[candidates[at]], sketches[candidates[other]]))
        place = 0
        for at in range(k):
            if is_taken[at]:
                rows[reader, place] = candidates[at]
                place += 1


@any_order
def product(a: Floats, b: Floats) -> np.float32:
    total = np.float32(0)
    for at in range(a.size):
        total += a[at] * b[at]
    return total


@compiled
def _most_worth(best: Best, reader: int, common: Floats, is_taken: Booleans, penalty: float) -> int:
    chosen, highest = 0, np.float32(-np.inf)
    for at in range(common.size):
        value = best.scores[reader, at] - np.float32(penalty) * common[at]
        if value > highest and not is_taken[at] and best.rows[reader, at] >= 0:
            chosen, highest = at, value
    return chosen


@compiled
def fill_up(board: Board, readers: Readers, for_you: Integers, total: Integers, rows: Integers) -> None:
    """Put the most trending papers that are left behind For you, up to ``total`` papers."""
    n = board.trending.size
    is_out, nobodys = np.zeros(n, np.uint8), np.zeros(n, np.float32)
    for reader in range(total.size):
        _hide(board.hides, readers, reader, nobodys, is_out)
        _leave_out(readers.left_out, reader, nobodys, is_out)
        end, row = for_you[reader], 0
        for place in range(end):
            is_out[rows[reader, place]] = 1
        while end < total[reader] and row < n:
            if not is_out[row]:
                rows[reader, end] = row
                end += 1
            row += 1
        is_out[:] = 0


@compiled
def explain(board: Board, readers: Readers, scale: Floats, picks: Picks) -> None:
    """Say what each follow adds to each pick, and what the pick's score is."""
    place_of = np.full(board.trending.size, -1, np.int32)
    answers = board.answers
    for reader in range(scale.shape[0]):
        rows, sums = picks.rows[reader], picks.scores[reader]
        for place in range(rows.size):
            if rows[place] >= 0:
                place_of[rows[place]] = place
        for follow in range(readers.ends[reader], readers.ends[reader + 1]):
            if not readers.flags[follow] & MUTED:
                for at in range(answers.ends[readers.query[follow]], answers.ends[readers.query[follow] + 1]):
                    place = place_of[answers.rows[at]]
                    if place >= 0:
                        picks.parts[follow, place] = readers.weight[follow] * answers.scores[at]
                        sums[place] += picks.parts[follow, place]
        boost = readers.boost_of[reader]
        for place in range(rows.size):
            row = rows[place]
            if row >= 0:
                place_of[row] = -1
                liked = sums[place] * readers.boosts[boost, row] if boost >= 0 else sums[place]
                sums[place] = liked * scale[reader, 0] + board.trending[row] * scale[reader, 1]
