"""Texts that are too long are cut between words, and never in the middle of what is seen as one character."""

import pytest

from newsletter.shortening import LONGEST, short, size, within

# Each is one character to its reader.
CHARACTERS = {
    "accent": "e\u0301\u0323",
    "family": "👨\u200d👩\u200d👧\u200d👦",
    "skin": "👍🏽",
    "heart": "❤\ufe0f",
    "flag": "🇪🇺",
    "keycap": "1\ufe0f\u20e3",
    "devanagari": "क्षि",
    "hangul": "\u1112\u1161\u11ab",
    "hangul syllable": "\ud558\u11ab",
    "arabic": "ب\u064e\u0651",
    "hebrew": "ש\u05c1\u05b8",
    "thai": "ก\u0e33\u0e49",
}


@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS)
def test_no_character_is_cut_in_its_middle(character):
    for length in range(1, 40):
        cut = short(character * 40, length).removesuffix("…")
        assert cut == character * (len(cut) // len(character))
        cut = within(character * 40, 9 + 5 * length).removesuffix("…")
        assert cut == character * (len(cut) // len(character))


@pytest.mark.parametrize("character", CHARACTERS.values(), ids=CHARACTERS)
def test_as_much_stays_as_fits(character):
    assert len(short(character * 40, 30)) > 29 - len(character)
    assert size(within(character * 40, 300)) > 300 - size(character)


def test_a_pile_of_accents_that_nobody_reads_is_cut_anywhere():
    assert len(short("e" + "\u0301" * 2000, 300)) == 300
    assert LONGEST < 300


def test_a_text_is_cut_between_words_where_that_leaves_half_of_it():
    assert short("several words of a title", 18) == "several words of…"
    assert short("a " + "x" * 40, 18) == "a " + "x" * 15 + "…"
    assert within("<b> & <i>", 20) == "<b>…"


def test_what_fits_stays_whole():
    assert short("fits", 4) == within("fits", 4) == "fits"
    assert short("", 4) == within("", 0) == ""
