"""Many queries at once give what each of them gives alone."""

import numpy as np

from papers.index import Document, PaperIndex
from papers.matching import hide, match
from papers.query import parse
from papers.ranking import answers, hides

PAPERS = [
    Document(30, "Graph learning", "Graph learning on graphs."),
    Document(10, "Heat", "We mention graph learning once."),
    Document(20, "Learning to draw", "A graph is shown. Learning a graph."),
    Document(40, "Birds", "They sing."),
]
QUERIES = [parse(line) for line in ("graph learning", "nowhere", "birds OR heat", "graph -heat", '"learning"')]


def test_the_rows_of_each_query_are_its_answers_in_ascending_order():
    index = PaperIndex(PAPERS)
    found = match(index, QUERIES)

    assert index.ids.tolist() == [10, 20, 30, 40]
    assert [array.dtype.name for array in (found.indptr, found.rows, found.scores)] == ["int64", "int32", "float32"]
    for number, query in enumerate(QUERIES):
        part = slice(*found.indptr[number : number + 2])
        scores = np.array(list(answers(index, query).values()), dtype=np.float32)
        assert index.ids[found.rows[part]].tolist() == list(answers(index, query))
        np.testing.assert_array_equal(found.scores[part], scores)


def test_the_rows_that_a_mute_hides_are_in_ascending_order():
    index = PaperIndex(PAPERS)
    found = hide(index, QUERIES)

    for number, query in enumerate(QUERIES):
        assert set(index.ids[found.rows[slice(*found.indptr[number : number + 2])]].tolist()) == hides(index, query)


def test_no_queries_and_no_papers_are_no_error():
    assert match(PaperIndex(PAPERS), []).indptr.tolist() == [0]
    assert match(PaperIndex([]), QUERIES).indptr.tolist() == [0] * 6
    assert hide(PaperIndex([]), QUERIES).rows.tolist() == []
