"""PaperIndex: the day's papers by their words, ready to be asked where words stand together.

Pure Python: a day has hundreds of papers. It holds where each word stands, so that phrases are
found by neighbouring positions and nothing is read twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from papers.acronyms import near_forms
from papers.query import Words
from papers.text import HYPHENS, STOP_WORDS, Token, sentences, tokens

# A word's place is its segment times this plus its number there, so that no phrase runs from one
# sentence or keyword into the next.
SEGMENT = 1 << 20
SHORTEST_HALF = 3  # characters of each word that `data set` may have to meet `dataset`

# Paper id -> the places where something stands.
Places = Mapping[int, list[int]]
# Paper id -> first and one past the last place of each occurrence.
Spans = dict[int, list[tuple[int, int]]]


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


def segments(document: Document) -> Iterator[Segment]:
    """Yield the parts of a paper, the most telling first."""
    yield Segment("title", document.title, tokens(document.title))
    for start, end in sentences(document.abstract):
        sentence = document.abstract[start:end]
        yield Segment("abstract", sentence, tokens(sentence))
    for keyword in document.keywords:
        yield Segment("keywords", keyword, tokens(keyword))


class PaperIndex:
    """Where each word of some papers stands; ``documents`` hold each id once."""

    def __init__(self, documents: Iterable[Document]) -> None:
        # Terms are lower case, acronyms upper case: `SAM` finds SAM alone, `sam` finds both.
        self._places: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        # `multimodal` -> where `multi-modal` stands, two words wide.
        self._hyphenated: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
        self._fields: dict[int, list[str]] = {}
        self.documents: dict[int, Document] = {}  # by paper id, for the evidence of what is picked
        self.lengths: dict[int, int] = {}
        for document in documents:
            self._add(document)
        # The papers in ascending order: a paper's place here is its row in whatever is made of them.
        self.ids: npt.NDArray[np.int64] = np.array(sorted(self.documents), dtype=np.int64)

    def _add(self, document: Document) -> None:
        parts = list(segments(document))
        self.documents[document.id] = document
        self._fields[document.id] = [part.field for part in parts]
        self.lengths[document.id] = sum(len(part.tokens) for part in parts)
        for number, part in enumerate(parts):
            self._add_segment(document.id, number * SEGMENT, part)

    def _add_segment(self, paper_id: int, start: int, part: Segment) -> None:
        for place, token in enumerate(part.tokens, start):
            self._places[token.term][paper_id].append(place)
            if token.acronym:
                self._places[token.acronym][paper_id].append(place)
        for place, (first, second) in enumerate(zip(part.tokens, part.tokens[1:], strict=False), start):
            between = part.text[first.end : second.start]
            if len(between) == 1 and between in HYPHENS:
                self._hyphenated[first.term + second.term][paper_id].append(place)

    def __len__(self) -> int:
        return len(self._fields)

    def field(self, paper_id: int, place: int) -> str:
        """Return the field in which a place lies."""
        return self._fields[paper_id][place // SEGMENT]

    def spans(self, words: Words) -> Spans:
        """Return where ``words`` stand one after the other, joined, parted or hyphenated as it may be.

        `multi-modal`, `multi modal` and `multimodal` are one, and so are `data set` and `dataset`.
        """
        # What was found after each number of words; each step takes the next one or two.
        found: list[dict[int, set[tuple[int, int]]]] = [{} for _ in range(len(words) + 1)]
        for done in range(len(words)):
            for taken, places, width in self._steps(words, done):
                _extend(found[done], places, width, into=found[done + taken], is_first=done == 0)
        return {paper_id: sorted(spans) for paper_id, spans in sorted(found[-1].items())}

    def near(self, words: Words) -> Spans:
        """Return where ``words`` or a near form of them stands: an acronym for its expansion, or the reverse."""
        return merged(self.spans(form) for form in near_forms(words))

    def _steps(self, words: Words, done: int) -> Iterator[tuple[int, Places, int]]:
        """Yield how the words after ``done`` of them may stand: words taken, places, words wide."""
        word = words[done]
        yield 1, self._at(word), 1
        yield 1, self._hyphenated.get(word, {}), 2
        yield 1, self._parted(word), 2
        if done + 1 < len(words):
            yield 2, self._at((word + words[done + 1]).lower()), 1

    def _at(self, key: str) -> Places:
        return self._places.get(key, {})

    def _parted(self, word: str) -> Places:
        """Return where two words stand that together are ``word``; `nowhere` is not `now here`, by luck at most."""
        found: dict[int, list[int]] = defaultdict(list)
        for cut in range(SHORTEST_HALF, len(word) - SHORTEST_HALF + 1):
            first, second = word[:cut], word[cut:]
            if first in self._places and second in self._places and not {first, second} & STOP_WORDS:
                for paper_id, places in self._places[first].items():
                    after = set(self._at(second).get(paper_id, ()))
                    found[paper_id] += [place for place in places if place + 1 in after]
        return {paper_id: places for paper_id, places in found.items() if places}


def merged(several: Iterable[Spans]) -> Spans:
    """Return the distinct spans of all, by paper, in order."""
    found: dict[int, set[tuple[int, int]]] = {}
    for spans in several:
        for paper_id, here in spans.items():
            found.setdefault(paper_id, set()).update(here)
    return {paper_id: sorted(found[paper_id]) for paper_id in sorted(found)}


def _extend(
    found: Mapping[int, set[tuple[int, int]]],
    places: Places,
    width: int,
    *,
    into: dict[int, set[tuple[int, int]]],
    is_first: bool,
) -> None:
    """Add to ``into`` each span of ``found`` that goes on at one of ``places``, and at the first word each place."""
    for paper_id, starts in places.items():
        if is_first:
            spans = {(place, place + width) for place in starts}
        else:
            here = set(starts)
            spans = {(start, end + width) for start, end in found.get(paper_id, ()) if end in here}
        if spans:
            into.setdefault(paper_id, set()).update(spans)
