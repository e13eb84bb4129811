"""Many queries against one index at once: which papers answer each, which papers each hides.

What queries are made of, their parts, is looked for once, whoever asks for it. From there on all is
arrays of pairs, ``number of the part, alternative or query * n + row``, ascending.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from papers.fields import rows_with
from papers.index import PaperIndex
from papers.likeness import THRESHOLD, Like, alike
from papers.okapi import Floats
from papers.phrases import Longs, distinct, ends, ranges, runs, within
from papers.query import Alternative, Field, Query, Words
from papers.relevance import Asked


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


def match(index: PaperIndex, queries: Sequence[Query], likes: Mapping[str, Like] | None = None) -> Matches:
    """Return the papers that answer each of ``queries``, with their scores.

    ``likes`` are the papers that `like:` names, by arXiv id; one without matches nothing.
    """
    return _matches(index, queries, likes or {}, only_answers=True)


def related(index: PaperIndex, queries: Sequence[Query], likes: Mapping[str, Like] | None = None) -> Matches:
    """Return what ``match`` does and also all papers that hold a word of a topic, with a score by the same measure.

    Phrases, fields and exclusions bind these too.
    """
    return _matches(index, queries, likes or {}, only_answers=False)


def hide(index: PaperIndex, queries: Sequence[Query]) -> Hidden:
    """Return the papers that each of ``queries`` hides as a mute: by phrase, near form or field, nothing else."""
    rows, parts = max(len(index), 1), Parts.of(queries)
    asked = Asked(index, parts.topics, parts.phrases, is_scored=False)
    standing = _joined([asked.standing, _field_keys(index, parts)])
    found = _answering(parts, standing, np.ones(len(standing)), rows)
    query, row = np.divmod(_without(found, _excluded(parts, standing, rows)).keys, rows)
    return Hidden(ranges(query, len(queries)), row.astype(np.int32))


def _matches(index: PaperIndex, queries: Sequence[Query], likes: Mapping[str, Like], *, only_answers: bool) -> Matches:
    rows, parts = max(len(index), 1), Parts.of(queries)
    asked = Asked(index, parts.topics, parts.phrases, is_scored=True)
    scored, fields = asked.scored(only_answers=only_answers), _field_keys(index, parts)
    like_keys, like_scores = _like_keys(index, parts, likes)
    keys = _joined([scored.keys, fields, like_keys])
    values = np.concatenate([scored.scores, np.zeros(len(fields)), like_scores])
    found = _answering(parts, keys, values, rows)
    found = _without(found, _excluded(parts, _joined([asked.standing, fields]), rows))
    query, row = np.divmod(found.keys, rows)
    return Matches(ranges(query, len(queries)), row.astype(np.int32), found.scores.astype(np.float32))


# Parts ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Parts:
    """What q queries are made of, each once, numbered kind after kind in the order of the first four.

    Exclusions are among the topics, since both stand in near forms. ``query`` int64[a] is the query
    of each alternative, ``first`` int64[a + 1] and ``parts`` its parts; ``without`` are pairs of a
    query and a part that it excludes.
    """

    topics: dict[Words, int]
    phrases: dict[Words, int]
    fields: dict[Field, int]
    likes: dict[str, int]
    query: Longs
    first: Longs
    parts: Longs
    without: Longs

    @classmethod
    def of(cls, queries: Sequence[Query]) -> "Parts":
        alternatives = [query.alternatives for query in queries]
        sides = list(chain.from_iterable(alternatives))
        excluded = [(number, part) for number, query in enumerate(queries) for part in query.exclusions]
        left_out = [[pair for pair in excluded if isinstance(pair[1], Field) == is_field] for is_field in (False, True)]
        owners, held = _held(sides)
        topics, phrases, fields, likes = held
        numbered = [
            _numbered([*topics, *(part for _, part in left_out[0])]),
            _numbered(phrases),
            _numbered([*fields, *(part for _, part in left_out[1])]),
            _numbered(likes),
        ]
        starts = np.cumsum([0, *(len(numbers) for numbers, _ in numbered)])
        every = [start + number for start, (_, number) in zip(starts[:-1], numbered, strict=True)]
        parts = np.concatenate([number[: len(some)] for number, some in zip(every, held, strict=True)])
        out = np.array([number for some in left_out for number, _ in some], dtype=np.int64)
        side = np.concatenate(owners)
        return cls(
            *(numbered[0][0], numbered[1][0], numbered[2][0], numbered[3][0]),
            query=np.repeat(np.arange(len(queries)), _lengths(alternatives)),
            first=ends(np.bincount(side, minlength=len(sides))),
            parts=parts[np.argsort(side, kind="stable")],
            without=np.stack([out, np.append(every[0][len(topics) :], every[2][len(fields) :])], axis=1),
        )

    @property
    def count(self) -> int:
        return len(self.topics) + len(self.phrases) + len(self.fields) + len(self.likes)

    @property
    def has_score(self) -> npt.NDArray[np.bool_]:
        """Whether each part of an alternative says how well a paper suits; a field says whether it does."""
        number = self.parts - len(self.topics) - len(self.phrases)
        return (number < 0) | (number >= len(self.fields))


def _held(sides: Sequence[Alternative]) -> tuple[list[Longs], list[list[Any]]]:
    """Return, kind after kind, the parts of alternatives and whose each is; most have topics alone."""
    rich = [number for number, side in enumerate(sides) if side.phrases or side.fields or side.like]
    kinds: list[list[tuple[Any, ...]]] = [
        [side.topics for side in sides],
        [sides[number].phrases for number in rich],
        [sides[number].fields for number in rich],
        [sides[number].like for number in rich],
    ]
    whose = [np.arange(len(sides)), *[np.array(rich, dtype=np.int64)] * 3]
    owners = [np.repeat(number, _lengths(parts)) for number, parts in zip(whose, kinds, strict=True)]
    return owners, [list(chain.from_iterable(parts)) for parts in kinds]


def _lengths(several: Sequence[Sequence[object]]) -> Longs:
    return np.fromiter(map(len, several), dtype=np.int64, count=len(several))


def _numbered(parts: Sequence[Any]) -> tuple[dict[Any, int], Longs]:
    """Number what is distinct, in the order of the first of each; return the numbers by part, and each part's."""
    numbers = dict(zip(parts, range(len(parts)), strict=True))
    if len(numbers) == len(parts):  # as is usual, and looking up each takes long
        return numbers, np.arange(len(parts))
    numbers = {part: number for number, part in enumerate(dict.fromkeys(parts))}
    return numbers, np.fromiter(map(numbers.__getitem__, parts), dtype=np.int64, count=len(parts))


