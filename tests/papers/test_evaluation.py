"""A retrieval set is read as it is written, and rankings of it are measured by the book."""

import gzip
import json
import math

import pytest
from django.core.management import CommandError, call_command

from papers.evaluation import EvaluationSetError, measures, ndcg, read_set, recall, reciprocal_rank
from papers.index import Document
from papers.rankers import RANKERS, Okapi

# Measures ------------------------------------------------------------------------------------------


def test_the_gain_of_a_relevant_paper_falls_with_the_logarithm_of_its_place():
    # 3 / log2(2) + 0 + 1 / log2(4), beside the best order 3 / log2(2) + 2 / log2(3) + 1 / log2(4).
    assert ndcg([7, 8, 9], {7: 3, 9: 1, 5: 2}, 10) == pytest.approx((3 + 0.5) / (3 + 2 / math.log2(3) + 0.5))


def test_a_gain_counts_down_to_the_depth_only():
    assert ndcg([1, 2, 3], {3: 1}, 2) == 0
    assert ndcg([3, 4], {3: 1, 4: 1, 5: 1}, 2) == 1


def test_recall_is_the_share_of_the_relevant_papers_that_are_found():
    assert recall([1, 2, 3], {3: 1, 9: 1}, 3) == 0.5
    assert recall([1, 2, 3], {3: 1, 9: 1}, 2) == 0


def test_the_reciprocal_rank_is_that_of_the_first_relevant_paper():
    assert reciprocal_rank([4, 5, 6], {5: 1, 6: 2}) == 0.5
    assert reciprocal_rank([4], {5: 1}) == 0


def test_measures_are_means_over_the_queries():
    assert measures([[1], []], [{1: 1}, {1: 1}]) == {"ndcg@10": 0.5, "ndcg@20": 0.5, "recall@50": 0.5, "mrr": 0.5}


# Reading -------------------------------------------------------------------------------------------

CORPUS = [
    {"_id": "a", "title": "Graph learning", "text": "On graphs."},
    {"_id": "b", "title": "Heat", "text": "Learning of graph. \\emph{Slow} heat."},
    {"_id": "c", "title": "Birds", "text": "They sing."},
]
QUERIES = [
    {"_id": "q2", "text": "birds"},
    {"_id": "q1", "text": '"Graphs" -learning'},
    {"_id": "q0", "text": "unjudged"},
    {"_id": "q3", "text": "nothing good"},
]
QRELS = "query-id\tcorpus-id\tscore\nq1\ta\t2\nq1\tb\t0\nq2\tc\t1\nq2\tlost\t1\nq3\ta\t0\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, CORPUS)))
    (tmp_path / "queries.jsonl").write_text("\n".join(map(json.dumps, QUERIES)) + "\n\n")
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text(QRELS)
    return tmp_path


def test_the_queries_with_relevant_papers_are_read_in_their_order(folder):
    given = read_set(folder)

    assert given.texts == ("birds", '"Graphs" -learning')
    assert given.relevant == ({2: 1, -1: 1}, {0: 2})
    assert given.documents[0] == Document(0, "Graph learning", "On graphs.")
    assert "Slow heat" in given.documents[1].abstract
    assert read_set(folder, limit=1).texts == ("birds",)


