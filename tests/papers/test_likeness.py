"""Papers above the threshold of likeness have more in common than words or closeness: they share keywords."""

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from papers import meaning
from papers.index import Document, PaperIndex
from papers.likeness import THRESHOLD, closeness, near, profile
from papers.vectors import likeness_threshold

PAPERS = 600


@pytest.fixture(scope="module")
def recorded(data: Path) -> tuple[list[Document], list[set[str]]]:
    """Papers of the keyword set, and the keywords of each."""
    folder = data / "relevance" / "hf_ai_keywords"
    keywords = defaultdict(set)
    with (folder / "qrels" / "test.tsv").open() as rows:
        for row in csv.DictReader(rows, delimiter="\t"):
            keywords[row["corpus-id"]].add(row["query-id"])
    with gzip.open(folder / "corpus.jsonl.gz", "rt") as lines:
        corpus = [paper for paper in map(json.loads, lines) if keywords[paper["_id"]]][::5][:PAPERS]
    documents = [Document(n, paper["title"], paper["text"]) for n, paper in enumerate(corpus, start=1)]
    return documents, [keywords[paper["_id"]] for paper in corpus]


def by_words(documents, _encoder):
    return closeness(PaperIndex(documents), [profile(document) for document in documents]) >= THRESHOLD


def by_vectors(documents, encoder):
    vectors = encoder.encode([meaning.text(document) for document in documents])
    return vectors @ vectors.T >= likeness_threshold(encoder)


@pytest.mark.data
@pytest.mark.parametrize("told", [by_words, by_vectors])
def test_pairs_above_the_threshold_share_a_keyword_far_more_often_than_pairs_below(recorded, told, wordllama):
    documents, keywords = recorded
    alike = told(documents, wordllama)
    share = np.array([[bool(mine & other) for other in keywords] for mine in keywords])
    above = np.triu(alike, k=1)
    below = np.triu(~alike, k=1)

    assert 1 <= 2 * above.sum() / len(documents) <= 10
    assert share[above].mean() > 6 * share[below].mean()


@pytest.mark.parametrize("least", [0.3, 0.95])
def test_closeness_counts_from_its_own_threshold_on_the_scale_of_words(least):
    scores = near(np.array([least - 0.01, least, 1, 1.0001], np.float32), least).scores

    assert scores[0] < THRESHOLD
    assert scores[1:] == pytest.approx([THRESHOLD, 1, 1])
