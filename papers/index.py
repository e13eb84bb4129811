"""PaperIndex: the day's papers as arrays of words, ready to be asked what stands where."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from papers.okapi import Okapi, stem
from papers.phrases import Bools, Ints, Longs, ends, within
from papers.text import Token, is_tied, sentences, tokens, words

TITLE, ABSTRACT, KEYWORDS = range(3)
FIELDS = ("title", "abstract", "keywords")
SHORTEST_HALF = 3  # characters of each word that `data set` may have to meet `dataset`
NONE = -1  # stands for no word, so that it can be looked up like one


@dataclass(frozen=True, slots=True)
class Document:
    """What of a paper can be searched."""

    id: int
    title: str
    abstract: str = ""
    keywords: tuple[str, ...] = ()
    authors: tuple[str, ...] = ()
    organisation: str = ""
    categories: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Segment:
    """A title, a sentence of the abstract, or a keyword: what a phrase can stand in."""

    field: str  # title | abstract | keywords
    text: str
    tokens: list[Token]

    def has_hyphen_after(self, number: int) -> bool:
        """Whether nothing but a hyphen stands between a token and the next."""
        return is_tied(self.text, self.tokens[number], self.tokens[number + 1])


def segments(document: Document) -> Iterator[Segment]:
    """Yield the parts of a paper, the most telling first."""
    for field, text in _texts(document):
        yield Segment(FIELDS[field], text, tokens(text))


def _texts(document: Document) -> Iterator[tuple[int, str]]:
    yield TITLE, document.title
    for start, end in sentences(document.abstract):
        yield ABSTRACT, document.abstract[start:end]
    for keyword in document.keywords:
        yield KEYWORDS, keyword


class PaperIndex:
    """The words of n papers, which hold each id once; row r is the paper with the r-th smallest id.

    All t places of words stand one after the other, the papers' in the order of the rows. After each
    segment comes a place without a word, so that no phrase runs from one sentence into the next:

    - ``terms``, ``acronyms`` int32[t + 2]: the word at each place by its number in ``vocabulary``, NONE
      where there is none. A term is in lower case, an acronym as it is written: `SAM` finds SAM
      alone, `sam` finds both.
    - ``has_hyphen`` bool[t]: whether a hyphen ties the word to the next.
    - ``segment`` int32[t]: which segment a place lies in.
    - ``row``, ``field`` int32[s]: the paper of each segment, and TITLE, ABSTRACT or KEYWORDS.
    """

    def __init__(self, documents: Iterable[Document]) -> None:
        by_id = {document.id: document for document in documents}
        self.documents = {paper: by_id[paper] for paper in sorted(by_id)}
        self.ids: Longs = np.array(list(self.documents), dtype=np.int64)
        self.vocabulary: dict[str, int] = {}
        chunks, rows, fields = _split(self.documents.values())
        terms, acronyms, has_hyphen = _words(chunks, self.vocabulary)
        self.terms: Ints = np.append(terms, [NONE, NONE]).astype(np.int32)
        self.acronyms: Ints = np.append(acronyms, [NONE, NONE]).astype(np.int32)
        self.has_hyphen: Bools = has_hyphen
        is_end = terms == NONE
        self.segment: Ints = (np.cumsum(is_end) - is_end).astype(np.int32)
        self.row: Ints = np.array(rows, dtype=np.int32)
        self.field: Ints = np.array(fields, dtype=np.int32)

    def __len__(self) -> int:
        return len(self.documents)

    @cached_property
    def words(self) -> list[str]:
        """The words of ``vocabulary`` by their numbers."""
        return list(self.vocabulary)

    @cached_property
    def hyphenated(self) -> dict[str, list[int]]:
        """Where two words stand that a hyphen makes one: ``multimodal`` for `multi-modal`."""
        found: dict[str, list[int]] = {}
        for place in np.flatnonzero(self.has_hyphen).tolist():
            joined = self.words[self.terms[place]] + self.words[self.terms[place + 1]]
            found.setdefault(joined, []).append(place)
        return found

    @cached_property
    def lengths(self) -> Longs:
        """The words of each paper, keywords included."""
        return np.bincount(self.row[self.segment[self.terms[:-2] != NONE]], minlength=len(self))

    @cached_property
    def okapi(self) -> Okapi:
        """BM25 of the stems of all terms."""
        places = np.flatnonzero(self.terms[:-2] != NONE)
        segment = self.segment[places]
        stems = [stem(word) for word in self.words]
        return Okapi.of(
            stems,
            self.terms[places].astype(np.int64),
            self.row[segment].astype(np.int64),
            self.field[segment] == TITLE,
            len(self),
        )

    @cached_property
    def pairs(self) -> tuple[Longs, Longs]:
        """The pairs of neighbours, ``term * len(vocabulary) + next term``, ascending, and their places."""
        first, second = self.terms[:-2].astype(np.int64), self.terms[1:-1]
        places = np.flatnonzero((first >= 0) & (second >= 0))
        keys = first[places] * len(self.vocabulary) + second[places]
        order = np.argsort(keys, kind="stable")
        return keys[order], places[order]


END = ""  # of a segment, among chunks


def _split(documents: Iterable[Document]) -> tuple[list[str], list[int], list[int]]:
    """Return what white space parts in all segments, with an END after each, and each segment's row and field."""
    chunks: list[str] = []
    rows: list[int] = []
    fields: list[int] = []
    for row, document in enumerate(documents):
        for field, text in _texts(document):
            chunks += text.split()
            chunks.append(END)
            rows.append(row)
            fields.append(field)
    return chunks, rows, fields


def _words(chunks: Sequence[str], vocabulary: dict[str, int]) -> tuple[Longs, Longs, Bools]:
    """Return the terms, the acronyms and the hyphens at all places, and number the words; each chunk is read once."""
    numbers = {chunk: number for number, chunk in enumerate(dict.fromkeys(chunks))}
    read: list[tuple[int, int, bool]] = []
    lengths: list[int] = []
    for chunk in numbers:
        before = len(read)
        for term, acronym, has_hyphen in words(chunk) if chunk != END else ():
            number = vocabulary.setdefault(term, len(vocabulary))
            read.append((number, vocabulary.setdefault(acronym, len(vocabulary)) if acronym else NONE, has_hyphen))
        if chunk == END:
            read.append((NONE, NONE, False))
        lengths.append(len(read) - before)
    table = np.array(read, dtype=np.int64).reshape(-1, 3)
    _, places = within(ends(lengths), np.fromiter(map(numbers.__getitem__, chunks), np.int64, len(chunks)))
    return table[places, 0], table[places, 1], table[places, 2] > 0
