"""The fields of a paper as arXiv writes them, whichever format they came in."""

import re
from collections.abc import Iterable

from papers.latex import without_latex
from papers.records import LONGEST_ABSTRACT, LONGEST_NAME, LONGEST_TITLE, bare_id
from papers.text import prose, readable

_VERSIONED = re.compile(r".*[^v]v([1-9]\d{0,3})", re.ASCII | re.DOTALL)


def read_id(place: str) -> tuple[str, int | None]:
    """Return the bare id and the version of ``http://arxiv.org/abs/2203.01250v3`` or ``oai:arXiv.org:2203.01250v3``."""
    text = place.strip()[:200]
    text = text.rpartition("/abs/")[2] or text
    version = _VERSIONED.fullmatch(text)
    return bare_id(text), int(version[1]) if version else None


def read_title(text: str) -> str:
    """Return a title in plain characters; raise ``ValueError`` for one that is too long to be one."""
    title = prose(text)
    if len(title) > LONGEST_TITLE:
        raise ValueError(f"the title has {len(title)} characters")
    return title


def read_text(text: str) -> str:
    """Return an abstract or a comment in plain characters, cut where it is longer than any should be."""
    return prose(text[: 2 * LONGEST_ABSTRACT])[:LONGEST_ABSTRACT].rstrip()


def read_categories(terms: Iterable[str]) -> tuple[str, ...]:
    """Return arXiv's own categories, each once, in their order; other classifications stand among them."""
    words = (readable(term)[:40] for term in terms)
    return tuple(dict.fromkeys(word for word in words if re.fullmatch(r"[a-z-]+(?:\.[A-Za-z-]+)?", word)))


# What stands in brackets behind a name is where its bearer works.
_BRACKETS = re.compile(r"\([^()]*\)")
_BETWEEN_NAMES = re.compile(r"[,;] ?(?:and |& )?| (?:and|&) |: ")  # a collaboration: its members
_SUFFIX = re.compile(r"(?:jr|sr|ii|iii|iv)\.?", re.IGNORECASE)
_AND_OTHERS = re.compile(r" ?\b(?:et al\.?|others)$", re.IGNORECASE)


def split_names(text: str) -> tuple[str, ...]:
    """Return the authors of one joined string: ``A. One (MIT), B. Two, Jr., and C. Three``."""
    text = readable(text)
    for _ in range(3):  # brackets in brackets
        text = _BRACKETS.sub("", text)
    names: list[str] = []
    for name in _BETWEEN_NAMES.split(without_latex(text)):
        if names and _SUFFIX.fullmatch(name.strip()):
            names[-1] += f", {name.strip()}"
        else:
            names.append(name)
    return read_names(names)


def read_names(names: Iterable[str]) -> tuple[str, ...]:
    """Return names in plain characters, without those that have no letter."""
    cleaned = (_AND_OTHERS.sub("", prose(name)[:LONGEST_NAME].strip(" :")) for name in names)
    return tuple(name for name in cleaned if any(map(str.isalpha, name)))


# There is no flag. “Withdrawn from a conference” is another matter, and so are things that papers
# write about: withdrawn drugs, troops, funds.
_COMMENT_SAYS = re.compile(
    r"\bwithdrawn\b(?!\s+from\s+(?!arxiv))|\bwithdrawal of (?:this|the) (?:paper|article)", re.IGNORECASE
)
_ABSTRACT_SAYS = re.compile(
    r"\b(?:this|the)\s+(?:arxiv\s+)?(?:paper|article|submission|manuscript|preprint|work|version|note)"
    r"(?:\s+and\s+\w+)?\s+(?:has|have|is|was|were)\s+(?:been\s+)?(?:temporarily\s+)?withdrawn\b",
    re.IGNORECASE,
)


def is_withdrawn(version: int | None, comment: str, abstract: str) -> bool:
    """Whether arXiv says that a paper was withdrawn, which makes a new version of it."""
    if version == 1:
        return False
    return bool(_COMMENT_SAYS.search(comment) or _ABSTRACT_SAYS.search(abstract[:1_000]))
