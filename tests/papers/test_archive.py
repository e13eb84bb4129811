"""What the archive's full-text index finds is what reading every paper would find, on both databases."""

import json
import os
import subprocess
import sys
from importlib import import_module
from typing import Any

import pytest
from django.apps import apps
from django.db import connection

from papers import archive
from papers.fulltext import Phrase, asked, for_postgresql, for_sqlite, line
from papers.ingest import ingest
from papers.models import Paper, PaperTerms
from papers.query import parse
from papers.ranking import ranked
from papers.search import build_index, search
from tests.conftest import ROOT
from tests.factories import make_daily_item, make_paper
from tests.papers.test_ingest import DATE, NOW

PAPERS: list[dict[str, Any]] = [
    {"title": "Large language models", "abstract": "We ask LLMs. They answer.", "categories": ["cs.CL", "cs.AI"]},
    {"title": "Multi-modal retrieval", "abstract": "A data set of images."},
    {"title": "Retrieval", "abstract": "It is multimodal. The dataset is new.", "categories": ["stat.ML"]},
    {"title": "Multi modal speech", "abstract": "", "keywords": ["speech recognition", "C++"]},
    {"title": "Segment with SAM", "abstract": "Sam Smith wrote GPT-4o in C#.", "authors": ["Fei-Fei Li"]},
    {"title": "Schrödinger's ﬁlters", "abstract": "Version 3.1 of biases.", "organisation": "Google DeepMind"},
    {
        "title": "Speech",
        "abstract": "Of models. A language.",
        "authors": ["José Álvarez-Jones"],
        "organisation": "Jones",
    },
    {"title": "语言 模型", "abstract": "It's 'quoted' \\emph{here}: a & b | !c \" <-> ( * ^ NEAR AND OR NOT."},
    {"title": "Multimodal finetuning", "abstract": "Of a data set for pre training."},
    {"title": "Word " * 3, "abstract": "x" * 3000, "categories": ["math.NA", "cond-mat.mtrl-sci"]},
]
QUERIES = [
    "language model", '"language model"', "large language models", "LLM", "llms", "LLM -LLM", "speech -LLM", "LoRA",
    "lora", "low rank adaptation", "multimodal", "multi-modal", "multi modal retrieval", "dataset", '"data set"', "SAM",
    "sam", "gpt-4o", "c++", "C#", "schrodinger filter", "bias", "3.1", "speech -recognition", 'speech -"a language"',
    "speech OR retrieval", 'author:"fei-fei li"', "author:jones", "author:alvarez", "org:deepmind", "org:jones",
    "cat:cs.CL", "cat:cs.*", "cat:stat.ML", "cat:cond-mat.mtrl-sci", "cat:math", "title:speech", "title:SAM",
    "speech title:multimodal", "语言", "quoted here", "a & b | !c", '"NEAR AND NOT"', "NEAR AND", "^ * word", "emph",
    "word word word word", "retrieval -cat:stat.ML", "the of", '"it is"', "author:li OR org:jones -smith", "x" * 150,
    "nothing-like-this", '"multi modal fine tuning"', 'title:"multi modal fine tuning"', '"dataset for pretraining"',
]  # fmt: skip


def found() -> dict[str, list[str]]:
    """Return the papers that the engine proposes for each query, as the command would rank them."""
    return {query: sorted(paper.arxiv_id for paper, _ in search(query, 100).papers) for query in QUERIES}


@pytest.fixture
def papers(db):
    return [make_paper(arxiv_id=f"2401.1{n:04d}", **fields) for n, fields in enumerate(PAPERS)]


@pytest.mark.parametrize("query", QUERIES)
def test_nothing_that_reading_every_paper_finds_is_missed(papers, query):
    read = ranked(build_index(papers), parse(query))

    result = search(query, 100)

    assert {paper.pk for paper, _ in result.papers} == {paper_id for paper_id, _ in read}
    assert {paper.pk for paper, score in result.papers if score > 0.5} == {key for key, score in read if score > 0.5}
    assert result.total == len(read)


