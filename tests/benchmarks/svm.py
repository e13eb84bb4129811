"""A peer, run by its own Python: a TF-IDF SVM for each reader, as arxiv-sanity-lite trains one per tag.

Reads ``{"texts", "liked": [[row, …], …]}`` from standard input; prints seconds per reader and the version.
"""

import json
import sys
import time

import numpy as np
import sklearn
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.svm import LinearSVC

TOP = 10


def main() -> None:
    given = json.load(sys.stdin)
    vectors = TfidfVectorizer(
        strip_accents="unicode",
        stop_words="english",
        token_pattern=r"(?u)\b[a-zA-Z_][a-zA-Z0-9_]+\b",
        ngram_range=(1, 2),
        max_features=20_000,
        sublinear_tf=True,
        max_df=0.1,
        min_df=5,
    ).fit_transform(given["texts"])
    started = time.perf_counter()
    for liked in given["liked"]:
        wanted = np.zeros(vectors.shape[0])
        wanted[liked] = 1
        model = LinearSVC(class_weight="balanced", max_iter=10_000, tol=1e-6, C=0.01).fit(vectors, wanted)
        np.argsort(-model.decision_function(vectors))[:TOP]
    seconds = (time.perf_counter() - started) / len(given["liked"])
    print(json.dumps({"seconds": seconds, "version": f"scikit-learn {sklearn.__version__}"}))  # noqa: T201


if __name__ == "__main__":
    main()
