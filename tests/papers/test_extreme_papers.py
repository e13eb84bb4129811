"""A paper of any size can be matched, and shows why in a few words."""

import pytest

from papers.evidence import LONGEST_EVIDENCE
from papers.index import Document, PaperIndex
from papers.query import parse
from papers.ranking import answers, evidence, hides

ENDLESS = "robot " * 8_000 + "holds a large language model " + "arm " * 13_000  # 100 kB, one sentence
SENTENCES = "Robots are fine. " * 6_000 + "One holds an LLM."
SIGNS = "$\\alpha" * 10_000 + ' "' * 15_000 + " LLM."
AUTHORS = tuple(f"Ada{number} Example" for number in range(500))


@pytest.mark.parametrize(
    ("document", "query"),
    [
        (Document(1, "Large language models"), "LLM"),
        (Document(1, "", "", ("LLM",)), "LLM"),
        (Document(1, "x", ENDLESS), "LLM"),
        (Document(1, "x", SENTENCES), "LLM"),
        (Document(1, "x", SIGNS), "LLM"),
        (Document(1, "LLM " * 5_000), "LLM"),
        (Document(1, "x", "", (), AUTHORS), 'author:"ada499 example"'),
        (Document(1, "x", "", tuple(f"keyword {number}" for number in range(5_000))), "keyword 4999"),
    ],
    ids=["no abstract", "no title", "endless sentence", "many sentences", "signs", "title", "authors", "keywords"],
)
def test_a_paper_of_any_size_answers_and_shows_why_in_a_few_words(document, query):
    index, asked = PaperIndex([document]), parse(query)

    assert answers(index, asked).keys() == hides(index, asked) == {1}
    proof = evidence(document, asked)
    assert proof
    assert 0 < len(proof.text) <= LONGEST_EVIDENCE + 2
    assert proof.marks
    assert all(0 <= start < end <= len(proof.text) for start, end in proof.marks)


@pytest.mark.parametrize("document", [Document(1, ""), Document(1, "🤖", "\u202e…", ("",), ("",), "", ("",))])
def test_a_paper_without_words_answers_nothing(document):
    index = PaperIndex([document])

    for query in ("robot", "robot OR x -arm", "author:a", "org:a", "cat:cs", "title:a", '"a b"'):
        assert not answers(index, parse(query))
        assert not hides(index, parse(query))
        assert evidence(document, parse(query)) is None
