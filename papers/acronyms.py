"""Acronyms and what they stand for, both ways: the near forms of a phrase."""

import re
from collections.abc import Iterator
from functools import cache, lru_cache
from importlib.resources import files

# The keys of consecutive words, as in papers/query.py.
Words = tuple[str, ...]

LONGEST_ACRONYM = 5  # letters, if all of them are capitals
MOST_FORMS = 16  # of one phrase; a line full of acronyms has no end of them
LONGEST_EXPANSION = 8  # words, also when compounds are parted


@cache
def _table() -> dict[str, tuple[Words, ...]]:
    """Return what each acronym of papers/acronyms.tsv stands for, its usual spelling first."""
    table: dict[str, list[Words]] = {}
    for line in files("papers").joinpath("acronyms.tsv").read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            acronym, words, _abstracts, _share = line.split("\t")
            table.setdefault(acronym, []).append(tuple(words.split()))
    return {acronym: tuple(spellings) for acronym, spellings in table.items()}


@cache
def expansions() -> dict[str, tuple[Words, ...]]:
    """Return what each key stands for: the acronyms of the table, ``LORA`` as ``LoRA``, and ``llm`` as ``LLM``.

    In lower case only what has no vowel is taken for an acronym: ``sam``, ``rag`` and ``clip`` are words.
    """
    shouted = {name.upper(): words for name, words in _table().items() if len(name) <= LONGEST_ACRONYM}
    typed = {name.lower(): words for name, words in _table().items() if len(name) > 2 and not _VOWEL.search(name)}
    return shouted | typed | _table()


_VOWEL = re.compile(r"[aeiouy]", re.IGNORECASE)


@cache
def mixed_case() -> frozenset[str]:
    """Return the acronyms that are not all capitals, such as ``LoRA``."""
    return frozenset(acronym for acronym in _table() if not acronym.isupper())


@cache
def _acronyms() -> dict[str, tuple[str, ...]]:
    """Return the acronyms of each expansion, which is joined: `multi modal` and `multimodal` are one."""
    table: dict[str, list[str]] = {}
    for acronym, spellings in expansions().items():
        for words in spellings:
            if not acronym.islower():  # a paper's LLM is found by that, too
                table.setdefault("".join(words), []).append(acronym)
    return {joined: tuple(acronyms) for joined, acronyms in table.items()}


@cache
def beginnings() -> frozenset[str]:
    """Return what a joined expansion, in lower case, may begin with, itself included."""
    joined = [name.lower() for name in _acronyms()]
    return frozenset(name[:end] for name in joined for end in range(1, len(name) + 1))


def is_exchanged(word: str) -> bool:
    """Return whether another form of any phrase with ``word`` has something else in its place."""
    return word in expansions() or word in _acronyms()


@lru_cache(maxsize=500_000)
def near_forms(words: Words) -> tuple[Words, ...]:
    """Return ``words`` and what else they are called, acronyms and expansions exchanged; at most 16, the nearest first.

    ``("LLM", "agent")`` gives ``("large", "language", "model", "agent")`` as well, and the other way round.
    """
    forms = {words: None}
    waiting = [words]
    for form in waiting:
        for other in _exchanged(form):
            if len(forms) < MOST_FORMS and other not in forms:
                forms[other] = None
                waiting.append(other)
    return tuple(forms)


def _exchanged(words: Words) -> Iterator[Words]:
    """Yield ``words`` with one acronym written out, or one expansion as its acronym."""
    written_out, acronyms, count = expansions(), _acronyms(), len(words)
    for start, word in enumerate(words):
        for spelling in written_out.get(word, ()):
            yield (*words[:start], *spelling, *words[start + 1 :])
        joined = word
        for end in range(start + 1, min(count, start + LONGEST_EXPANSION) + 1):
            if joined in acronyms:
                for acronym in acronyms[joined]:
                    yield (*words[:start], acronym, *words[end:])
            if end < count:
                joined += words[end]
