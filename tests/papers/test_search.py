"""The search over all papers, as a function and as a command."""

import json
import re

import pytest
from django.core.management import CommandError, call_command

from papers.management.commands.search import Command
from papers.pieces import FIELDS
from papers.query import QueryError
from papers.search import document, search
from tests.factories import make_paper

pytestmark = pytest.mark.django_db


@pytest.fixture
def papers():
    return {
        "answer": make_paper(title="Graph learning", abstract="It learns."),
        "rest": make_paper(title="Learning to sing", abstract="Birds."),
        "keyword": make_paper(title="Nodes", abstract="", keywords=["graph learning"]),
        "none": make_paper(title="Heat", abstract="Nothing."),
    }


def test_answers_come_first_and_then_what_holds_a_word(papers):
    result = search("graph learning", 10)

    assert result.total == 3
    assert [paper for paper, _ in result.papers] == [papers["answer"], papers["keyword"], papers["rest"]]
    scores = [score for _, score in result.papers]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score <= 1 for score in scores)


def test_the_limit_cuts_the_papers_but_not_their_number(papers):
    result = search("graph learning", 1)

    assert (result.total, [paper for paper, _ in result.papers]) == (3, [papers["answer"]])


@pytest.mark.parametrize("flag", ["is_hidden", "is_withdrawn"])
def test_hidden_and_withdrawn_papers_are_not_found(papers, flag):
    setattr(papers["answer"], flag, True)
    papers["answer"].save()

    assert papers["answer"] not in [paper for paper, _ in search("graph", 10).papers]


def test_what_is_like_a_paper_is_found_and_shows_why(papers):
    text = "Swallows and storks fly south in autumn. We count the birds of passage by radar."
    liked = make_paper(title="Birds of passage", abstract=text)
    alike = make_paper(title="Migrating birds", abstract="We count swallows and storks by radar in autumn.")

    result = search(f"like:{liked.arxiv_id}", 10)

    proofs = {paper: proof for paper, proof in result.proofs() if proof}
    assert alike in proofs
    assert papers["answer"] not in proofs
    assert (proofs[alike].field, bool(proofs[alike].marks)) == ("abstract", True)
    assert search("like:2401.99999", 10).total == 0


def test_a_line_that_cannot_be_read_is_an_error():
    with pytest.raises(QueryError):
        search("-surgery", 10)


def test_the_number_of_queries_does_not_grow_with_the_papers(django_assert_num_queries):
    for _ in range(20):
        make_paper(title="Graph")
    with django_assert_num_queries(5):  # the engine's four, and the papers that it found
        assert len(search("graph", 20).papers) == 20


def test_a_document_holds_what_can_be_searched():
    paper = make_paper(keywords=["a", "b"], organisation="Lab", categories=["cs.CL"])

    found = document(paper)

    assert (found.id, found.keywords, found.authors) == (paper.pk, ("a", "b"), ("Ada Example", "Ben Example"))
    assert hash(found)


def test_the_help_names_every_field():
    assert FIELDS.keys() <= set(re.findall(r"(\w+):", Command.help))


def test_the_command_answers_in_json(papers, capsys):
    call_command("search", "graph learning", "--limit", "1", "--json")

    answer = json.loads(capsys.readouterr().out)
    (found,) = answer["papers"]
    assert (answer.keys(), found.keys(), answer["total"]) == ({"total", "papers"}, {"id", "title", "score"}, 3)
    assert (found["id"], found["title"]) == (papers["answer"].arxiv_id, "Graph learning")
    assert 0.5 < found["score"] <= 1


def test_the_command_answers_a_person(papers, capsys):
    call_command("search", "graph learning")

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "3 papers"
    assert lines[1].endswith(f"{papers['answer'].arxiv_id}  Graph learning")


def test_nothing_found_is_no_error(capsys):
    call_command("search", "zebra", "--json")

    assert json.loads(capsys.readouterr().out) == {"total": 0, "papers": []}


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("robot foo:bar", "  robot foo:bar\n        ^"),
        ("robot\tfoo:bar", "  robot foo:bar\n        ^"),
        ('robot "remote', '  robot "remote\n        ^'),
    ],
)
def test_a_line_that_cannot_be_read_is_pointed_at(query, pointer):
    with pytest.raises(CommandError) as caught:
        call_command("search", query)

    assert caught.value.returncode == 2
    assert str(caught.value).endswith(pointer)


def test_a_place_far_into_a_long_line_is_still_under_the_caret():
    with pytest.raises(CommandError) as caught:
        call_command("search", "ab " * 100)

    line, caret = str(caught.value).splitlines()[1:]
    assert len(caret) <= len(line) < 90


@pytest.mark.parametrize("limit", ["0", "-1", "x", "99999"])
def test_a_limit_that_is_none_is_refused(limit):
    with pytest.raises(CommandError, match=r"is no number of papers|expected one argument"):
        call_command("search", "robot", "--limit", limit)
