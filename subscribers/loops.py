"""The inner loops over readers as machine code; importing this needs numba, the extra ``fast``."""

from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar, cast

import numba
import numpy as np

from subscribers.fanout import MUTED, STARRED, Best, Board, Booleans, Floats, Integers, Lines, Readers
from subscribers.places import Picks

Loop = TypeVar("Loop", bound=Callable[..., object])

LANES = 64  # four registers of AVX-512
STEPS, QUARTER = 10, 1 << 24  # of the search for a score little below the k-th; what halves a float twice
LIFT, ROWS = 1 << 30, 2**32 - 1
HIGHEST = np.int32(2**31 - 1)


def compiled(loop: Loop, **options: Any) -> Loop:
    """Return ``loop`` as machine code, which is kept beside this file where it may be.

    What is kept is made anew when this file changes, not when a constant from another does.
    """
    try:
        return cast("Loop", numba.njit(cache=True, **options)(loop))
    except RuntimeError:  # there is no folder to keep it in: every process makes its own
        return cast("Loop", numba.njit(**options)(loop))


def inner(loop: Loop) -> Loop:
    """Compile what only other loops call, without what it takes to call it from Python."""
    return compiled(loop, no_cpython_wrapper=True, no_cfunc_wrapper=True)


def any_order(loop: Loop) -> Loop:
    """Compile a sum of whole numbers, which is the same in any order, as floats: many are added at once."""
    return compiled(loop, fastmath={"reassoc", "contract"})


# The best ---------------------------------------------------------------------------------------


class Desk(NamedTuple):
    """What a reader's papers are worked out on; one memory may be seen as floats and as their bits.

    ``sums``, ``mixed``, ``loud`` float32[size], ``is_starred`` int32[size] (0 or ``LIFT``), ``is_out`` uint8[size]:
    of each paper, padded with rows that nothing answers; ``lanes`` is ``mixed`` as bits, int32[size / LANES, LANES],
    with the ``peaks`` of its columns. ``top`` float32[1] of the sums. ``keys`` int64[k]: the best.
    """

    sums: Floats
    sum_bits: Integers
    mixed: Floats
    lanes: Integers
    loud: Floats
    is_starred: Integers
    is_out: Integers
    peaks: Integers
    top: Floats
    top_bits: Integers
    keys: Integers


