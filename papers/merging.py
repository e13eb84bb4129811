"""Which source's word counts when several tell of one paper: the one place where that is written."""

from dataclasses import dataclass
from typing import Any

from papers.models import Paper
from papers.records import PaperRecord

OPERATOR = "operator"

# The first that says anything wins; a source that is not named comes after those that are, and the
# operator before all. arXiv is where a paper is from; Hugging Face's readers add what arXiv lacks.
_ARXIV_FIRST = ("arxiv", "huggingface")
_HUGGINGFACE_FIRST = ("huggingface", "arxiv")
WINNERS = {
    "title": _ARXIV_FIRST,
    "abstract": _ARXIV_FIRST,
    "authors": _ARXIV_FIRST,
    "organisation": _HUGGINGFACE_FIRST,
    "categories": _ARXIV_FIRST,
    "submitted_on": _ARXIV_FIRST,
    "updated_on": _ARXIV_FIRST,
    "version": _ARXIV_FIRST,
    "comment": _ARXIV_FIRST,
    "tldr": _HUGGINGFACE_FIRST,
    "keywords": _HUGGINGFACE_FIRST,
    "code_url": _HUGGINGFACE_FIRST,
    "project_url": _HUGGINGFACE_FIRST,
    "thumbnail_url": _HUGGINGFACE_FIRST,
    "is_withdrawn": _ARXIV_FIRST,
}


@dataclass(frozen=True, slots=True)
class Merged:
    """A paper's fields as they should be, and who told which."""

    values: dict[str, Any]
    told_by: dict[str, str]


def merge(known: Paper | None, record: PaperRecord, source: str) -> Merged:
    """Return what is known of a paper after ``source`` told of it.

    What the record does not say stays; what a better source said stays; of one source, what it
    said of an older version than the one that is known only fills gaps: its answers lag.
    """
    said = {name: _column(value) for name in WINNERS if (value := getattr(record, name)) or value is False}
    if known is None:
        return Merged(said, dict.fromkeys(said, source))
    values, told_by = {name: getattr(known, name) for name in WINNERS}, dict(known.told_by)
    is_older = bool(record.version and known.version and record.version < known.version)
    for name, value in said.items():
        is_gap = name not in told_by and not values[name]
        if is_gap or (not is_older and _may_tell(source, told_by.get(name), name)):
            values[name], told_by[name] = value, source
    return Merged(values, told_by)


def _column(value: object) -> object:
    return list(value) if isinstance(value, tuple) else value


def _may_tell(source: str, teller: str | None, field: str) -> bool:
    """Whether ``source`` may say what ``teller`` said before; None is a row from before anybody kept count."""
    return teller is None or _rank(source, field) <= _rank(teller, field)


def _rank(source: str, field: str) -> int:
    if source == OPERATOR:
        return -1
    winners = WINNERS[field]
    return winners.index(source) if source in winners else len(winners)
