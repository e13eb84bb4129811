"""Cutting texts that are too long: between words if it can be, never inside what is seen as one character."""

import unicodedata
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate

from papers.text import readable

ESCAPED = {"&": 5, "<": 4, ">": 4, '"': 6, "'": 6, "=": 3}
ELLIPSIS = 9
ZWJ = "\u200d"
VIRAMA = 9  # the combining class of what ties the next consonant of an Indic script to this one
LONGEST = 40  # code points; nobody reads what takes more for one character


def short(text: str, length: int) -> str:
    """Return at most ``length`` readable characters, cut between words where there is a gap near the end."""
    return shortened(readable(text), length)


def shortened(text: str, length: int) -> str:
    """Return what ``short`` does of a text that is readable."""
    return text if len(text) <= length else _cut(text, length - 1)


def within(text: str, octets: int) -> str:
    """Return ``text`` cut to so many octets as encoded, where ``short`` would cut."""
    if size(text) <= octets:
        return text
    return _cut(text, bisect_right(list(accumulate(_sizes(text))), octets - ELLIPSIS))


def size(text: str) -> int:
    """Return the octets of a text in HTML in quoted-printable, but for soft line breaks."""
    return sum(_sizes(text))


def _sizes(text: str) -> Iterator[int]:
    return (ESCAPED.get(c) or (1 if c.isascii() else 3 * len(c.encode())) for c in text)


def _cut(text: str, length: int) -> str:
    cut = text[: whole(text, length)]
    words = cut.rpartition(" ")[0]
    return f"{words if len(words) > length // 2 else cut}…"


def whole(text: str, length: int) -> int:
    """Return the most code points up to ``length`` that end no character in its middle.

    Of the boundaries between grapheme clusters in UAX 29 it knows those that change what is seen:
    accents, joined and coloured emoji, flags, Indic consonants, and the letters of a Korean syllable.
    """
    if text[max(length - 1, 0) : length + 1].isascii():
        return length
    shortest = max(length - LONGEST, -1)
    return next((n for n in range(length, shortest, -1) if n == 0 or not _is_inside(text, n)), length)


def _is_inside(text: str, at: int) -> bool:
    before, after = text[at - 1], text[at : at + 1] or " "
    return (
        unicodedata.category(after) in {"Mn", "Mc", "Me"}
        or after in {ZWJ, "\u200c", "\u0e33", "\u0eb3"}
        or before == ZWJ
        or "\U0001f3fb" <= after <= "\U0001f3ff"
        or (unicodedata.combining(before) == VIRAMA and after.isalpha())
        or ("\u1160" <= after <= "\u11ff" and ("\u1100" <= before <= "\u11ff" or "\uac00" <= before <= "\ud7a3"))
        or (_is_regional(after) and _regional_before(text, at) % 2 == 1)
    )


def _regional_before(text: str, at: int) -> int:
    """Return how many letters of flags stand right before ``at``: two make a flag."""
    start = at
    while start and _is_regional(text[start - 1]):
        start -= 1
    return at - start


def _is_regional(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"