def test_a_packed_corpus_is_as_good(folder):
    plain = read_set(folder)
    (folder / "corpus.jsonl.gz").write_bytes(gzip.compress((folder / "corpus.jsonl").read_bytes()))
    (folder / "corpus.jsonl").unlink()

    assert read_set(folder) == plain


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("corpus.jsonl", '{"_id": "a", "text": ""}\n{"_id": ', r"corpus.jsonl, line 2: no JSON"),
        ("corpus.jsonl", "[1]", r"corpus.jsonl, line 1: no JSON object"),
        ("corpus.jsonl", '{"_id": "a", "text": 3}', r"corpus.jsonl, line 1: “text” is no text"),
        ("corpus.jsonl", '{"_id": "a", "text": ""}\n\n{"_id": "a", "text": ""}', r"line 3: the id 'a' is there twice"),
        ("corpus.jsonl", b"{}\xff", r"corpus.jsonl, after line 0: cannot be read"),
        ("queries.jsonl", '{"_id": "q1"}', r"queries.jsonl, line 1: “text” is no text"),
        ("qrels/test.tsv", "q1 a 1", r"test.tsv, line 1: expected"),
        ("qrels/test.tsv", "q1\ta\tmuch", r"test.tsv, line 1: expected"),
        ("qrels/test.tsv", "q1\ta\t1\nq9\ta\t1", r"test.tsv, line 2: the query 'q9' is not in queries.jsonl"),
        ("qrels/test.tsv", "", r"no query has a relevant paper"),
    ],
)
def test_a_bad_line_is_named(folder, name, content, complaint):
    (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())

    with pytest.raises(EvaluationSetError, match=complaint):
        read_set(folder)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(folder, name):
    (folder / name).unlink()

    with pytest.raises(EvaluationSetError, match=name):
        read_set(folder)


def test_a_packed_corpus_that_ends_too_early_is_named(folder):
    packed = gzip.compress((folder / "corpus.jsonl").read_bytes())
    (folder / "corpus.jsonl").unlink()
    (folder / "corpus.jsonl.gz").write_bytes(packed[:-12])

    with pytest.raises(EvaluationSetError, match="cannot be read"):
        read_set(folder)


# Rankings ------------------------------------------------------------------------------------------

PAPERS = [
    Document(0, "Heat", "We learn a graph here, and then more about heat and other things."),
    Document(1, "Graph learning", "Nothing more is said."),
    Document(2, "Graphs", "Deep graph-learning learns graphs."),
    Document(3, "Birds", "They sing."),
]


def ranking(name, text):
    return next(RANKERS[name](PAPERS).rank([text]))


def test_the_phrase_stands_or_not():
    assert ranking("phrase", "graph learnings") == [1, 2]
    assert ranking("phrase", "learning graph") == []
    assert ranking("phrase", "-") == []


def test_bm25_is_okapis_over_stems():
    average = (14 + 6 + 6 + 3) / 4

    def weight(count, length):
        return count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / average))

    rarity = math.log(1 + 1.5 / 3.5)  # of graph and of learn: each in three papers of four
    assert Okapi(PAPERS).scores("learned graphs") == {
        0: pytest.approx(rarity * 2 * weight(1, 14)),
        1: pytest.approx(rarity * 2 * weight(1, 6)),
        2: pytest.approx(rarity * (weight(3, 6) + weight(2, 6))),
    }
    assert ranking("bm25", "learned graphs") == [2, 1, 0]
    assert ranking("bm25", "") == []


def test_the_product_ranks_whatever_holds_a_word_of_the_topic():
    assert set(ranking("product", '"graph learning" OR -sing')) == {0, 1, 2, 3}
    assert ranking("product", "graph learning")[0] in {1, 2}
    assert ranking("product", '" -') == []


# The command ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", list(RANKERS))
def test_the_command_prints_the_measures_of_the_contract(folder, capsys, name):
    call_command("evaluate_matching", str(folder), "--ranker", name, "--json")
    data = json.loads(capsys.readouterr().out)

    assert list(data) == ["queries", "ndcg@10", "ndcg@20", "recall@50", "mrr", "ms_per_query"]
    assert data["queries"] == 2
    assert 0 < data["ndcg@10"] <= 1


def test_the_command_takes_the_first_queries_only(folder, capsys):
    call_command("evaluate_matching", str(folder), "--limit", "1", "--json")

    assert json.loads(capsys.readouterr().out)["queries"] == 1


def test_a_folder_that_is_no_set_is_wrong_usage(tmp_path):
    with pytest.raises(CommandError, match=r"no corpus\.jsonl") as raised:
        call_command("evaluate_matching", str(tmp_path))
    assert raised.value.returncode == 2


@pytest.mark.parametrize("limit", ["0", "-1", "many"])
def test_a_limit_that_is_no_number_is_wrong_usage(folder, limit):
    with pytest.raises(CommandError, match="no number of queries"):
        call_command("evaluate_matching", str(folder), f"--limit={limit}")
