"""What interests mean: their vectors, made once, and the papers that they find by them beside words."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from papers import archive, meaning, vectors
from papers.encoders import Encoder, Vectors, packed, unpacked
from papers.index import Document, PaperIndex
from papers.likes import Likes
from papers.matching import Matches, match
from papers.models import Paper
from papers.query import VERSION, Query
from papers.ranking import Evidence, evidence
from subscribers.models import Interest, InterestVector

AT_ONCE = 5_000  # interests whose vectors are asked for together


class Matcher:
    """Matches queries against some papers, by words and, with an encoder, by meaning."""

    def __init__(self, papers: Sequence[Paper]) -> None:
        self._papers = sorted(papers, key=lambda paper: paper.pk)
        self._encoder = vectors.encoder()
        self._vectors: Vectors | None = None  # read when the first reader asks
        self._likes = Likes()

    def match(self, index: PaperIndex, queries: Sequence[Query]) -> Matches:
        """Return the answers of each query, as ``papers.matching`` has them; ``index`` holds the matcher's papers."""
        likes = Likes.of(archive.liked(queries), self._encoder)
        self._likes.add(likes)
        if self._encoder is None or not self._papers:
            return match(index, queries, likes.profiles)
        said, papers = vectors_of(self._encoder, queries), self._kept(self._encoder)
        known = likes.against(papers, vectors.likeness_threshold(self._encoder))
        close = meaning.close(index, queries, said, papers, vectors.threshold(self._encoder), likes=known)
        return meaning.joined(match(index, queries, known), close, len(index))

    def prove(self, document: Document, query: Query) -> Evidence | None:
        """Return where one can see that a paper answers a query that it was matched with, None where nothing shows it.

        By meaning alone, that is the sentence closest to it.
        """
        if proof := evidence(document, query, self._likes.profiles):
            return proof
        if self._encoder is None:
            return None
        said = self._likes.said(query, self._encoder.encode(meaning.said(query)))
        return meaning.nearest(document, said, self._encoder) if len(said) else None

    def _kept(self, encoder: Encoder) -> Vectors:
        if self._vectors is None:
            self._vectors = vectors.vectors_of(encoder, self._papers)
        return self._vectors


def vectors_of(encoder: Encoder, queries: Sequence[Query]) -> list[Vectors]:
    """Return for each query float32[k, d] of what it says; those of interests are made once and kept."""
    found: dict[str, Vectors] = {}
    for start in range(0, len(queries), AT_ONCE):
        some = {query.canonical: query for query in queries[start : start + AT_ONCE]}
        found |= _kept(encoder, some)
        missing = [query for canonical, query in some.items() if canonical not in found]
        made = _made(encoder, missing)
        _keep(encoder, made)
        found |= made
    return [found[query.canonical] for query in queries]


def _kept(encoder: Encoder, canonicals: Iterable[str]) -> dict[str, Vectors]:
    dimensions = encoder.encode([]).shape[1]
    rows = InterestVector.objects.filter(encoder=encoder.name, interest__canonical__in=list(canonicals))
    return {
        canonical: unpacked(bytes(vectors)).reshape(-1, dimensions)
        for canonical, vectors in rows.values_list("interest__canonical", "vectors")
    }


def _made(encoder: Encoder, queries: Sequence[Query]) -> dict[str, Vectors]:
    texts = [meaning.said(query) for query in queries]
    ends = np.cumsum([len(said) for said in texts])[:-1]
    encoded = np.split(encoder.encode([text for said in texts for text in said]), ends) if queries else []
    return {query.canonical: said for query, said in zip(queries, encoded, strict=True)}


def _keep(encoder: Encoder, made: Mapping[str, Vectors]) -> None:
    """Keep the vectors of queries that are somebody's interest."""
    interests = Interest.objects.filter(canonical__in=list(made), version=VERSION).values_list("canonical", "pk")
    InterestVector.objects.bulk_create(
        [
            InterestVector(interest_id=pk, encoder=encoder.name, vectors=packed(made[canonical]))
            for canonical, pk in interests
        ],
        ignore_conflicts=True,  # another process may have been faster
    )
