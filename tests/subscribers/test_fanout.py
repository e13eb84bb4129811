"""The fan-out gives every reader their exact best papers, compiled or not, in the order of the rules."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from subscribers import fanout
from subscribers.fanout import MUTED, STARRED, WORTH_COMPILING, Best, Board, Lines, Readers, fan_out

PAPERS, QUERIES, K = 40, 8, 5


def lines(of, *, scored=True):
    """Lines out of a list of ``{row: score}``."""
    rows = [row for line in of for row in line]
    scores = [score for line in of for score in line.values()] if scored else []
    ends = np.cumsum([0, *map(len, of)])
    return Lines(ends, np.array(rows, np.uint16), np.array(scores, np.float32))


def readers_of(wanted, n=PAPERS):
    """Readers out of ``(follows, mix, left out)``; a follow is ``(query, weight, flags)``."""
    follows = [follow for asked, _mix, _out in wanted for follow in asked]
    query, weight, flags = zip(*follows, strict=True) if follows else ((), (), ())
    return Readers(
        ends=np.cumsum([0, *(len(asked) for asked, _mix, _out in wanted)]),
        query=np.array(query, np.int32),
        weight=np.array(weight, np.float32),
        flags=np.array(flags, np.uint8),
        mix=np.array([mix for _asked, mix, _out in wanted], np.float32),
        left_out=lines([dict.fromkeys(out, 0) for _asked, _mix, out in wanted], scored=False),
        boost_of=np.full(len(wanted), -1, np.int32),
        boosts=np.zeros((0, n), np.float32),
    )


def slowly(answers, hides, trending, asked):
    """The rules once more, as they are written, one paper at a time: its row, its score, whether it is starred."""
    follows, mix, out = asked
    gone = {row for query, _weight, flags in follows if flags & MUTED for row in hides[query]} | set(out)
    liked = [(answers[query], np.float32(weight), flags) for query, weight, flags in follows if not flags & MUTED]
    left = [row for row in range(len(trending)) if row not in gone]
    total = {
        row: sum((w * np.float32(found[row]) for found, w, _ in liked if row in found), np.float32(0)) for row in left
    }
    top, loudest = max(total.values(), default=0), max((trending[row] for row in left), default=0)
    a = (np.float32(1) - np.float32(mix)) / top if top else np.float32(0)
    b = np.float32(mix) / loudest if loudest else np.float32(0)
    found = [
        (not any(row in f and g & STARRED for f, _, g in liked), -(total[row] * a + trending[row] * b), row)
        for row in left
        if total[row]
    ]
    return [(row, -score, not is_plain) for is_plain, score, row in sorted(found)[:K]]


row = st.integers(0, PAPERS - 1)
answer = st.dictionaries(row, st.sampled_from([0.1, 0.25, 0.3, 0.5, 1.0]), max_size=20)
follow = st.tuples(
    st.integers(0, QUERIES - 1), st.sampled_from([0.5, 1.0, 3.0]), st.sampled_from([0, 0, 0, STARRED, MUTED])
)
reader = st.tuples(st.lists(follow, max_size=6), st.sampled_from([0, 0.3, 0.5, 1]), st.sets(row, max_size=6))
trending_scores = st.lists(st.sampled_from([0, 1, 1.5, 7]), min_size=PAPERS, max_size=PAPERS)


@given(
    st.lists(answer, min_size=QUERIES, max_size=QUERIES),
    st.lists(st.sets(row, max_size=8), min_size=QUERIES, max_size=QUERIES),
    trending_scores,
    st.lists(reader, min_size=20, max_size=20),
)
@settings(max_examples=50, deadline=None)
def test_a_thousand_readers_get_what_the_rules_say(answers, hides, trending, wanted):
    trending = np.array(sorted(trending, reverse=True), np.float32)
    board = Board(lines(answers), lines([dict.fromkeys(h, 0) for h in hides], scored=False), trending)

    best = fan_out(board, readers_of(wanted), K)

    for number, asked in enumerate(wanted):
        expected = slowly(answers, hides, trending, asked)
        found = best.rows[number][best.rows[number] >= 0]
        assert found.tolist() == [row for row, _score, _starred in expected]
        assert best.scores[number, : found.size].tolist() == [score for _row, score, _starred in expected]
        assert best.starred[number] == sum(is_starred for _row, _score, is_starred in expected)


def many(count, seed=1):
    """A board and readers of all kinds, by chance; papers trend alike by the dozen, so that scores are equal."""
    draw = np.random.default_rng(seed)

    def some(number, most):
        return [
            {int(row): float(draw.random() + 0.01) for row in draw.choice(300, draw.integers(0, most))}
            for _ in range(number)
        ]

    board = Board(
        lines(some(60, 120)), lines(some(60, 20), scored=False), -np.sort(-draw.random(300, np.float32).round(1))
    )
    wanted = [
        (
            [
                (draw.integers(60), draw.random() + 0.1, draw.choice([0, 0, 0, STARRED, MUTED]))
                for _ in range(draw.integers(0, 9))
            ],
            draw.choice([0, 0.3, 1]),
            draw.choice(300, draw.integers(0, 9)),
        )
        for _ in range(count)
    ]
    readers = readers_of(wanted, 300)
    boosts = (draw.random((3, 300)) + 0.5).astype(np.float32)
    return board, readers._replace(boost_of=draw.integers(-1, 3, count).astype(np.int32), boosts=boosts)


@pytest.mark.parametrize("k", [1, 10, 30, 100])
def test_machine_code_and_numpy_agree_to_the_last_bit(k):
    pytest.importorskip("numba", reason="without numba (the extra `fast`) there is no machine code to compare")
    board, readers = many(WORTH_COMPILING)
    compiled = fan_out(board, readers, k)
    plain = fan_out(board, readers, k)
    for part in plain:
        part[:] = -1 if part is plain.rows else 0

    fanout._fan_out(board, readers, plain)

    for name in Best._fields:
        assert (getattr(compiled, name) == getattr(plain, name)).all(), name


def test_no_paper_no_reader_and_no_interest_are_no_trouble():
    empty = Board(lines([]), lines([], scored=False), np.zeros(0, np.float32))

    assert fan_out(empty, readers_of([], 0), K).rows.shape == (0, K)
    assert fan_out(empty, readers_of([([], 0.5, ())] * WORTH_COMPILING, 0), K).rows.max() == -1


def test_a_thumb_moves_a_paper_but_never_makes_it_an_answer():
    board = Board(lines([{0: 0.5, 1: 0.5}]), lines([]), np.ones(3, np.float32))
    readers = readers_of([([(0, 1.0, 0)], 0, ())], 3)._replace(
        boost_of=np.zeros(1, np.int32), boosts=np.array([[0.5, 1.5, 9]], np.float32)
    )

    assert fan_out(board, readers, 3).rows.tolist() == [[1, 0, -1]]


@pytest.mark.parametrize(
    "asked", [([(1, 1.0, 0)], 0, ()), ([(0, 1.0, MUTED)], 0, ()), ([(-1, 1.0, 0)], 0, ()), ([], 0, (3,))]
)
def test_an_index_beside_the_board_is_refused(asked):
    board = Board(lines([{0: 1}]), lines([]), np.ones(3, np.float32))

    with pytest.raises(IndexError):
        fan_out(board, readers_of([asked], 3), 3)
