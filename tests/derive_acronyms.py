"""Derive papers/acronyms.tsv from the counted expansions: ``python -m tests.derive_acronyms > papers/acronyms.tsv``."""

import csv
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from papers.text import tokens
from tests.conftest import shared_data

HEAD = """\
# Acronyms with one clear sense, and what they stand for, as its comparable words (papers/text.py).
# The facts: 1,686 expansions counted in 190,696 abstracts of arXiv for this project (vocab/acronyms.tsv).
# Kept by tests/derive_acronyms.py: one word of letters, with two or more capitals; a sense with at least 60 % of
# the acronym's expansions and 20 abstracts (50 for two letters), no other sense with 20 %; of that sense every
# spelling with 10 %. Two spellings are one sense if they differ in hyphens or in the ends of words only.
# Left out by name: {left_out}.
# Columns: acronym, words, abstracts, share.
"""
# The measured decision for two; for the others what the count cannot know.
LEFT_OUT = {
    "SSL": "two senses, stays as it is",
    "NeRF": "measured: stays as it is",
    "US": "more often a country",
    "ID": "more often an identity",
    "LR": "more often a learning rate",
    "PPO": "the count lost its first word",
    "RRG": "the count lost its first word",
}
CLEAR, OTHER, SPELLING = 0.6, 0.2, 0.1  # shares
FEWEST, FEWEST_OF_TWO = 20, 50  # abstracts
_ACRONYM = re.compile(r"(?=(?:.*[A-Z]){2})(?:[A-Z]{2,5}|(?!(?:[A-Z]+)$)[A-Za-z]{3,10})")


class Spelling(NamedTuple):
    """One way of writing an expansion: ``joined`` is equal for all that differ in hyphens, plural and space."""

    words: str
    joined: str
    docs: int
    share: float


def derived() -> Iterator[str]:
    """Yield the lines of the table, the most frequent acronym first."""
    data = shared_data()
    assert data, "set SHARED_DATA"
    with (data / "vocab" / "acronyms.tsv").open() as file:
        spellings = _by_acronym(csv.DictReader(file, delimiter="\t"))
    left_out = "; ".join(f"{name}, {why}" for name, why in LEFT_OUT.items())
    yield from HEAD.format(left_out=left_out).splitlines()
    kept = [(acronym, sense) for acronym, found in spellings.items() if (sense := _clear_sense(acronym, found))]
    for acronym, sense in sorted(kept, key=lambda item: (-item[1][0].docs, item[0])):
        for spelling in sense:
            yield f"{acronym}\t{spelling.words}\t{spelling.docs}\t{spelling.share:.3f}"


def _by_acronym(rows: Iterable[dict[str, str]]) -> dict[str, list[Spelling]]:
    """Return the spellings of each acronym, plural acronyms (``ViTs``) among those of their singular."""
    counted = sorted(rows, key=lambda row: int(row["docs"]))
    known = {row["acronym"] for row in counted}
    # How often the acronym is explained at all: told best by its most frequent expansion, whose share is rounded least.
    total = {row["acronym"]: int(row["docs"]) / float(row["share_of_acronym"]) for row in counted}
    together: dict[str, float] = defaultdict(float)
    for name in known:
        together[_singular(name, known)] += total[name]
    found: dict[str, dict[str, Spelling]] = defaultdict(dict)
    for row in counted:
        one, words = _singular(row["acronym"], known), [token.term for token in tokens(row["expansion"])]
        before = found[one].get("".join(words), Spelling("", "".join(words), 0, 0.0))
        parted = max(before.words, " ".join(words), key=lambda text: text.count(" "))
        docs = before.docs + int(row["docs"])
        found[one][before.joined] = Spelling(parted, before.joined, docs, docs / together[one])
    return {name: sorted(by.values(), key=lambda each: (-each.docs, each.joined)) for name, by in found.items()}


def _singular(acronym: str, known: Iterable[str]) -> str:
    is_plural = re.fullmatch(r"[A-Za-z]+[A-Z]s", acronym) or (acronym[-1] == "s" and acronym[:-1] in known)
    return acronym[:-1] if is_plural else acronym


def _clear_sense(acronym: str, spellings: list[Spelling]) -> list[Spelling]:
    """Return the spellings of the acronym's one clear sense, or nothing."""
    senses: dict[str, list[Spelling]] = defaultdict(list)
    for spelling in spellings:
        senses[" ".join(word[:5] for word in spelling.words.split())].append(spelling)
    best, *others = sorted((_share(sense) for sense in senses.values()), reverse=True)
    sense = max(senses.values(), key=_share)
    docs = sum(spelling.docs for spelling in sense)
    is_clear = best >= CLEAR and not [share for share in others if share >= OTHER]
    is_known = docs >= (FEWEST_OF_TWO if len(acronym) == 2 else FEWEST)
    is_one = _ACRONYM.fullmatch(acronym) and acronym not in LEFT_OUT
    return [spelling for spelling in sense if spelling.share >= SPELLING] if is_clear and is_known and is_one else []


def _share(sense: list[Spelling]) -> float:
    return sum(spelling.share for spelling in sense)


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in derived())
