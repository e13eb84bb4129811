"""Acronyms with one clear sense meet what they stand for, and the table is what the counted facts say."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from papers.acronyms import LONGEST_EXPANSION, MOST_FORMS, expansions, near_forms
from papers.text import tokens
from tests.conftest import ROOT
from tests.derive_acronyms import derived


@pytest.mark.parametrize(
    ("words", "near"),
    [
        ("LLM", "large language model"),
        ("large language model agent", "LLM agent"),
        ("multimodal large language model", "MLLM"),
        ("LLM for RL", "large language model for reinforcement learning"),
        ("contrastive language image pretraining", "CLIP"),
        ("CoT", "chain of thought"),
        ("LORA", "low rank adaptation"),
    ],
)
def test_an_acronym_and_its_expansion_are_near_each_other(words, near):
    assert near.replace(" ", "") in joined_forms(words)
    assert words.replace(" ", "") in joined_forms(near)


def joined_forms(words):
    """The index finds joined compounds where parted ones are looked for."""
    return {"".join(form) for form in near_forms(tuple(words.split()))}


@pytest.mark.parametrize("word", ["llm", "rlhf", "svm"])
def test_an_acronym_that_can_be_no_word_may_be_written_small(word):
    assert near_forms((word,))[1] in near_forms((word.upper(),))
    assert (word,) not in near_forms(near_forms((word,))[1])


@pytest.mark.parametrize(
    "word", ["ssl", "SSL", "nerf", "NeRF", "sam", "clip", "rag", "GO", "cot", "lora", "kv", "robot"]
)
def test_words_and_acronyms_without_one_clear_sense_stay_as_they_are(word):
    assert near_forms((word,)) == ((word,),)


WORDS = ["LLM", "RL", "large", "language", "model", "deep", "reinforcement", "learning", "LoRA", "multi", "modal", "a"]


@given(st.lists(st.sampled_from(WORDS), max_size=30).map(tuple))
def test_the_words_themselves_are_first_and_the_forms_are_few_and_distinct(words):
    forms = near_forms(words)

    assert forms[0] == words
    assert len(forms) == len(set(forms)) <= MOST_FORMS


def test_every_word_of_the_table_is_a_key_of_text():
    for acronym, spellings in expansions().items():
        assert acronym.islower() or [token.acronym for token in tokens(acronym)] == [acronym]
        for words in spellings:
            assert [token.term for token in tokens(" ".join(words))] == list(words)
            assert len(words) <= LONGEST_EXPANSION


@pytest.mark.data
def test_the_table_is_derived_from_the_counted_expansions(data: Path):
    assert (ROOT / "papers" / "acronyms.tsv").read_text().splitlines() == list(derived())
