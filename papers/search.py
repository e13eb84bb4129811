"""From rows to the index, and the site's search over all papers."""

from collections.abc import Iterable
from dataclasses import dataclass

from papers.index import Document, PaperIndex
from papers.models import Paper
from papers.query import parse
from papers.ranking import ranked


@dataclass(frozen=True, slots=True)
class SearchResult:
    """How many papers hold a word of the query, and the best of them with their scores, in (0, 1]."""

    total: int
    papers: list[tuple[Paper, float]]


def document(paper: Paper) -> Document:
    """Return what of a paper can be searched."""
    return Document(
        id=paper.pk,
        title=paper.title,
        abstract=paper.abstract,
        keywords=tuple(paper.keywords),
        authors=tuple(paper.authors),
        organisation=paper.organisation,
        categories=tuple(paper.categories),
    )


def build_index(papers: Iterable[Paper]) -> PaperIndex:
    return PaperIndex(document(paper) for paper in papers)


def search(query_text: str, limit: int) -> SearchResult:
    """Return the best ``limit`` papers, the answers first; raise ``QueryError``. Hidden papers are left out."""
    query = parse(query_text)
    found = ranked(build_index(Paper.objects.visible().order_by("pk").iterator()), query)
    best = dict(found[:limit])
    papers = Paper.objects.in_bulk(best)
    return SearchResult(len(found), [(papers[pk], score) for pk, score in best.items() if pk in papers])
