"""What a reader writes meets what papers write: plurals, hyphens, compounds, signs, accents and acronyms."""

import pytest

from papers.index import Document, PaperIndex
from papers.query import parse
from papers.ranking import answers
from papers.text import prose

# Each line: ways of writing the same, of which every one finds every other.
SAME = [
    ("multimodal", "multi-modal", "multi modal", "multi\u2011modals"),
    ("data set", "dataset", "datasets", "data-sets"),
    ("pre-training", "pretraining", "pre training"),
    ("k-means", "kmeans"),
    ("e-mail", "email", "e-mails"),
    ("fine-tuning", "finetuning", "ﬁne‑tuning"),
    ("GPT-4o", "GPT4o", "gpt-4o"),
    ("Qwen2.5", "Qwen-2.5", "Qwen 2.5"),
    ("Llama 3.1", "Llama-3.1"),
    ("C++", "c++"),
    ("C#", "c#"),
    ("3D", "3-D"),
    ("Schrödinger", r"Schr\"odinger", r"Schr\"{o}dinger", "SCHRODINGER"),
    ("Erdős", r"Erd\H{o}s", "erdos"),
    ("O(n²)", r"$\mathcal{O}(n^2)$"),
    (r"$\alpha$-divergence", "α divergence", r"\alpha-divergence"),
    ("naïve", "naive"),
    ("bias", "biases"),
    ("loss", "losses"),
    ("box", "boxes"),
    ("hypothesis", "hypotheses"),
    ("index", "indices"),
    ("gpu", "gpus"),
    ("GPU", "GPUs"),
    ("RAG", "retrieval-augmented generation", "Retrieval Augmented Generation"),
    ("CoT", "chain-of-thought", "chains of thoughts"),
    ("ICL", "in context learning", "in-context learning"),
    ("VLMs", "vision-language models", "vision language model"),
    ("LLM-based agents", "LLM based agent", "large-language-model-based agents"),
    ("state of the art", "SOTA", "state-of-the-art"),
]


@pytest.mark.parametrize("ways", SAME, ids=lambda ways: ways[0])
def test_every_way_of_writing_the_same_finds_every_other(ways):
    index = PaperIndex([Document(number, "x", prose(f"We study {way}.")) for number, way in enumerate(ways)])

    for way in ways:
        assert answers(index, parse(way)).keys() == set(range(len(ways))), way


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("RAG", "A rag and a drag."),
        ("rag", "A drag."),
        ("SAM", "Sam and Samuel."),
        ("GO", "We go."),
        ("CLIP", "A clip."),
        ("CoT", "A cot."),
        ("C", "C++ and C#."),
        ("general", "Generalization."),
        ("genetics", "Genetic algorithms."),
        ("GPT-4", "GPT-4o."),
        ("3.1", "3 and 1."),
    ],
)
def test_what_only_looks_alike_does_not_meet(query, text):
    assert not answers(PaperIndex([Document(1, "x", text)]), parse(query))


def test_a_formula_is_found_as_one_types_it():
    assert answers(PaperIndex([Document(1, "x", prose(r"It takes $\mathcal{O}(n^2)$."))]), parse("O(n^2)"))


@pytest.mark.parametrize("query", ["language model", "large language model", "large language", "model", "LLM"])
def test_a_phrase_within_a_longer_one_is_found(query):
    assert answers(PaperIndex([Document(1, "x", "Large language models.")]), parse(query))
