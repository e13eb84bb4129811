"""Many phrases as arrays of words, and ranges of arrays."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from papers.query import Words
from papers.text import STOP_WORDS

Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]


def within(indptr: Longs, which: Longs) -> tuple[Longs, Longs]:
    """Return the places of some ranges, one after the other: for each its number in ``which``, and the place."""
    starts = indptr[which]
    lengths = indptr[which + 1] - starts
    owner = np.repeat(np.arange(len(which)), lengths)
    return owner, np.arange(len(owner)) + np.repeat(starts - np.cumsum(lengths) + lengths, lengths)


def ends(lengths: Sequence[int]) -> Longs:
    """Return int64[len(lengths) + 1]: where ranges of such lengths begin and end."""
    return np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))])


def ranges(numbers: Longs, count: int) -> Longs:
    """Return int64[count + 1]: where each of ``count`` numbers begins and ends in sorted ``numbers``."""
    return np.searchsorted(numbers, np.arange(count + 1)).astype(np.int64)


def distinct(keys: Longs) -> Longs:
    """Return the distinct keys, ascending; ``np.unique`` hashes, which takes several times as long as sorting."""
    keys = np.sort(keys)
    return keys[runs(keys)]


def runs(keys: Longs) -> Longs:
    """Return the places at which another of the sorted ``keys`` begins."""
    return np.flatnonzero(np.concatenate([np.ones(min(len(keys), 1), dtype=np.bool_), np.diff(keys) != 0]))


@dataclass(frozen=True)
class Phrases:
    """p phrases: ``words`` int64 are their words one after the other, numbered in ``names``; ``first`` int64[p + 1]."""

    names: list[str]
    words: Longs
    first: Longs

    @classmethod
    def of(cls, phrases: Sequence[Words]) -> "Phrases":
        numbers: dict[str, int] = {}
        for word in chain.from_iterable(phrases):
            numbers.setdefault(word, len(numbers))
        first = np.zeros(len(phrases) + 1, dtype=np.int64)
        np.cumsum(np.fromiter(map(len, phrases), dtype=np.int64, count=len(phrases)), out=first[1:])
        words = np.fromiter(map(numbers.__getitem__, chain.from_iterable(phrases)), dtype=np.int64, count=first[-1])
        return cls(list(numbers), words, first)

    def __len__(self) -> int:
        return len(self.first) - 1

    @cached_property
    def lengths(self) -> Longs:
        return np.diff(self.first)

    @cached_property
    def phrase(self) -> Longs:
        """Which phrase each word is of."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @cached_property
    def content(self) -> Longs:
        """The places of the words that are no stop words, and of all words of a phrase that has no other."""
        is_stop = np.array([name in STOP_WORDS for name in self.names], dtype=np.bool_)[self.words]
        has_content = np.bincount(self.phrase, weights=~is_stop, minlength=len(self)) > 0
        return np.flatnonzero(~(is_stop & has_content[self.phrase]))

    @cached_property
    def neighbours(self) -> tuple[Longs, list[str]]:
        """The places of all words but the last of each phrase, and each joined with the next word, in lower case."""
        is_last = np.zeros(len(self.words), dtype=np.bool_)
        is_last[self.first[1:][self.lengths > 0] - 1] = True
        places = np.flatnonzero(~is_last)
        pairs, inverse = np.unique(self.words[places] * len(self.names) + self.words[places + 1], return_inverse=True)
        first, second = np.divmod(pairs, max(len(self.names), 1))
        joined = [(self.names[a] + self.names[b]).lower() for a, b in zip(first.tolist(), second.tolist(), strict=True)]
        return places, [joined[pair] for pair in inverse.reshape(-1).tolist()]

    def joined(self, known: dict[str, int]) -> tuple[Longs, Longs]:
        """Return the places whose word makes a known one with the next, and the numbers of those."""
        places, joined = self.neighbours
        numbers = np.fromiter((known.get(word, -1) for word in joined), dtype=np.int64, count=len(joined))
        return places[numbers >= 0], numbers[numbers >= 0]
