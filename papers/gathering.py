"""Which papers hold all content words of a phrase in the title or in one sentence."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from papers.index import KEYWORDS, NONE, PaperIndex
from papers.phrases import Longs, Phrases, distinct, ranges, runs, within
from papers.standing import Reading

Bytes = npt.NDArray[np.uint8]

AT_ONCE = 200_000  # sentences that are looked at together: what a processor's cache holds


@dataclass(frozen=True, slots=True)
class Held:
    """The titles and sentences that hold each of w words: ``segments[first[i]:first[i + 1]]``, ascending.

    ``bits`` uint8[w * width] are the same, ``width`` bytes for each word, a bit for each segment: that
    of ``segments[i]`` is ``bit[i]`` of byte ``byte[i]``. A word of a phrase may stand joined with the
    word before or after it.
    """

    first: Longs
    segments: Longs
    byte: Longs
    bit: Bytes
    bits: Bytes
    width: int


def gathered(index: PaperIndex, phrases: Phrases, which: Longs, readings: Sequence[Reading]) -> Longs:
    """Return ``phrase * len(index) + row`` of those phrases whose words are gathered in a paper, ascending.

    ``which`` are the phrases in question; ``readings`` those that ``as_words`` gives for the words.
    """
    is_asked = np.zeros(len(phrases), dtype=np.bool_)
    is_asked[which] = True
    content = phrases.content[is_asked[phrases.phrase[phrases.content]]]
    words, number = _words(index, phrases, content)
    held = _held(index, phrases, words, readings)
    count = np.diff(held.first)[number]
    phrase = phrases.phrase[content]
    order = np.lexsort((count, phrase))  # the rarest word of each phrase first
    number, first = number[order], ranges(phrase, len(phrases))
    found = [_together(held, number, first, some) for some in _blocks(first, count[order])]
    keys = [which * len(index) + index.row[segment] for which, segment in found]
    return _each_once(np.concatenate([np.empty(0, dtype=np.int64), *keys]))


def _each_once(keys: Longs) -> Longs:
    return keys[runs(keys)]


def _words(index: PaperIndex, phrases: Phrases, content: Longs) -> tuple[Longs, Longs]:
    """Return the distinct words, int64[w, 3], and which of them each word at the places ``content`` is.

    A word's columns are its number and those in the vocabulary of what it is joined with the word
    before and after, NONE where the papers hold nothing such.
    """
    columns = np.full((len(phrases.words), 3), NONE, dtype=np.int64)
    columns[:, 0] = phrases.words
    places, joined = phrases.joined(index.vocabulary)
    columns[places + 1, 1] = joined
    columns[places, 2] = joined
    base = len(index.vocabulary) + 1
    columns = columns[content]
    keys = (columns[:, 0] * base + columns[:, 1] + 1) * base + columns[:, 2] + 1
    _, kept, number = np.unique(keys, return_index=True, return_inverse=True)
    return columns[kept], number.reshape(-1)


def _held(index: PaperIndex, phrases: Phrases, words: Longs, readings: Sequence[Reading]) -> Held:
    """Return where the distinct words are held."""
    segments = max(len(index.row), 1)
    count = len(phrases.names)
    prose = np.flatnonzero(index.field[index.segment] != KEYWORDS)
    keys = [reading.word[prose] * segments + index.segment[prose] for reading in readings]
    known = np.where(index.terms[prose] == NONE, NONE, index.terms[prose].astype(np.int64) + count)
    keys.append(known * segments + index.segment[prose])
    of_all = distinct(np.concatenate(keys))
    of_all = of_all[of_all >= 0]
    first = ranges(of_all // segments, count + len(index.vocabulary))
    found = []
    for column in range(3):
        has_one = np.flatnonzero(words[:, column] != NONE)
        owner, places = within(first, words[has_one, column] + (count if column else 0))
        found.append(has_one[owner] * segments + of_all[places] % segments)
    merged = distinct(np.concatenate(found))
    word, segment = np.divmod(merged, segments)
    byte, bit, width = segment >> 3, (1 << (segment & 7)).astype(np.uint8), segments // 8 + 1
    bits = np.zeros(len(words) * width, dtype=np.uint8)
    np.bitwise_or.at(bits, word * width + byte, bit)
    return Held(ranges(word, len(words)), segment, byte, bit, bits, width)


def _blocks(first: Longs, count: Longs) -> Iterator[Longs]:
    """Yield the phrases that have words, in parts that are not too big."""
    which = np.flatnonzero(np.diff(first) > 0)
    looked_at = np.cumsum(count[first[which]])
    cuts = np.searchsorted(looked_at, np.arange(AT_ONCE, int(looked_at[-1]) + 1 if len(which) else 0, AT_ONCE))
    yield from np.split(which, cuts)


def _together(held: Held, number: Longs, first: Longs, which: Longs) -> tuple[Longs, Longs]:
    """Return the phrases of ``which`` and the segments that hold all their words."""
    owner, places = within(held.first, number[first[which]])
    lengths = np.diff(first)[which]
    for further in range(1, int(lengths.max(initial=0))):
        has_more = lengths > further
        line = held.width * number[np.where(has_more, first[which] + further, 0)]
        stands = (held.bits[line[owner] + held.byte[places]] & held.bit[places]) > 0
        if not has_more.all():
            stands |= ~has_more[owner]
        owner, places = owner[stands], places[stands]
    return which[owner], held.segments[places]
