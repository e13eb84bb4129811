"""From rows to the index, and the site's search over all papers."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from papers import archive, meaning, vectors
from papers.archive import document
from papers.encoders import Encoder, Vectors
from papers.index import PaperIndex
from papers.likeness import Profile
from papers.likes import Likes
from papers.models import Paper
from papers.query import Query, parse
from papers.ranking import Evidence, evidence, ranked

__all__ = ["SearchResult", "build_index", "document", "search"]

# Papers that are ranked against each other. To read and rank one takes a third of a millisecond; what
# lies behind so many is less likely by the engine's own order, and ranked for who pages on to there.
RANKED = 100


@dataclass(frozen=True, slots=True)
class Sense:
    """What an encoder makes of a query: the vectors of what it asks for, and the papers that are close to a topic."""

    encoder: Encoder
    said: Vectors
    near: frozenset[int]


@dataclass(frozen=True, slots=True)
class SearchResult:
    """How many papers hold a word of the query, and the best of them with their scores, in (0, 1]."""

    query: Query
    total: int
    papers: list[tuple[Paper, float]]
    likes: Mapping[str, Profile]
    sense: Sense | None

    def proofs(self) -> Iterator[tuple[Paper, Evidence | None]]:
        """Yield each paper and where one can see that it answers, None where it only holds some of the words."""
        for paper, score in self.papers:
            proof = evidence(document(paper), self.query, self.likes) if score > 0.5 else None
            if proof is None and self.sense and (score > 0.5 or paper.pk in self.sense.near):
                proof = meaning.nearest(document(paper), self.sense.said, self.sense.encoder)
            yield paper, proof


def build_index(papers: Iterable[Paper]) -> PaperIndex:
    return PaperIndex(document(paper) for paper in papers)


def search(query_text: str, limit: int, start: int = 0) -> SearchResult:
    """Return the best ``limit`` papers after ``start`` of them, the answers first; raise ``QueryError``.

    Hidden papers are left out. ``start`` is a multiple of ``limit``. With an encoder, closeness in
    meaning has a say in the order of what the words have found.
    """
    query, at_once = parse(query_text), max(RANKED, limit)
    before, start = start - start % at_once, start % at_once
    liked = archive.liked([query])
    likes = Likes.of(liked, vectors.encoder())
    likely = archive.candidates(query, before + at_once, liked)
    likely_papers = list(Paper.objects.filter(pk__in=likely[before:]).order_by("pk"))
    found, sense = _ranked(likely_papers, query, likes)
    best = dict(found[start : start + limit])
    papers = {paper.pk: paper for paper in likely_papers}
    return SearchResult(
        query=query,
        total=len(found) if len(likely) < at_once else archive.count(query, liked),
        papers=[(papers[pk], score) for pk, score in best.items()],
        likes=likes.profiles,
        sense=sense,
    )


def _ranked(papers: Sequence[Paper], query: Query, likes: Likes) -> tuple[list[tuple[int, float]], Sense | None]:
    """Return what ``ranked`` says of papers in the order of their keys, and of those that hold a topic's meaning."""
    index, encoder, texts = build_index(papers), vectors.encoder(), meaning.said(query)
    if encoder is None or not (texts or likes.vectors):
        return ranked(index, query, likes.profiles), None
    said, kept = encoder.encode(texts), vectors.kept(encoder, papers)
    known = likes.against(kept, vectors.likeness_threshold(encoder))
    near = meaning.close(index, [query], [said], kept, vectors.threshold(encoder), likes=known)
    sense = Sense(encoder, likes.said(query, said), frozenset(index.ids[near.rows].tolist()))
    return meaning.ranked(index, query, said, kept, known), sense
