"""The archive: the words of all papers in the database's own full-text index, kept and asked.

SQLite's FTS5 and PostgreSQL's full text find candidates; what they are worth is ``ranking``'s to say.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from django.db import connection

from papers.bulk import upsert
from papers.fulltext import TIERS, Expression, asked, for_postgresql, for_sqlite, line
from papers.index import Document
from papers.models import Paper, PaperTerms
from papers.query import Query

VERSION = 2  # of what is kept of a paper; raise it when words are folded or marked otherwise

# Of a paper, what is kept.
FIELDS = ("title", "abstract", "keywords", "authors", "organisation", "categories")

# Of more papers than this that hold something, the newest are looked at: to weigh every paper that
# holds a common word is what makes full text slow.
MOST_WEIGHED = 2_000
INDEXED_AT_ONCE = 1_000

_NOT_SHOWN = "SELECT id FROM papers_paper WHERE is_hidden OR is_withdrawn"  # kept small by an index of its own


# Kept -------------------------------------------------------------------------------------------


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


def index(papers: Iterable[Paper]) -> None:
    """Write or renew what the archive holds of ``papers``, in one statement."""
    rows = [{"paper": paper.pk, "words": line(document(paper)), "version": VERSION} for paper in papers]
    upsert(PaperTerms, rows, unique="paper")


def index_missing() -> int:
    """Index all papers of which the archive holds nothing, or something of another version; return how many."""
    missing = Paper.objects.exclude(terms__version=VERSION).order_by("pk")
    count = 0
    while papers := list(missing[:INDEXED_AT_ONCE]):
        index(papers)
        count += len(papers)
    return count


# Asked ------------------------------------------------------------------------------------------


class Engine(Protocol):
    """What a database's full text can do."""

    def find(self, expression: Expression, most: int) -> list[int]:
        """Return the ids of the ``most`` papers that hold most of the expression, the best first."""

    def count(self, expression: Expression) -> int:
        """Return how many papers hold the expression."""


class Fts5:
    """SQLite: a table without text of its own, which triggers keep up to date."""

    def find(self, expression: Expression, most: int) -> list[int]:
        newest = f"""SELECT rowid, rank FROM papers_archive
            WHERE papers_archive MATCH %s AND rowid NOT IN ({_NOT_SHOWN}) ORDER BY rowid DESC LIMIT %s"""  # noqa: S608
        statement = f"SELECT rowid FROM ({newest}) ORDER BY rank, rowid LIMIT %s"  # noqa: S608
        return _ids(statement, [for_sqlite(expression), MOST_WEIGHED, most])

    def count(self, expression: Expression) -> int:
        statement = f"""SELECT count(*) FROM papers_archive
            WHERE papers_archive MATCH %s AND rowid NOT IN ({_NOT_SHOWN})"""  # noqa: S608
        return _ids(statement, [for_sqlite(expression)])[0]


class PostgreSql:
    """PostgreSQL: a column that the server makes of the words, and a GIN index."""

    def find(self, expression: Expression, most: int) -> list[int]:
        newest = f"""SELECT paper_id, document, asked FROM papers_paperterms, to_tsquery('simple', %s) AS asked
            WHERE document @@ asked AND paper_id NOT IN ({_NOT_SHOWN}) ORDER BY paper_id DESC LIMIT %s"""  # noqa: S608
        statement = f"""SELECT paper_id FROM ({newest}) AS newest
            ORDER BY ts_rank(document, asked) DESC, paper_id LIMIT %s"""  # noqa: S608
        return _ids(statement, [for_postgresql(expression), MOST_WEIGHED, most])

    def count(self, expression: Expression) -> int:
        statement = f"""SELECT count(*) FROM papers_paperterms
            WHERE document @@ to_tsquery('simple', %s) AND paper_id NOT IN ({_NOT_SHOWN})"""  # noqa: S608
        return _ids(statement, [for_postgresql(expression)])[0]


def engine() -> Engine:
    return Fts5() if connection.vendor == "sqlite" else PostgreSql()


def _ids(statement: str, parameters: Sequence[str | int]) -> list[int]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        return [row[0] for row in cursor.fetchall()]


def candidates(query: Query, most: int, liked: Mapping[str, Document] | None = None) -> list[int]:
    """Return the ids of at most ``most`` papers that may answer ``query`` or hold a word of it, the likeliest first.

    ``liked`` are the papers that it is to be like, by arXiv id.
    """
    found: dict[int, None] = {}
    for expression in dict.fromkeys(asked(query, tier, liked) for tier in TIERS):  # without a topic, some are one
        if len(found) < most:
            found |= dict.fromkeys(engine().find(expression, most))
    return list(found)[:most]


def count(query: Query, liked: Mapping[str, Document] | None = None) -> int:
    """Return how many papers hold a word of ``query``, as ``candidates`` finds them."""
    return engine().count(asked(query, TIERS[-1], liked))


def liked(queries: Iterable[Query]) -> dict[str, Document]:
    """Return the papers that queries are to be like, by arXiv id; one that is not here is left out."""
    ids = {arxiv_id for query in queries for side in query.alternatives for arxiv_id in side.like}
    papers = Paper.objects.visible().filter(arxiv_id__in=ids) if ids else ()
    return {paper.arxiv_id: document(paper) for paper in papers}
