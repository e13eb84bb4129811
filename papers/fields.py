"""Which papers an author, an organisation, a category or words of the title stand in."""

from collections.abc import Iterator, Sequence

import numpy as np

from papers.index import TITLE, Document, PaperIndex
from papers.phrases import Longs, Phrases
from papers.query import Field
from papers.standing import as_words, occurrences
from papers.text import names


def rows_with(index: PaperIndex, fields: Sequence[Field]) -> list[Longs]:
    """Return the rows of the papers in which each of ``fields``, which are distinct, stands, ascending."""
    titles = [field for field in fields if field.name == "title"]
    found = dict(zip(titles, _rows_with_titles(index, titles), strict=True))
    marked = _marked(index, {field.name for field in fields})
    documents = list(index.documents.values())
    for field in fields:
        if field.name != "title":
            # Few papers hold the rarest word of a name, and only those are looked at.
            likely = min((marked.get((field.name, word), []) for word in field.words), key=len, default=[])
            found[field] = np.array([row for row in likely if held_in(documents[row], field)], dtype=np.int64)
    return [found[field] for field in fields]


def held_in(document: Document, field: Field) -> str:
    """Return the author, the organisation or the category of the paper that ``field`` asks for, or ''."""
    if field.name == "cat":
        return next((found for found in document.categories if field.words[0] in _kinds(found)), "")
    held = document.authors if field.name == "author" else (document.organisation,)
    return next((name for name in held if f" {' '.join(field.words)} " in f" {' '.join(names(name))} "), "")


def _kinds(category: str) -> tuple[str, str]:
    """Return what ``cs.CL`` is asked for by: itself and all of its archive."""
    folded = category.lower()
    return folded, f"{folded.partition('.')[0]}.*"


def _marked(index: PaperIndex, kinds: set[str]) -> dict[tuple[str, str], list[int]]:
    """Return the rows of the papers by the kind of field and the words in it, ascending."""
    marked: dict[tuple[str, str], list[int]] = {}
    for row, document in enumerate(index.documents.values()):
        for mark in dict.fromkeys(_marks(document, kinds)):
            marked.setdefault(mark, []).append(row)
    return marked


def _marks(document: Document, kinds: set[str]) -> Iterator[tuple[str, str]]:
    if "cat" in kinds:
        yield from (("cat", kind) for category in document.categories for kind in _kinds(category))
    if "org" in kinds:
        yield from (("org", word) for word in names(document.organisation))
    if "author" in kinds:
        yield from (("author", word) for author in document.authors for word in names(author))


def _rows_with_titles(index: PaperIndex, fields: Sequence[Field]) -> list[Longs]:
    if not fields:
        return []
    phrases = Phrases.of([field.words for field in fields])
    found = occurrences(index, phrases, as_words(index, phrases.names))
    segment = index.segment[found.start]
    is_title = index.field[segment] == TITLE
    keys = np.unique(found.phrase[is_title] * len(index) + index.row[segment[is_title]])
    line, row = np.divmod(keys, max(len(index), 1))
    return [row[line == number] for number in range(len(fields))]