def _field_keys(index: PaperIndex, parts: Parts) -> Longs:
    found, before = rows_with(index, list(parts.fields)), len(parts.topics) + len(parts.phrases)
    return _joined([(before + number) * max(len(index), 1) + rows for number, rows in enumerate(found)])


def _like_keys(index: PaperIndex, parts: Parts, likes: Mapping[str, Like]) -> tuple[Longs, Floats]:
    known = [paper for paper in parts.likes if paper in likes]
    cosines = alike(index, [likes[paper] for paper in known])
    which, row = np.nonzero(cosines >= THRESHOLD)
    part = parts.count - len(parts.likes) + np.array([parts.likes[paper] for paper in known], dtype=np.int64)
    return part[which] * max(len(index), 1) + row, cosines[which, row]


def _joined(several: Sequence[Longs]) -> Longs:
    return np.concatenate([np.empty(0, dtype=np.int64), *several])


# Alternatives and queries -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Found:
    """Pairs of queries and papers: ``keys`` int64[m], ``query * n + row``, ascending, ``scores`` float64[m]."""

    keys: Longs
    scores: Floats


def _answering(parts: Parts, keys: Longs, values: Floats, rows: int) -> Found:
    """Return the papers that have all parts of an alternative of each query, with their best score.

    ``keys`` are the pairs of a part and a paper, ``values`` how well the paper suits.
    """
    side, row, score = _sides(parts, keys, values, rows)
    found = parts.query[side] * rows + row
    if np.any(np.diff(parts.query) == 0):  # several alternatives
        order = np.lexsort((-score, found))
        best = order[runs(found[order])]
        found, score = found[best], score[best]
    return Found(found, score)


def _sides(parts: Parts, keys: Longs, values: Floats, rows: int) -> tuple[Longs, Longs, Floats]:
    """Return the alternatives and the papers that have all their parts, and the mean of the parts' scores."""
    owner, places = within(ranges(keys // rows, parts.count), parts.parts)
    lengths = np.diff(parts.first)
    side = np.repeat(np.arange(len(lengths)), lengths)[owner]
    pairs, values = side * rows + keys[places] % rows, values[places]
    if lengths.max(initial=1) > 1:
        order = np.argsort(pairs, kind="stable")
        begins = runs(pairs[order])
        held = np.diff(np.append(begins, len(pairs)))
        values = np.add.reduceat(values[order], begins) if len(begins) else values
        pairs = pairs[order][begins]
        whole = held == lengths[pairs // rows]
        pairs, values = pairs[whole], values[whole]
    side, row = np.divmod(pairs, rows)
    told = np.bincount(np.repeat(np.arange(len(lengths)), lengths), weights=parts.has_score, minlength=len(lengths))
    alone = _rarity(np.bincount(side, minlength=len(lengths)), rows)
    return side, row, np.where(told[side] > 0, values / np.maximum(told[side], 1), alone[side])


def _rarity(held: Longs, rows: int) -> Floats:
    """Return the score of fields alone that ``held`` papers have: an author of one paper 1, a field of most little."""
    rarity: Floats = np.log(1 + (rows - held + 0.5) / (held + 0.5)) / np.log(1 + (rows - 0.5) / 1.5)
    return np.minimum(rarity, 1.0)


def _excluded(parts: Parts, standing: Longs, rows: int) -> Longs:
    """Return the pairs of a query and a paper in which something stands that the query excludes, ascending."""
    owner, places = within(ranges(standing // rows, parts.count), parts.without[:, 1])
    return distinct(parts.without[owner, 0] * rows + standing[places] % rows)


def _without(found: Found, excluded: Longs) -> Found:
    if not len(excluded):
        return found
    kept = ~np.isin(found.keys, excluded)
    return Found(found.keys[kept], found.scores[kept])
