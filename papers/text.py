"""Text as people read it, and as words that can be compared."""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple

from papers.acronyms import mixed_case
from papers.latex import without_latex

# Control characters, marks that reorder or hide text, halves of surrogate pairs, non-characters.
# White space is not among them: it becomes one space. Joiners stay: scripts and emoji need them.
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\ufffe\uffff\U000e0000-\U000e007f]"
)

HYPHENS = "-\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"

STOP_WORDS = frozenset(
    {
        "a", "about", "above", "after", "again", "against", "all", "also", "although", "am", "among", "an", "and",
        "any", "are", "as", "at", "be", "because", "been", "before", "being", "below", "between", "both", "but", "by",
        "can", "cannot", "could", "d", "did", "do", "doe", "does", "doing", "done", "down", "during", "each", "either",
        "else", "ever", "every", "few", "for", "from", "further", "had", "has", "have", "having", "he", "hence", "her",
        "here", "him", "his", "how", "however", "i", "if", "in", "into", "is", "it", "its", "itself", "just", "ll",
        "many", "may", "me", "might", "more", "most", "much", "must", "my", "neither", "no", "nor", "not", "of", "off",
        "on", "once", "only", "or", "other", "ought", "our", "out", "over", "per", "re", "same", "shall", "she",
        "should", "since", "so", "some", "such", "than", "that", "the", "their", "them", "themselves", "then", "there",
        "therefore", "these", "they", "this", "those", "though", "through", "thus", "to", "too", "toward", "towards",
        "under", "unless", "until", "up", "upon", "us", "using", "ve", "very", "via", "vs", "was", "we", "were",
        "what", "when", "where", "whether", "which", "while", "who", "whom", "whose", "why", "will", "with", "within",
        "without", "would", "yet", "you", "your",
    }
)  # fmt: skip


class Token(NamedTuple):
    """One word of a text: its comparable form, and where it stands in the original."""

    term: str
    start: int
    end: int
    acronym: str = ""
    """The word without a plural s if it is two to five capitals, such as ``LLMs``, or a known one such as ``LoRA``."""


def readable(text: str) -> str:
    """Return ``text`` on one line, without characters that cannot be seen or that reorder others.

    Nothing is taken for HTML or LaTeX: ``<think>`` is a word that abstracts hold, ``$5`` is money.
    """
    return " ".join(_UNPRINTABLE.sub("", text).split())


def prose(text: str) -> str:
    """Return ``text`` as ``readable`` does, with the LaTeX of scientific writing as the characters it stands for."""
    return readable(without_latex(readable(text)))


# Words ------------------------------------------------------------------------------------------

_MARKS = "\u0300-\u036f\u00ad\u200b-\u200d\u2060"
_ACCENT = r"\\[\"'`^~]\{?[A-Za-z]\}?"  # Schr\"odinger
# `C++`, `C#`, `3.1` and `Qwen2.5` are words; a hyphen ends one, a possessive s is no part of it.
_WORD = re.compile(
    r"\\(?:emph|text[a-z]{0,2}|math[a-z]{0,4}|underline|boldsymbol|operatorname)(?![A-Za-z])"
    r"|(?<!\w)(?P<language>[A-Za-z](?:\+\+|#)(?![^\W\d]))"  # also in C++17
    rf"|(?P<word>(?:[^\W_]|{_ACCENT})(?:[^\W_]+|[{_MARKS}]+|{_ACCENT})*(?:(?<=\d)\.\d+)*)(?:['’]s(?!\w))?"
)
_ACRONYM = re.compile(r"([A-Z]{2,5})s?")
_LATEX_ACCENT = re.compile(r"\\[\"'`^~]\{?([A-Za-z])\}?")
_NO_LETTER = re.compile(rf"[{_MARKS}]|[^\w.]|_")
# Letters that Unicode does not take apart: Łukasz is often written Lukasz, and Bjørn Bjorn.
_WITHOUT_STROKE = str.maketrans(
    {"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "đ": "d", "Đ": "D", "ħ": "h", "Ħ": "H", "ı": "i", "æ": "ae", "Æ": "AE",
     "œ": "oe", "Œ": "OE", "ð": "d", "Ð": "D", "þ": "th", "Þ": "Th"}
)  # fmt: skip


def tokens(text: str) -> list[Token]:
    """Return the words of ``text``, folded for matching, in their order."""
    return [token for match in _WORD.finditer(text) if (token := _token(match)) and token.term]


def _token(match: re.Match[str]) -> Token | None:
    if match["language"]:
        return Token(match["language"].casefold(), *match.span("language"))
    if not match["word"]:
        return None  # a command of LaTeX
    term, acronym = fold(match["word"])
    return Token(term, *match.span("word"), acronym)


@lru_cache(maxsize=100_000)
def words(chunk: str) -> tuple[tuple[str, str, bool], ...]:
    """Return the term and the acronym of each word of ``chunk``, and whether a hyphen ties it to the next.

    No word and no hyphen reaches over white space: the words of the chunks of a text are those of the text.
    """
    found = tokens(chunk)
    tied = [*(is_tied(chunk, *pair) for pair in pairwise(found)), False]
    return tuple((token.term, token.acronym, has_hyphen) for token, has_hyphen in zip(found, tied, strict=False))


def is_tied(text: str, token: Token, following: Token) -> bool:
    """Return whether nothing but a hyphen stands between a token of ``text`` and the next."""
    between = text[token.end : following.start]
    return len(between) == 1 and between in HYPHENS


def names(text: str) -> tuple[str, ...]:
    """Return the words of a person's or an organisation's name, folded but for the plural: Jones is not Jone."""
    words = (match["language"] or match["word"] or "" for match in _WORD.finditer(text))
    return tuple(folded for word in words if (folded := _folded(_without_accents(word))))


