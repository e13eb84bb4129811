"""From rows to the index, and the site's search over all papers."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from papers import archive
from papers.archive import document
from papers.index import PaperIndex
from papers.models import Paper
from papers.query import Query, parse
from papers.ranking import Evidence, evidence, ranked

__all__ = ["SearchResult", "build_index", "document", "search"]

# Papers that are ranked against each other. To read and rank one takes a third of a millisecond; what
# lies behind so many is less likely by the engine's own order, and ranked for who pages on to there.
RANKED = 100


@dataclass(frozen=True, slots=True)
class SearchResult:
    """How many papers hold a word of the query, and the best of them with their scores, in (0, 1]."""

    query: Query
    total: int
    papers: list[tuple[Paper, float]]

    def proofs(self) -> Iterator[tuple[Paper, Evidence | None]]:
        """Yield each paper and where one can see that it answers, None where it only holds some of the words."""
        for paper, _score in self.papers:
            yield paper, evidence(document(paper), self.query)


def build_index(papers: Iterable[Paper]) -> PaperIndex:
    return PaperIndex(document(paper) for paper in papers)


def search(query_text: str, limit: int, start: int = 0) -> SearchResult:
    """Return the best ``limit`` papers after ``start`` of them, the answers first; raise ``QueryError``.

    Hidden papers are left out. ``start`` is a multiple of ``limit``.
    """
    query, at_once = parse(query_text), max(RANKED, limit)
    before, start = start - start % at_once, start % at_once
    likely = archive.candidates(query, before + at_once)
    found = ranked(build_index(Paper.objects.filter(pk__in=likely[before:])), query)
    best = dict(found[start : start + limit])
    papers = Paper.objects.in_bulk(best)
    return SearchResult(
        query=query,
        total=len(found) if len(likely) < at_once else archive.count(query),
        papers=[(papers[pk], score) for pk, score in best.items() if pk in papers],
    )
