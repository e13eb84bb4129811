"""Where phrases stand, all of them found in one pass over the papers."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from papers.index import NONE, SHORTEST_HALF, PaperIndex
from papers.phrases import Longs, Phrases, distinct
from papers.text import STOP_WORDS


@dataclass(frozen=True, slots=True)
class Occurrences:
    """m places where phrases stand, each once and in order: ``phrase``, ``start`` and ``end`` (one past) int64[m]."""

    phrase: Longs
    start: Longs
    end: Longs


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the papers: ``word`` int64[t + 2] is the number of what starts at a place, or NONE."""

    word: Longs
    width: int  # places


def occurrences(index: PaperIndex, phrases: Phrases, readings: Sequence[Reading]) -> Occurrences:
    """Return where ``phrases``, which are distinct, stand, joined, parted or hyphenated as it may be.

    `multi-modal`, `multi modal` and `multimodal` are one, and so are `data set` and `dataset`.
    ``readings`` are those that ``as_words`` gives for their words.
    """
    trie = Trie.of(phrases, index.vocabulary)
    joined = Reading(np.where(index.terms == NONE, NONE, index.terms.astype(np.int64) + len(phrases.names)), 1)
    return _distinct(trie, _walk(trie, [*readings, joined], len(index.segment)))


# The papers' words ------------------------------------------------------------------------------


def as_words(index: PaperIndex, names: Sequence[str]) -> list[Reading]:
    """Return the three ways to read the papers as numbered words: as they stand, as acronyms, two as one."""
    numbers = {word: number for number, word in enumerate(names)}
    number = np.array([*(numbers.get(word, NONE) for word in index.vocabulary), NONE], dtype=np.int64)
    return [
        Reading(number[index.terms], 1),
        Reading(number[index.acronyms], 1),
        Reading(_pairs(index, numbers), 2),
    ]


def _pairs(index: PaperIndex, numbers: dict[str, int]) -> Longs:
    """Return where two words stand that are written as one: by a hyphen, or as `data set` is `dataset`."""
    read = np.full(len(index.terms), NONE, dtype=np.int64)
    keys, places = index.pairs
    parted = [(key, number) for word, number in numbers.items() for key in _parted(index, word)]
    wanted = np.array([key for key, _ in parted], dtype=np.int64)
    low, high = np.searchsorted(keys, wanted), np.searchsorted(keys, wanted, side="right")
    for (_, number), start, end in zip(parted, low.tolist(), high.tolist(), strict=True):
        read[places[start:end]] = number
    for joined, found in index.hyphenated.items():
        if joined in numbers:
            read[found] = numbers[joined]
    return read


def _parted(index: PaperIndex, word: str) -> Iterator[int]:
    """Yield each pair of words that together are ``word``; `nowhere` is not `now here`, by luck at most."""
    known = index.vocabulary
    for cut in range(SHORTEST_HALF, len(word) - SHORTEST_HALF + 1):
        first, second = word[:cut], word[cut:]
        if first in known and second in known and first not in STOP_WORDS and second not in STOP_WORDS:
            yield known[first] * len(known) + known[second]


