"""What is shown is safe to look at, and words compare as people mean them."""

import unicodedata
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.text import fold, is_tied, readable, sentences, singular, tokens, words


def terms(text: str) -> list[str]:
    return [token.term for token in tokens(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Two\n  lines\tof a title ", "Two lines of a title"),
        ("a\x00b\x1bc\x7f", "abc"),
        ("safe\u202egnp.exe\u2066\u200f", "safegnp.exe"),
        ("half \ud83d a pair", "half a pair"),
        ("a\u2028b\x85c", "a b c"),
        ("soft\u00adhyphen, zero\u200bwidth", "softhyphen, zerowidth"),
    ],
)
def test_what_cannot_be_seen_is_taken_out(text, expected):
    assert readable(text) == expected


@pytest.mark.parametrize("text", ["<think> and <|im_end|>", "costs $5 & more", "$x^2$ \\alpha", "naïve 模型 👩‍🔬"])
def test_nothing_is_taken_for_markup(text):
    assert readable(text) == text


@given(st.text(st.characters()))
def test_readable_text_is_one_line_and_stays_as_it_is(text):
    once = readable(text)

    assert readable(once) == once
    assert not [character for character in once if unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}]
    once.encode()


@pytest.mark.parametrize(
    ("plural", "one"),
    [("models", "model"), ("biases", "bias"), ("losses", "loss"), ("classes", "class"), ("studies", "study"),
     ("queries", "query"), ("boxes", "box"), ("indices", "index"), ("matrices", "matrix"), ("analyses", "analysis"),
     ("databases", "database"), ("cases", "case"), ("batches", "batch"), ("caches", "cache"), ("meshes", "mesh"),
     ("viruses", "virus"), ("videos", "video"), ("schemas", "schema"), ("keys", "key"), ("heroes", "hero"),
     ("LLMs", "LLM"), ("VAEs", "vae"), ("houses", "house"), ("responses", "response"), ("ties", "tie"),
     ("GPUs", "gpu"), ("gpus", "GPU"), ("APIs", "api"), ("ViTs", "vit"), ("diagnoses", "diagnosis"),
     ("syntheses", "synthesis"), ("lenses", "lens"), ("gases", "gas"), ("axes", "axis"), ("mixes", "mix"),
     ("processes", "process"), ("stimuli", "stimulus"), ("spectra", "spectrum"), ("women", "woman")],
)  # fmt: skip
def test_a_plural_meets_its_singular(plural, one):
    assert terms(plural) == terms(one)


@pytest.mark.parametrize(
    "word",
    [
        "bias",
        "analysis",
        "loss",
        "class",
        "corpus",
        "series",
        "species",
        "news",
        "lens",
        "virus",
        "gas",
        "this",
        "gps",
        "dynamics",
        "semantics",
        "basis",
        "axis",
        "diagnosis",
        "bus",
        "boss",
    ],
)
def test_a_singular_that_ends_in_s_stays(word):
    assert singular(word) == word


def test_case_accents_ligatures_and_full_width_letters_are_folded():
    assert terms("SCHRÖDINGER") == terms('Schr\\"odinger') == terms("schro\u0308dinger") == ["schrodinger"]
    assert terms("eﬃcient ﬁne") == ["efficient", "fine"]
    assert terms("ＧＰＴ") == ["gpt"]
    assert terms("Łukasz Bjørn Erdős Straße") == terms("Lukasz Bjorn Erdos Strasse")
    assert terms(r"$\mathcal{O}(n^2)$ and $\mathfrak{g}$") == terms("O(n^2) and g")


@pytest.mark.parametrize("hyphen", "-\u2010\u2011\u2012\u2013\u2212")
def test_every_hyphen_parts_words(hyphen):
    assert terms(f"multi{hyphen}modal") == ["multi", "modal"]


def test_names_with_signs_and_numbers_are_words():
    assert terms("C++, C#, GPT-4o, Qwen2.5 and 3.1.") == ["c++", "c#", "gpt", "4o", "qwen2.5", "and", "3.1"]
    assert terms("C++17 isn't C++x") == ["c++", "17", "isn", "t", "c", "x"]


def test_a_possessive_is_the_word():
    assert terms("the model's loss") == ["the", "model", "loss"]


@pytest.mark.parametrize(
    ("word", "acronym"),
    [("SAM", "SAM"), ("LLMs", "LLM"), ("Sam", ""), ("A", ""), ("ABCDEF", ""), ("T5", ""), ("sams", "")],
)
def test_two_to_five_capitals_are_an_acronym(word, acronym):
    assert tokens(word)[0].acronym == acronym


def test_a_token_knows_where_it_stands_in_the_original():
    text = "Über\u00ad-models, \\emph{ﬁne}"

    assert [text[token.start : token.end] for token in tokens(text)] == ["Über\u00ad", "models", "ﬁne"]


@given(st.text(st.characters()))
def test_tokens_of_any_text_stand_in_order_and_fold_to_themselves(text):
    end = 0
    for token in tokens(text):
        assert end <= token.start < token.end <= len(text)
        end = token.end
        assert token.term
        assert fold(token.term)[0] == token.term


@given(st.text(st.sampled_from("aZs \u00a0\u3000\x1c\u200b\u0301\u00e9.'’-‐5+#\\\"{}_(,LM"), max_size=30) | st.text())
def test_the_words_between_white_space_are_those_of_the_text(text):
    found = tokens(text)
    tied = [is_tied(text, *pair) for pair in pairwise(found)]

    apart = [word for chunk in text.split() for word in words(chunk)]

    assert [(term, acronym) for term, acronym, _ in apart] == [(token.term, token.acronym) for token in found]
    assert [has_hyphen for _, _, has_hyphen in apart][:-1] == tied


def test_a_hostile_text_is_read_in_linear_time():
    for text in ("\\" * 200_000, 'a\\"' * 100_000, "\u0301" * 300_000, "1." * 100_000, "a-" * 100_000, "'s" * 100_000):
        tokens(text)
        readable(text)
        list(sentences(text))


def test_sentences_end_where_people_end_them():
    text = "J. Doe et al. 2020 did e.g. This, see Fig. 3. It scored 3.5 points! Did it? yes."

    parts = [text[start:end] for start, end in sentences(text)]

    assert parts == ["J. Doe et al. 2020 did e.g. This, see Fig. 3.", "It scored 3.5 points!", "Did it? yes."]


@given(st.text(st.sampled_from("aB .!?\n。\"('")))
def test_sentences_hold_every_word_once(text):
    parts = [text[start:end] for start, end in sentences(text)]

    assert "".join("".join(parts).split()) == "".join(text.split())
    assert all(parts)