@lru_cache(maxsize=100_000)
def fold(word: str) -> tuple[str, str]:
    """Return the comparable form of one word (lower case, no accents, singular), and its acronym or ''."""
    plain = _without_accents(word)
    acronym = _acronym(plain)
    # The plural of an acronym is its s, whatever it looks like then: GPUs and APIs are no words in -us and -is.
    one = plain[:-1] if acronym and plain.endswith("s") else plain
    return singular(_folded(one)), acronym


def _acronym(plain: str) -> str:
    if capitals := _ACRONYM.fullmatch(plain):
        return capitals[1]
    return next((name for name in (plain, plain.removesuffix("s")) if name in mixed_case()), "")


def _without_accents(word: str) -> str:
    return _decomposed(_LATEX_ACCENT.sub(r"\1", word))


def _folded(plain: str) -> str:
    return plain.casefold() if plain.isascii() else unicodedata.normalize("NFC", _decomposed(plain.casefold()))


def _decomposed(word: str) -> str:
    """Return the word without accents, ligatures, full-width letters and the like."""
    if word.isascii():
        return word
    return _NO_LETTER.sub("", unicodedata.normalize("NFKD", word)).strip(".").translate(_WITHOUT_STROKE)


# Plurals ----------------------------------------------------------------------------------------

_IRREGULAR = {
    "analyses": "analysis", "antennae": "antenna", "apis": "api", "appendices": "appendix", "automata": "automaton",
    "axes": "axis", "caches": "cache", "calories": "calorie", "catalyses": "catalysis", "children": "child",
    "clis": "cli", "cookies": "cookie", "corpora": "corpus", "cortices": "cortex", "cpus": "cpu", "crises": "crisis",
    "criteria": "criterion", "diagnoses": "diagnosis", "emojis": "emoji", "emphases": "emphasis", "foci": "focus",
    "formulae": "formula", "gpus": "gpu", "guis": "gui", "halves": "half", "headaches": "headache",
    "helices": "helix", "hypotheses": "hypothesis", "indices": "index", "kpis": "kpi", "lives": "life", "loci": "locus",
    "matrices": "matrix", "maxima": "maximum", "men": "man", "menus": "menu", "metastases": "metastasis",
    "mice": "mouse", "minima": "minimum", "movies": "movie", "neuroses": "neurosis", "niches": "niche", "npus": "npu",
    "nuclei": "nucleus", "optima": "optimum", "paralyses": "paralysis", "parentheses": "parenthesis",
    "phenomena": "phenomenon", "prognoses": "prognosis", "prostheses": "prosthesis", "psychoses": "psychosis",
    "quanta": "quantum", "quizzes": "quiz", "radii": "radius", "selfies": "selfie", "shoes": "shoe",
    "simplices": "simplex", "spectra": "spectrum", "stimuli": "stimulus", "syntheses": "synthesis", "taxis": "taxi",
    "teeth": "tooth", "theses": "thesis", "toes": "toe", "tpus": "tpu", "vertices": "vertex", "vortices": "vortex",
    "wolves": "wolf", "women": "woman", "zombies": "zombie",
}  # fmt: skip
# Words that end in s and are singular; what ends in -ss, -us or -is need not be named. Those in -ics are
# here whose singular is another matter: genetic algorithms are no genetics, static analysis no statics.
_SINGULAR = frozenset(
    {
        "alias", "always", "analytics", "atlas", "bias", "canvas", "chaos", "cosmos", "dynamics", "economics",
        "electronics", "ethos", "gas", "genetics", "lens", "logistics", "news", "pancreas", "pathos", "perhaps",
        "pragmatics", "semantics", "series", "species", "statics", "texas",
    }
)  # fmt: skip
_US = frozenset(
    {
        "apparatus", "bonus", "bus", "campus", "census", "corpus", "focus", "genus", "nexus", "sinus", "status",
        "stimulus", "surplus", "virus",
    }
)  # fmt: skip


def singular(word: str) -> str:
    """Return the singular of a lower-case English word; a word that is one comes back as it is.

    Only the plural is folded: stemming merges "general" with "generalization" and finds no more.
    """
    if len(word) <= 3 or not word.endswith("s"):
        return _IRREGULAR.get(word, word)
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    return word if word in _SINGULAR or word.endswith(("ss", "us", "is")) else _without_ending(word)


def _without_ending(word: str) -> str:
    stem = word[:-2]
    if word.endswith("ies"):
        return f"{word[:-3]}y" if len(word) > 4 else word[:-1]
    takes_es = stem.endswith(("ss", "x", "zz", "sh", "ch", "cho", "to", "ro"))
    if word.endswith("es") and (takes_es or stem in _SINGULAR or stem in _US):
        return stem
    return word[:-1]


# Sentences --------------------------------------------------------------------------------------

_SENTENCE_END = re.compile(r"[.!?][\"'”’)\]]*\s+(?=[\"'“‘(\[$\\]*[^\W_a-z])|[。！？]")
_NO_END = re.compile(r"(?:\b(?:al|approx|cf|dr|e\.g|eq|fig|i\.e|no|resp|sec|st|vs|w\.r\.t)|\b[A-Z])\.$", re.IGNORECASE)


def sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield where each sentence of ``text`` begins and ends; together they hold every word."""
    start = 0
    for match in _SENTENCE_END.finditer(text):
        if not _NO_END.search(text[max(start, match.start() - 10) : match.start() + 1]):
            yield start, start + len(text[start : match.end()].rstrip())
            start = match.end()
    if text[start:].strip():
        yield start, len(text.rstrip())