# The phrases' words -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Trie:
    """The phrases by their common beginnings.

    ``keys`` int64, sorted: ``node * width + word`` of each step from node to node, ``to`` int64 where
    it leads; node 0 is the beginning. A word from ``names`` of the phrases has its number, two that
    the papers hold as one have that one's number in the vocabulary behind them. ``phrase`` int64:
    which phrase a node ends, or NONE. ``begins`` int64[width]: where each word leads from node 0, or NONE.
    """

    keys: Longs
    to: Longs
    phrase: Longs
    begins: Longs
    width: int

    @classmethod
    def of(cls, phrases: Phrases, vocabulary: dict[str, int]) -> "Trie":
        width = len(phrases.names) + len(vocabulary) + 1
        nodes, keys = _nodes(phrases, width)
        to = np.arange(1, len(keys) + 1)
        places, joined = phrases.joined(vocabulary)
        if len(places):
            # A step over two words: from the node before the first to the node after the second.
            before = np.where(np.isin(places, phrases.first), 0, nodes[places - 1])
            steps = before * width + len(phrases.names) + joined
            keys, kept = np.unique(np.concatenate([keys, steps]), return_index=True)
            to = np.concatenate([to, nodes[places + 1]])[kept]
        phrase = np.full(int(nodes.max(initial=0)) + 1, NONE, dtype=np.int64)
        is_some = phrases.lengths > 0
        phrase[nodes[phrases.first[1:][is_some] - 1]] = np.flatnonzero(is_some)
        begins = np.full(width, NONE, dtype=np.int64)
        begins[keys[keys < width]] = to[keys < width]
        return cls(keys, to, phrase, begins, width)

    def after(self, node: Longs, word: Longs) -> Longs:
        """Return where each word leads from the node beside it, or NONE."""
        if not node.any():  # every place of the papers: too many to search for
            return self.begins[word]
        keys = node * self.width + word
        places = np.minimum(np.searchsorted(self.keys, keys), len(self.keys) - 1)
        return np.where(self.keys[places] == keys, self.to[places], NONE)


def _nodes(phrases: Phrases, width: int) -> tuple[Longs, Longs]:
    """Return the node after each word, and the key of the step to each node from 1 on, in order."""
    nodes = np.zeros(len(phrases.words), dtype=np.int64)
    keys = [np.empty(0, dtype=np.int64)]
    count, number = 1, 0
    going = np.flatnonzero(phrases.lengths > 0)
    before = np.zeros(len(going), dtype=np.int64)
    while len(going):
        places = phrases.first[going] + number
        steps, found = np.unique(before * width + phrases.words[places], return_inverse=True)
        nodes[places] = before = count + found.reshape(-1)
        keys.append(steps)
        count, number = count + len(steps), number + 1
        goes_on = phrases.lengths[going] > number
        going, before = going[goes_on], before[goes_on]
    return nodes, np.concatenate(keys)


# The walk ---------------------------------------------------------------------------------------

Reached = tuple[Longs, Longs, Longs]  # nodes, from where, to where


def _walk(trie: Trie, readings: Sequence[Reading], count: int) -> Iterator[Reached]:
    """Yield what is reached, round by round, each a word of a phrase further; two readings may reach the same."""
    start = end = np.arange(count, dtype=np.int64)
    node = np.zeros(count, dtype=np.int64)
    goes_on = np.zeros(len(trie.phrase), dtype=np.bool_)
    goes_on[trie.keys // trie.width] = True
    while len(node) and len(trie.keys):
        reached = [_step(trie, reading, node, start, end) for reading in readings]
        node, start, end = _once(*(np.concatenate(several) for several in zip(*reached, strict=True)))
        yield node, start, end
        further = goes_on[node]
        node, start, end = node[further], start[further], end[further]


def _step(trie: Trie, reading: Reading, node: Longs, start: Longs, end: Longs) -> Reached:
    word = reading.word[end]
    held = np.flatnonzero(word != NONE)
    to = trie.after(node[held], word[held])
    held, to = held[to != NONE], to[to != NONE]
    return to, start[held], end[held] + reading.width


def _once(node: Longs, start: Longs, end: Longs) -> Reached:
    """Return each of them once and in order: else what is joined and parted at every word would never end."""
    width = int((end - start).max(initial=0)) + 1
    keys = distinct((node * (int(start.max(initial=0)) + 1) + start) * width + end - start)
    rest, wide = np.divmod(keys, width)
    node, start = np.divmod(rest, int(start.max(initial=0)) + 1)
    return node, start, start + wide


def _distinct(trie: Trie, reached: Iterable[Reached]) -> Occurrences:
    empty = np.empty(0, dtype=np.int64)
    parts = [(empty, empty, empty)]
    for node, start, end in reached:
        whole = trie.phrase[node] != NONE
        parts.append((trie.phrase[node[whole]], start[whole], end[whole]))
    return Occurrences(*_once(*(np.concatenate(several) for several in zip(*parts, strict=True))))