@pytest.mark.services
def test_both_databases_find_the_same(papers, postgres, tmp_path):
    script = """
import json, django
django.setup()
from tests.factories import make_paper
from tests.papers.test_archive import PAPERS, found
for n, fields in enumerate(PAPERS):
    make_paper(arxiv_id=f"2401.1{n:04d}", **fields)
print(json.dumps(found()))
"""
    ours = {"DATABASE_URL": postgres, "DJANGO_SETTINGS_MODULE": "newsletter.settings", "ENV_FILE": os.devnull}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | ours | {"VAR_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )

    assert json.loads(done.stdout) == found()


def test_what_a_source_says_anew_is_found_and_the_old_is_not(db):
    for title in ("Penguins", "Ostriches"):
        page = json.dumps([make_daily_item("2607.00001", title=title)]).encode()
        ingest("huggingface", DATE, now=NOW, pages=[page])

    assert [paper.title for paper, _ in search("ostrich", 10).papers] == ["Ostriches"]
    assert archive.candidates(parse("penguin"), 10) == []


def test_votes_alone_index_nothing(db, django_assert_max_num_queries):
    page = json.dumps([make_daily_item("2607.00001", upvotes=7)]).encode()
    ingest("huggingface", DATE, now=NOW, pages=[page])
    PaperTerms.objects.update(words="as it was")

    ingest("huggingface", DATE, now=NOW, pages=[page.replace(b'"upvotes": 7', b'"upvotes": 8')])

    assert Paper.objects.get().upvotes == 8
    assert PaperTerms.objects.get().words == "as it was"


def test_a_paper_that_goes_leaves_no_words_behind(papers):
    Paper.objects.all().delete()

    assert archive.engine().count(asked(parse("speech"), "any")) == 0


def test_papers_that_came_by_another_way_are_indexed_once(papers):
    PaperTerms.objects.filter(paper=papers[0]).delete()
    PaperTerms.objects.filter(paper=papers[1]).update(version=0)

    assert (archive.index_missing(), archive.index_missing()) == (2, 0)
    assert papers[0] in [paper for paper, _ in search("large language models", 10).papers]


def test_the_migration_indexes_what_is_there(papers):
    kept = set(PaperTerms.objects.values_list("paper", "words", "version"))
    PaperTerms.objects.all().delete()

    import_module("papers.migrations.0005_search_over_the_archive").index_papers(apps, None)

    assert set(PaperTerms.objects.values_list("paper", "words", "version")) == kept


def test_the_best_candidates_come_first_however_few_are_wanted(db):
    loose = [make_paper(title="Graphs", abstract="Learning.") for _ in range(3)]
    exact = make_paper(title="Birds", abstract="On graph learning.")
    titled = make_paper(title="Graph learning", abstract="On birds.")
    make_paper(title="Learning", abstract="Birds.")

    assert archive.candidates(parse("graph learning"), 2) == [titled.pk, exact.pk]
    assert set(archive.candidates(parse("graph learning"), 5)) == {titled.pk, exact.pk, *(p.pk for p in loose)}
    assert archive.count(parse("graph learning")) == 6


@pytest.mark.parametrize(("line", "questions"), [("author:jones", 1), ('"a language"', 2), ("a language", 4)])
def test_the_engine_is_not_asked_the_same_twice(papers, django_assert_num_queries, line, questions):
    with django_assert_num_queries(questions):
        archive.candidates(parse(line), 100)


def test_more_papers_than_are_ranked_are_counted(db):
    for _ in range(4):
        make_paper(title="Robots")
    hidden = make_paper(title="Robots", is_hidden=True)

    found = archive.candidates(parse("robot"), 3)

    assert len(found) == 3
    assert hidden.pk not in found
    assert archive.count(parse("robot")) == 4


@pytest.mark.parametrize("hostile", ["' OR 1=1 --", 'a" b', "a\\' b", "(" * 90, "NEAR(a b)", "a:* b", "\\", "' & '"])
def test_no_sign_of_a_query_is_taken_for_the_engines_own(papers, hostile):
    expression = Phrase(tuple(hostile.split()))

    assert archive.engine().find(expression, 10) in ([], [papers[7].pk])
    assert for_postgresql(expression).count("'") % 2 == 0
    assert for_sqlite(expression)[0] == for_sqlite(expression)[-1] == '"'


def test_a_search_by_words_reads_the_index_and_not_the_papers(papers):
    with connection.cursor() as cursor:
        cursor.execute("EXPLAIN QUERY PLAN SELECT rowid FROM papers_archive WHERE papers_archive MATCH 'speech'")
        plan = cursor.fetchall()

    assert "VIRTUAL TABLE INDEX" in plan[0][-1]


def test_a_very_long_abstract_is_kept_to_its_hundred_thousandth_character():
    document = archive.document(Paper(pk=1, title="T", abstract="word " * 30_000, authors=["A"] * 500))

    assert line(document).split().count("word") == 20_000
