"""With an encoder, what is close to a topic answers it too, behind all that answers by words."""

import gzip
import json
from itertools import islice

import numpy as np
import pytest

from papers import meaning, vectors
from papers.encoders import OnnxEncoder
from papers.index import Document, PaperIndex
from papers.matching import Matches, match
from papers.query import Alternative, Query, parse, plain_topic
from papers.ranking import ranked
from papers.search import search
from tests.factories import make_paper
from tests.papers.test_encoders import make_model

DAY = [
    Document(1, "Robot arms"),
    Document(2, "A drone", authors=("Ada Li",)),
    Document(3, "Poem", "It rhymes. A robot wrote it."),
    Document(4, "Poem"),
    Document(5, "Drone", "No poem."),
]


@pytest.fixture
def encoder(tmp_path):
    return OnnxEncoder(make_model(tmp_path))


@pytest.fixture
def day():
    return PaperIndex(DAY)


def close(index, encoder, *lines, least=0.8):
    """Return, for each line, the papers that are close to it, with their closeness."""
    queries = [parse(line) for line in lines]
    said = [encoder.encode(meaning.said(query)) for query in queries]
    papers = encoder.encode([meaning.text(document) for document in index.documents.values()])
    found = meaning.close(index, queries, said, papers, least)
    return [
        dict(zip(index.ids[found.rows[first:end]].tolist(), found.scores[first:end].tolist(), strict=True))
        for first, end in zip(found.indptr, found.indptr[1:], strict=False)
    ]


def test_what_means_the_same_is_close_and_what_does_not_is_not(day, encoder):
    robot, poem, both = close(day, encoder, "robot", "poem", "poem OR drone")

    assert robot.keys() == {1, 2}
    assert poem.keys() == {3, 4, 5}
    assert both.keys() == {1, 2, 3, 4, 5}
    assert all(0.8 < closeness <= 1.0001 for closeness in robot.values())


def test_all_else_that_a_line_asks_for_binds_as_ever(day, encoder):
    lines = ("robot author:li", "robot -arms", "robot -author:li", 'robot "poem"', '"robot"', "cat:cs.CL robot")

    found = close(day, encoder, *lines, least=0.1)

    assert [set(papers) for papers in found] == [{2}, {2, 3, 4, 5}, {1, 3, 4, 5}, {3, 4, 5}, set(), set()]