def desk(board: Board, k: int) -> Desk:
    """Return an empty desk. Machine code that makes arrays itself takes seconds longer to compile."""
    n = board.trending.size
    size = (n // LANES + 1) * LANES
    sums, mixed, loud, top = (np.zeros(length, np.float32) for length in (size, size, size, 1))
    loud[:n] = board.trending
    return Desk(
        sums=sums,
        sum_bits=sums.view(np.int32),
        mixed=mixed,
        lanes=mixed.view(np.int32).reshape(-1, LANES),
        loud=loud,
        is_starred=np.zeros(size, np.int32),
        is_out=np.zeros(size, np.uint8),
        peaks=np.zeros(LANES, np.int32),
        top=top,
        top_bits=top.view(np.int32),
        keys=np.zeros(k, np.int64),
    )


def fan_out(board: Board, readers: Readers, best: Best) -> None:
    """Fill ``best``."""
    left_out = readers.left_out._replace(rows=readers.left_out.rows.astype(np.uint32, copy=False))
    _fan_out(
        board, readers._replace(left_out=left_out), best, best.scores.view(np.int32), desk(board, best.rows.shape[1])
    )


@compiled
def _fan_out(board: Board, readers: Readers, best: Best, score_bits: Integers, desk: Desk) -> None:
    """Fill ``best`` reader by reader.

    A reader's sums stand in one dense line, which stays in the first-level cache: adding needs no search, and
    all else is straight runs over it, many papers at once.
    """
    sums, is_out, boosts = desk.sums, desk.is_out, readers.boosts
    for reader in range(readers.mix.size):
        has_star = _add(board.answers, readers, reader, sums, desk.is_starred)
        best.counts[reader, 1] = _hide(board.hides, readers, reader, sums, is_out)
        answered = _leave_out(readers.left_out, reader, sums, is_out)
        best.counts[reader, 0] = answered + _top(desk.sum_bits, desk.top_bits)
        best.counts[reader, 2] = answered
        boost = readers.boost_of[reader]
        if boost >= 0:
            for row in range(boosts.shape[1]):
                sums[row] *= boosts[boost, row]
            _top(desk.sum_bits, desk.top_bits)
        by_interest, by_trending = _scale(desk.top[0], desk.loud, is_out, readers.mix[reader])
        best.scale[reader, 0], best.scale[reader, 1] = by_interest, by_trending
        _mix(sums, desk.loud, by_interest, by_trending, desk.mixed)
        if has_star:
            _lift(desk.lanes, desk.is_starred)
        end = _take(desk.lanes, desk.peaks, desk.keys)
        best.starred[reader] = _write(desk.keys, end, best.rows, score_bits, reader)
        for row in range(sums.size):
            sums[row] = 0
        for row in range(is_out.size):
            is_out[row] = 0


@inner
def _add(answers: Lines, readers: Readers, reader: int, sums: Floats, is_starred: Integers) -> bool:
    """Add up what answers; return whether an interest is starred."""
    has_star = False
    for follow in range(readers.ends[reader], readers.ends[reader + 1]):
        if readers.flags[follow] & MUTED:
            continue
        query, weight = readers.query[follow], readers.weight[follow]
        start, end = answers.ends[query], answers.ends[query + 1]
        for at in range(start, end):
            sums[answers.rows[at]] += weight * answers.scores[at]
        if readers.flags[follow] & STARRED:
            has_star = True
            for at in range(start, end):
                is_starred[answers.rows[at]] = LIFT
    return has_star


@inner
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


@inner
def _leave_out(left_out: Lines, reader: int, sums: Floats, is_out: Integers) -> int:
    """Leave out what was sent or voted down; return how many of them answered."""
    answered = 0
    for at in range(left_out.ends[reader], left_out.ends[reader + 1]):
        row = left_out.rows[at]
        answered += sums[row] > 0
        is_out[row] = 1
        sums[row] = 0
    return answered


@inner
def _top(bits: Integers, top: Integers) -> int:
    """Find the highest sum and count those above 0, by their bits: they have the same order as no sum is negative."""
    count, highest = np.int32(0), np.int32(0)
    for at in range(bits.size):
        count += np.int32(bits[at] > 0)
        highest = max(highest, bits[at])
    top[0] = highest
    return int(count)


@inner
def _scale(top: np.float32, loud: Floats, is_out: Integers, mix: np.float32) -> tuple[np.float32, np.float32]:
    first, none = 0, np.float32(0)
    while is_out[first]:
        first += 1
    return (np.float32(1) - mix) / top if top > 0 else none, mix / loud[first] if loud[first] > 0 else none


@inner
def _mix(sums: Floats, loud: Floats, by_interest: np.float32, by_trending: np.float32, mixed: Floats) -> None:
    for row in range(sums.size):
        value = sums[row] * by_interest + loud[row] * by_trending
        mixed[row] = value if sums[row] > 0 else np.float32(-1)


@inner
def _lift(lanes: Integers, is_starred: Integers) -> None:
    """Lift what is starred above all else by the bit that no score below 2 has."""
    for number in range(lanes.shape[0]):
        for lane in range(LANES):
            lanes[number, lane] |= is_starred[number * LANES + lane]
            is_starred[number * LANES + lane] = 0


@inner
def _take(lanes: Integers, peaks: Integers, keys: Integers) -> int:
    """Put the best into ``keys``, the best first; return how many there are.

    A key is the bits of a score before the row counted from the end: of equals the upper row has the higher one.
    """
    end, floor = 0, _floor(lanes, peaks, keys.size)
    for lane in range(LANES):
        for number in range(lanes.shape[0] if peaks[lane] >= floor and keys.size else 0):
            if lanes[number, lane] >= floor:
                key = np.int64(lanes[number, lane]) << 32 | (ROWS - (number * LANES + lane))
                end = _insert(key, keys, end)
    return end


@inner
def _insert(key: np.int64, keys: Integers, end: int) -> int:
    """Put the key where it belongs among those before ``end``, or nowhere; return the new end."""
    if end < keys.size:
        keys[end] = -1
        end += 1
    at = end - 1
    if key > keys[at]:
        while at > 0 and keys[at - 1] < key:
            keys[at] = keys[at - 1]
            at -= 1
        keys[at] = key
    return end


@inner
def _floor(lanes: Integers, peaks: Integers, k: int) -> int:
    """Fill in the ``peaks``; return a score, as bits, that at least ``k`` of them reach, hardly more do; or else 0."""
    for lane in range(LANES):
        peaks[lane] = -1
    for number in range(lanes.shape[0]):
        for lane in range(LANES):
            peaks[lane] = max(peaks[lane], lanes[number, lane])
    low, high = HIGHEST, np.int32(0)
    for lane in range(LANES):
        low, high = min(low, peaks[lane]), max(high, peaks[lane])
    low = max(low, np.int32(0))
    middle = np.int32(max(low, high - QUARTER))
    for _ in range(STEPS if k < LANES else 0):
        reached = np.int32(0)
        for lane in range(LANES):
            reached += np.int32(peaks[lane] >= middle)
        is_enough = reached >= k
        low, high = (middle if is_enough else low), (high if is_enough else middle)  # no branch to guess
        if is_enough and reached < k + 2:
            break
        middle = np.int32(low + (high - low) // 2)
    return int(low)


@inner
def _write(keys: Integers, end: int, rows: Integers, score_bits: Integers, reader: int) -> int:
    """Take the keys apart; return how many are starred."""
    starred = 0
    for at in range(end):
        bits = keys[at] >> 32
        starred += bits >= LIFT
        score_bits[reader, at] = bits & ~LIFT
        rows[reader, at] = ROWS - (keys[at] & ROWS)
    return starred


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
