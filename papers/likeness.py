"""How alike two papers are: by their words, and where an encoder tells, on the same scale by that."""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from papers.index import Document, PaperIndex, segments
from papers.okapi import TITLE_WEIGHT, Floats, Okapi, stem
from papers.phrases import within
from papers.text import STOP_WORDS

STOPPED = frozenset(map(stem, STOP_WORDS))
# The cosine from which a paper is like another. Of 1,500 papers of hf_ai_keywords each has four or five
# such, a quarter of which share a keyword with it; of all other pairs 2.6 % do. At 0.2 there would be one,
# and a third would share a keyword.
THRESHOLD = 0.15


@dataclass(frozen=True, slots=True)
class Profile:
    """What a paper is about: its stems without stop words, and how much each counts in it, > 0."""

    stems: tuple[str, ...]
    counts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Near:
    """How alike an encoder finds a paper and each of an index's n: ``scores`` float32[n], THRESHOLD as for words."""

    scores: npt.NDArray[np.float32]


Like = Profile | Near


def near(closeness: npt.NDArray[np.float32], least: float) -> Near:
    """Return float32[n] of closeness, at most 1, as likeness that begins at ``least``, below 1."""
    above = (np.minimum(closeness, 1.0) - least) / (1 - least)
    return Near((THRESHOLD + (1 - THRESHOLD) * above).astype(np.float32))


def profile(document: Document) -> Profile:
    """Return the profile of a paper: a stem that stands n times, in the title twice as often, counts 1 + ln n."""
    counts: defaultdict[str, float] = defaultdict(float)
    for segment in segments(document):
        worth = TITLE_WEIGHT if segment.field == "title" else 1
        for token in segment.tokens:
            if (word := stem(token.term)) not in STOPPED:
                counts[word] += worth
    return Profile(tuple(counts), tuple(1 + math.log(count) for count in counts.values()))


def alike(index: PaperIndex, likes: Sequence[Like]) -> Floats:
    """Return float64[len(likes), n]: how alike each and each paper of the index are, at most 1."""
    by_words = iter(closeness(index, [like for like in likes if isinstance(like, Profile)]))
    lines = [like.scores if isinstance(like, Near) else next(by_words) for like in likes]
    return np.array(lines, dtype=np.float64).reshape(len(likes), len(index))


def closeness(index: PaperIndex, profiles: Sequence[Profile]) -> Floats:
    """Return float64[len(profiles), n]: the cosine of each profile and each paper over TF-IDF, 0 to 1."""
    cosines = np.empty((len(profiles), len(index)))
    if not profiles:
        return cosines
    okapi = index.okapi
    held = np.repeat(np.arange(len(okapi.first) - 1), np.diff(okapi.first))
    is_told = np.array([word not in STOPPED for word in okapi.numbers] + [False], dtype=np.bool_)
    weights = np.where(is_told[held], (1 + np.log(okapi.often)) * okapi.rarity[held], 0.0)
    lengths = np.sqrt(np.bincount(okapi.rows, weights=weights**2, minlength=len(index)))
    for number, one in enumerate(profiles):
        cosines[number] = _dots(okapi, weights, one) / np.maximum(lengths * _length(okapi, one), 1e-9)
    return np.minimum(cosines, 1.0)


def _dots(okapi: Okapi, weights: Floats, one: Profile) -> Floats:
    stems = np.array([okapi.numbers.get(word, len(okapi.numbers)) for word in one.stems], dtype=np.int64)
    counts = np.array(one.counts) * okapi.rarity[stems]
    owner, places = within(okapi.first, stems)
    parts = counts[owner] * weights[places]
    return np.bincount(okapi.rows[places], weights=parts, minlength=okapi.count).astype(np.float64)


def _length(okapi: Okapi, one: Profile) -> float:
    rarity = (okapi.rarity[okapi.numbers.get(word, len(okapi.numbers))] for word in one.stems)
    return math.hypot(*(count * rare for count, rare in zip(one.counts, rarity, strict=True)))