def test_a_query_without_a_topic_is_close_to_nothing_and_many_are_compared_at_once(day, encoder):
    assert close(day, encoder, '"robot"', "author:li") == [{}, {}]
    assert close(PaperIndex([]), encoder, "robot") == [{}]
    assert close(day, encoder) == []
    lines = ["robot", "poem"] * (meaning.AT_ONCE // 2 + 1)
    assert close(day, encoder, *lines) == close(day, encoder, "robot", "poem") * (len(lines) // 2)


def test_answers_by_words_stay_above_what_is_only_close(day, encoder):
    query = parse("robot")
    said, papers = encoder.encode(["robot"]), encoder.encode([meaning.text(document) for document in DAY])
    by_words = match(day, [query])

    found = meaning.joined(by_words, meaning.close(day, [query], [said], papers, 0.8), len(day))

    assert day.ids[found.rows].tolist() == [1, 2, 3]
    assert [found.scores[n] for n in (0, 2)] == by_words.scores.tolist()
    assert 0 < found.scores[1] <= meaning.ANSWER_WEIGHT
    assert found.indptr.tolist() == [0, 3]


def test_however_low_an_answer_by_words_is_what_is_only_close_is_lower():
    by_words = Matches(np.array([0, 1, 2, 2]), np.array([0, 0], np.int32), np.array([0.001, 0.9], np.float32))
    close = Matches(np.array([0, 1, 2, 3]), np.array([1, 1, 1], np.int32), np.array([1.0001] * 3, np.float32))

    found = meaning.joined(by_words, close, 2)

    assert found.scores[1] < found.scores[0] == np.float32(0.001)
    assert found.scores[3] == found.scores[4] == pytest.approx(meaning.ANSWER_WEIGHT, rel=0.01)


@pytest.mark.data
def test_no_recorded_paper_that_is_only_close_comes_before_one_that_holds_the_words(wordllama, data):
    folder = data / "relevance" / "hf_ai_keywords"
    with gzip.open(folder / "corpus.jsonl.gz", "rt") as lines:
        papers = [json.loads(line) for line in islice(lines, 400)]
    with (folder / "queries.jsonl").open() as lines:
        queries = [Query((Alternative((plain_topic(json.loads(line)["text"]),)),)) for line in islice(lines, 300)]
    index = PaperIndex(Document(number, paper["title"], paper["text"]) for number, paper in enumerate(papers))
    said = [wordllama.encode(meaning.said(query)) for query in queries]
    kept = wordllama.encode([meaning.text(document) for document in index.documents.values()])
    by_words = match(index, queries)

    found = meaning.joined(by_words, meaning.close(index, queries, said, kept, 0.4), len(index))

    mixed = 0
    for number in range(len(queries)):
        words = set(by_words.rows[by_words.indptr[number] : by_words.indptr[number + 1]].tolist())
        line = slice(found.indptr[number], found.indptr[number + 1])
        best = np.argsort(-found.scores[line], kind="stable")
        order = [row in words for row in found.rows[line][best].tolist()]
        assert order == sorted(order, reverse=True)
        mixed += len(set(order)) == 2
    assert mixed > 20


def test_a_ranking_keeps_the_answers_and_orders_the_rest_by_meaning_too(day, encoder):
    query = parse("robot")
    said, papers = encoder.encode(["robot"]), encoder.encode([meaning.text(document) for document in DAY])

    found = meaning.ranked(day, query, said, papers)

    answers = ranked(day, query)
    assert dict(found[:2]) == pytest.approx(dict(answers))
    assert [paper for paper, _score in found[:2]] == [paper for paper, _score in answers]
    assert [paper for paper, _score in found[2:]] == [2, 5, 4]
    assert all(0 < score <= 0.5 for _paper, score in found[2:])


def test_many_queries_are_ordered_as_each_of_them_alone(day, encoder):
    queries = [parse(line) for line in ("robot", '"poem"', "drone OR poem", "nobody -poem", "author:li robot")]
    said, papers = (
        [encoder.encode(meaning.said(query)) for query in queries],
        encoder.encode([meaning.text(document) for document in DAY]),
    )

    found = meaning.ordered(day, queries, said, papers)

    for number, query in enumerate(queries):
        line = slice(found.indptr[number], found.indptr[number + 1])
        alone = dict(meaning.ranked(day, query, said[number], papers))
        assert dict(zip(day.ids[found.rows[line]].tolist(), found.scores[line].tolist(), strict=True)) == alone


def test_the_nearest_sentence_is_shown_unmarked(encoder):
    proof = meaning.nearest(Document(1, "Poem", "It rhymes. A drone wrote it."), encoder.encode(["robot"]), encoder)

    assert (proof.field, proof.text, proof.marks) == ("meaning", "A drone wrote it.", ())


def test_the_threshold_is_above_what_unrelated_texts_have(encoder, wordllama):
    assert vectors.threshold(wordllama) == pytest.approx(0.50, abs=0.02)
    assert vectors.threshold(encoder) == meaning.LOWEST  # it knows no word of the sample


@pytest.mark.django_db
def test_a_search_shows_what_is_close_and_why(settings, client):
    make_paper(title="On learning", abstract="Birds sing.")
    make_paper(title="Deep learning for image generation", abstract="We train generative image models.")
    lexical = make_paper(title="Generative learning of images", abstract="Nothing.")
    assert [paper for paper, _ in search("learning generative image models", 3).papers][2] != lexical
    settings.ENCODER = "wordllama"
    assert vectors.encode_missing() == 3

    result = search("generative modelling of images by learning", 3)

    proofs = {paper.title: proof for paper, proof in result.proofs()}
    assert proofs["On learning"] is None
    assert (proof := proofs["Deep learning for image generation"]) is not None
    assert (proof.field, proof.marks) == ("meaning", ())
    page = client.get("/search", {"q": "generative modelling of images by learning"}).content.decode()
    assert "Close in meaning:</span>" in page


def test_vectors_are_of_length_one(encoder):
    assert np.linalg.norm(encoder.encode(["robot poem"]), axis=1) == pytest.approx(1)
