"""The rankings that ``evaluate_matching`` compares: the product's own, and the two it must beat."""

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Protocol

import numpy as np

from papers import meaning
from papers.encoders import Encoder
from papers.index import Document, PaperIndex
from papers.matching import Matches, related
from papers.okapi import stem
from papers.query import Alternative, Query, Words, plain_topic
from papers.text import tokens

AT_ONCE = 500_000  # scores, of which each query may have one for every paper


class Ranker(Protocol):
    """Papers that are ready to be ranked."""

    def rank(self, texts: Sequence[str]) -> Iterator[list[int]]:
        """Yield, for each text as one plain topic, the ids of all papers that have a score, best first."""


class Product:
    """The product's own reading and scoring of an interest."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._index = PaperIndex(documents)

    def rank(self, texts: Sequence[str]) -> Iterator[list[int]]:
        at_once = AT_ONCE // max(len(self._index), 1) + 1
        for start in range(0, len(texts), at_once):
            topics = [Query((Alternative(topics=(plain_topic(text),)),)) for text in texts[start : start + at_once]]
            found = self._scored(topics)
            for first, end in pairwise(found.indptr.tolist()):
                best = np.lexsort((found.rows[first:end], -found.scores[first:end]))
                yield self._index.ids[found.rows[first:end][best]].tolist()

    def _scored(self, topics: Sequence[Query]) -> Matches:
        return related(self._index, topics)


class ByMeaning(Product):
    """The same with an encoder."""

    def __init__(self, documents: Sequence[Document], encoder: Encoder) -> None:
        super().__init__(documents)
        self._encoder = encoder
        papers = [meaning.text(self._index.documents[paper]) for paper in self._index.ids.tolist()]
        self._papers = encoder.encode(papers)

    def _scored(self, topics: Sequence[Query]) -> Matches:
        said = [self._encoder.encode(meaning.said(topic)) for topic in topics]
        return meaning.ordered(self._index, topics, said, self._papers)


class Phrase:
    """The papers in whose title or abstract the phrase stands, plurals folded, in their order."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._parts = {paper.id: [_terms(paper.title), _terms(paper.abstract)] for paper in documents}

    def rank(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for text in texts:
            wanted = _terms(text)
            yield [paper for paper, parts in self._parts.items() if any(_stands(wanted, part) for part in parts)]


def _terms(text: str) -> Words:
    return tuple(token.term for token in tokens(text))


def _stands(wanted: Words, part: Words) -> bool:
    if not wanted or not set(wanted) <= set(part):
        return False
    return any(part[start : start + len(wanted)] == wanted for start in range(len(part)))


class Okapi:
    """Okapi BM25 over stems, title and abstract as one text; no word is left out, equal scores in the papers' order.

    Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond (2009), with the
    logarithm's argument raised by one so that a word of most papers weighs little instead of less
    than nothing.
    """

    K1 = 1.2
    B = 0.75

    def __init__(self, documents: Sequence[Document]) -> None:
        held = [Counter(_stems(f"{document.title} {document.abstract}")) for document in documents]
        self._count = len(held)
        self._weights: dict[str, list[tuple[int, float]]] = defaultdict(list)
        average = sum(counts.total() for counts in held) / max(len(held), 1)
        for document, counts in zip(documents, held, strict=True):
            base = self.K1 * (1 - self.B + self.B * counts.total() / (average or 1.0))
            for word, count in counts.items():
                self._weights[word].append((document.id, count * (self.K1 + 1) / (count + base)))

    def rank(self, texts: Sequence[str]) -> Iterator[list[int]]:
        for text in texts:
            scores = self.scores(text)
            yield sorted(scores, key=lambda paper: (-scores[paper], paper))

    def scores(self, text: str) -> dict[int, float]:
        """Return the score of each paper that holds a word of ``text``, above 0; each word as often as it stands."""
        scores: dict[int, float] = defaultdict(float)
        for word in _stems(text):
            held = self._weights.get(word, [])
            rarity = math.log(1 + (self._count - len(held) + 0.5) / (len(held) + 0.5))
            for paper, weight in held:
                scores[paper] += rarity * weight
        return scores


def _stems(text: str) -> list[str]:
    return [stem(token.term) for token in tokens(text)]


RANKERS: dict[str, Callable[[Sequence[Document]], Ranker]] = {"product": Product, "phrase": Phrase, "bm25": Okapi}
