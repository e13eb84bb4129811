"""Okapi BM25: how much each word says of each paper."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import snowballstemmer

from papers.phrases import Bools, Longs, ranges, runs, within

# The usual constants: Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and
# Beyond (2009), with the logarithm's argument raised by one so that a word of most papers weighs
# little instead of less than nothing.
K1 = 1.2
B = 0.75
# A word of the title counts twice (BM25F of the same source, one length for both).
TITLE_WEIGHT = 2.0

Floats = npt.NDArray[np.float64]

_STEMMER = snowballstemmer.stemmer("english")


@lru_cache(maxsize=200_000)
def stem(word: str) -> str:
    """Return what BM25 compares of a word; phrases fold plurals only."""
    found: str = _STEMMER.stemWord(word.lower())
    return found


@dataclass(frozen=True, slots=True)
class Okapi:
    """BM25 of s stems in n papers.

    ``numbers``: stem to its number. The papers that hold stem i are ``rows[first[i]:first[i + 1]]``,
    ascending; ``weights`` are its parts of their scores, > 0, ``often`` is how often they hold it, a
    title counting TITLE_WEIGHT times. ``rarity`` float64[s + 1]: of each stem, and of one that no
    paper holds, which has the number s. ``count`` is n.
    """

    numbers: dict[str, int]
    first: Longs
    rows: Longs
    weights: Floats
    rarity: Floats
    often: Floats
    count: int

    @classmethod
    def of(cls, stems: Sequence[str], terms: Longs, rows: Longs, is_title: Bools, count: int) -> "Okapi":
        """Weigh t words: ``terms`` are their places in ``stems``, which may hold one twice, ``rows`` their papers."""
        numbers = {word: number for number, word in enumerate(dict.fromkeys(stems))}
        renumbered = np.array([numbers[word] for word in stems], dtype=np.int64)
        worth = np.where(is_title, TITLE_WEIGHT, 1.0)
        keys = renumbered[terms] * count + rows
        order = np.argsort(keys, kind="stable")
        begins = runs(keys[order])
        found, papers = np.divmod(keys[order][begins], max(count, 1))
        often = np.add.reduceat(worth[order], begins) if len(begins) else np.empty(0)
        lengths = np.bincount(rows, weights=worth, minlength=count)
        damping = K1 * (1 - B + B * lengths / (lengths.mean() or 1.0)) if count else lengths
        first = ranges(found, len(numbers) + 1)
        held = np.diff(first)
        rarity = np.log(1 + (count - held + 0.5) / (held + 0.5))
        weights = rarity[found] * often * (K1 + 1) / (often + damping[papers])
        return cls(numbers, first, papers, weights, rarity, often, count)

    def highest(self, stems: Longs) -> Floats:
        """Return what the weights of ``stems`` stay below, however often they stand."""
        return self.rarity[stems] * (K1 + 1)

    def weigh(self, stems: Longs, rows: Longs) -> Floats:
        """Return the weight of each of m stems in the paper beside it, 0 where the paper does not hold it."""
        distinct, number = np.unique(stems, return_inverse=True)
        owner, places = within(self.first, distinct)
        table = np.zeros((len(distinct), self.count))
        table[owner, self.rows[places]] = self.weights[places]
        found: Floats = table[number.reshape(-1), rows]
        return found
