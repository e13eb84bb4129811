"""Many queries at once give what each of them gives alone."""

import cProfile
from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from papers.evidence import evidence
from papers.index import Document, PaperIndex
from papers.matching import hide, match
from papers.query import parse
from papers.ranking import answers, hides
from tests.papers import reference

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


def test_what_is_left_out_does_not_mix_up_what_is_asked():
    index = PaperIndex([Document(1, "A drone"), Document(2, "A robot"), Document(3, "A robot drone", authors=("Li",))])
    asked = ("robot", '"robot"', "robot -drone", "drone -author:li", "author:li -robot", "robot -drone")

    found = match(index, [parse(line) for line in asked])

    rows = [found.rows[start:end].tolist() for start, end in pairwise(found.indptr.tolist())]
    assert rows == [[1, 2], [1, 2], [1], [0], [], [1]]


# Beside what is slow and obvious -------------------------------------------------------------------

WORDS = [
    *("graph", "graphs", "learning", "multi-modal", "multimodal", "multi", "modal", "SAM", "sam", "the", "of", "is"),
    *("data", "set", "dataset", "LLM", "llm", "large-language", "large", "language", "models", "RAG", "LoRA"),
]
texts = st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join)
documents = st.builds(
    Document,
    id=st.integers(1, 9),
    title=texts,
    abstract=st.lists(texts, max_size=3).map(". X ".join),
    keywords=st.lists(texts, max_size=2).map(tuple),
    authors=st.lists(st.sampled_from(["Jo Li", "Bo Möller", "Li Jo Moller"]), max_size=2).map(tuple),
    organisation=st.sampled_from(["", "Google DeepMind"]),
    categories=st.lists(st.sampled_from(["cs.CL", "cs.CV", "math.OC"]), max_size=2).map(tuple),
)
FIELD_PIECES = ['author:"li"', 'author:"Jo Li"', 'org:"deepmind"', "cat:cs.*", "cat:cs.CL", "title:graph"]
pieces = st.one_of(
    st.sampled_from(WORDS),
    st.lists(st.sampled_from(WORDS), min_size=2, max_size=3).map(lambda words: f'"{" ".join(words)}"'),
    st.sampled_from(FIELD_PIECES),
)
sides = st.lists(pieces, min_size=1, max_size=4).map(" ".join)
left_out = st.lists(pieces.map(lambda piece: f" -{piece}"), max_size=1).map("".join)
lines = st.builds(lambda several, out: " OR ".join(several) + out, st.lists(sides, min_size=1, max_size=2), left_out)


@settings(max_examples=100, deadline=None)
@given(st.lists(documents, max_size=5, unique_by=lambda document: document.id), st.lists(lines, max_size=5))
def test_the_engine_agrees_with_the_reference(papers, asked):
    index, queries = PaperIndex(papers), [parse(line) for line in asked]
    found, hidden = match(index, queries), hide(index, queries)

    for number, query in enumerate(queries):
        rows = found.rows[slice(*found.indptr[number : number + 2])]
        expected = [paper for paper in index.ids.tolist() if reference.answers(index.documents[paper], query)]
        assert index.ids[rows].tolist() == expected
        rows = hidden.rows[slice(*hidden.indptr[number : number + 2])]
        expected = [paper for paper in index.ids.tolist() if reference.hides(index.documents[paper], query)]
        assert index.ids[rows].tolist() == expected
        shown = [paper for paper in index.ids.tolist() if evidence(index.documents[paper], query)]
        assert shown == index.ids[found.rows[slice(*found.indptr[number : number + 2])]].tolist()
    assert all(0 < score <= 1 for score in found.scores.tolist())


def test_a_query_has_the_same_scores_alone_and_among_others():
    index = PaperIndex(PAPERS)
    found = match(index, QUERIES)

    for number, query in enumerate(QUERIES):
        alone, part = match(index, [query]), slice(*found.indptr[number : number + 2])
        np.testing.assert_array_equal(alone.scores, found.scores[part])


# Odd papers ----------------------------------------------------------------------------------------


def test_a_paper_with_nothing_but_a_title_and_500_authors_is_matched():
    names = tuple(f"Ann{number} Other{number}" for number in range(499))
    index = PaperIndex([Document(1, "", ""), Document(2, "Birds", authors=(*names, "Fei-Fei Li"))])

    assert index.ids[match(index, [parse('author:"Li, Fei-Fei" birds')]).rows].tolist() == [2]
    assert match(index, [parse("author:Other")]).rows.tolist() == []


def test_looking_at_a_long_abstract_takes_no_longer_for_each_word():
    queries = [parse(line) for line in ("word " * 30, '"word words word"', "heat of a graph", "multi modal word")]

    def steps(size):
        profiler = cProfile.Profile()
        index = PaperIndex([Document(1, "Birds", "word multi-modal graph " * size)])
        profiler.runcall(match, index, queries)
        profiler.runcall(evidence, index.documents[1], queries[3])
        return sum(entry.callcount for entry in profiler.getstats())

    assert steps(4_000) < 5 * steps(1_000)  # 92 kB
