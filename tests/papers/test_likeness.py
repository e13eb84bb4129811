"""Papers above the threshold of likeness have more in common than their words: they share keywords."""

import csv
import gzip
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from papers.index import Document, PaperIndex
from papers.likeness import THRESHOLD, closeness, profile

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


@pytest.mark.data
def test_pairs_above_the_threshold_share_a_keyword_far_more_often_than_pairs_below(recorded):
    documents, keywords = recorded
    alike = closeness(PaperIndex(documents), [profile(document) for document in documents]) >= THRESHOLD
    share = np.array([[bool(mine & other) for other in keywords] for mine in keywords])
    above = np.triu(alike, k=1)
    below = np.triu(~alike, k=1)

    assert 1 <= 2 * above.sum() / len(documents) <= 10
    assert share[above].mean() > 6 * share[below].mean()
