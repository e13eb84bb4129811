"""Many phrases as arrays of words, and ranges of arrays."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, repeat
from operator import add

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


def ends(lengths: Sequence[int] | Longs) -> Longs:
    """Return int64[len(lengths) + 1]: where ranges of such lengths begin and end."""
    return np.concatenate([[0], np.cumsum(np.array(lengths, dtype=np.int64))])


def ranges(numbers: Longs, count: int) -> Longs:
    """Return int64[count + 1]: where each number below ``count`` begins and ends in sorted ``numbers``, all such."""
    return ends(np.bincount(numbers, minlength=count))


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
        return cls([], np.empty(0, dtype=np.int64), np.zeros(1, dtype=np.int64)).extended(phrases)

    def extended(self, phrases: Sequence[Words]) -> "Phrases":
        """Return these and some more."""
        numbers: defaultdict[str, int] = defaultdict(None, zip(self.names, range(len(self.names)), strict=True))
        numbers.default_factory = numbers.__len__
        more = np.fromiter(map(numbers.__getitem__, chain.from_iterable(phrases)), dtype=np.int64)
        lengths = np.fromiter(map(len, phrases), dtype=np.int64, count=len(phrases))
        first = np.concatenate([self.first, self.first[-1] + np.cumsum(lengths)])
        return Phrases(list(numbers), np.concatenate([self.words, more]), first)

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
    def is_stop(self) -> Bools:
        """Whether each word is a stop word."""
        return np.array([name in STOP_WORDS for name in self.names], dtype=np.bool_)[self.words]

    @cached_property
    def content(self) -> Longs:
        """The places of the words that are no stop words, and of all words of a phrase that has no other."""
        has_content = np.bincount(self.phrase, weights=~self.is_stop, minlength=len(self)) > 0
        return np.flatnonzero(~(self.is_stop & has_content[self.phrase]))

    @cached_property
    def has_next(self) -> Bools:
        """Whether each word is not the last of its phrase."""
        has_next = np.ones(len(self.words), dtype=np.bool_)
        has_next[self.first[1:][self.lengths > 0] - 1] = False
        return has_next

    def with_next(self, places: Longs) -> tuple[Longs, list[str]]:
        """Join the words at ``places`` with the next ones, in lower case: each place's number in the distinct ones."""
        pairs, which = np.unique(self.words[places] * len(self.names) + self.words[places + 1], return_inverse=True)
        first, second = np.divmod(pairs, max(len(self.names), 1))
        name = self.names.__getitem__
        joined = map(add, map(name, first.tolist()), map(name, second.tolist()))
        return which.reshape(-1), list(map(str.lower, joined))

    @cached_property
    def neighbours(self) -> tuple[Longs, Longs, list[str]]:
        """The places of all words but the last of each phrase, and what ``with_next`` gives for them."""
        places = np.flatnonzero(self.has_next)
        return places, *self.with_next(places)

    def joined(self, known: dict[str, int]) -> tuple[Longs, Longs]:
        """Return the places whose word makes a known one with the next, and the numbers of those."""
        places, which, joined = self.neighbours
        numbers = np.fromiter(map(known.get, joined, repeat(-1)), dtype=np.int64, count=len(joined))[which]
        return places[numbers >= 0], numbers[numbers >= 0]
