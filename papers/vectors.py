"""Vectors of papers: made once, kept in rows, made anew when the text or the encoder changes."""

import datetime as dt
import time
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from django.conf import settings
from django.db.models import Exists, OuterRef

from papers import meaning
from papers.archive import document
from papers.encoders import Encoder, Vectors, load, packed, unpacked
from papers.index import Document
from papers.models import Paper, PaperVector
from papers.sample import sample_pages

AT_ONCE = 256  # papers whose vectors are kept together
LONGEST_S = 60.0  # of one go at papers that lack a vector; the next goes on there


def encoder() -> Encoder | None:
    """Return the encoder that the operator chose, None where there is none; raise ``EncoderError``."""
    return load(settings.ENCODER, settings.ENCODER_PATH)


@lru_cache(maxsize=4)
def threshold(encoder: Encoder) -> float:
    """Return the closeness from which a paper answers a topic, told by the bundled sample."""
    return meaning.threshold(encoder, _sample())


@lru_cache(maxsize=4)
def likeness_threshold(encoder: Encoder) -> float:
    """Return the closeness from which a paper is like another, told by the bundled sample."""
    return meaning.likeness_threshold(encoder, _sample())


def _sample() -> list[Document]:
    pages = sample_pages(dt.date.min + dt.timedelta(weeks=1))
    records = [record for page in pages.values() for record in page]
    return [Document(n, r.title, r.abstract, r.keywords) for n, r in enumerate(records)]


def known(encoder: Encoder, papers: Sequence[int]) -> dict[int, Vectors]:
    """Return float32[d] of each of ``papers``, by key, that has a vector and a word that the encoder knows."""
    rows = PaperVector.objects.filter(encoder=encoder.name, paper__in=papers).values_list("paper", "vector")
    found = {paper: unpacked(bytes(vector)) for paper, vector in rows}
    return {paper: vector for paper, vector in found.items() if vector.any()}


def kept(encoder: Encoder, papers: Sequence[Paper]) -> Vectors:
    """Return float32[n, d]: the papers' vectors in their order, zeros where there is none yet."""
    found = known(encoder, [paper.pk for paper in papers])
    none = np.zeros(encoder.encode([]).shape[1])  # an empty text has a vector where a model marks its beginning
    return np.array([found.get(paper.pk, none) for paper in papers], dtype=np.float32).reshape(-1, len(none))


def vectors_of(encoder: Encoder, papers: Sequence[Paper]) -> Vectors:
    """Return what ``kept`` does; vectors that are missing are made and kept first."""
    has_one = PaperVector.objects.filter(encoder=encoder.name, paper__in=[paper.pk for paper in papers])
    encoded = set(has_one.values_list("paper", flat=True))
    if missing := [paper for paper in papers if paper.pk not in encoded]:
        _encode(encoder, missing)
    return kept(encoder, papers)


def encode_missing() -> int:
    """Encode papers that have no vector yet, the newest first, for about a minute; return how many."""
    chosen = encoder()
    if chosen is None:
        return 0
    until, count = time.monotonic() + LONGEST_S, 0
    has_one = PaperVector.objects.filter(paper=OuterRef("pk"), encoder=chosen.name)
    while time.monotonic() < until:
        papers = list(Paper.objects.filter(~Exists(has_one)).order_by("-pk")[:AT_ONCE])
        if not papers:
            break
        _encode(chosen, papers)
        count += len(papers)
    return count


def forget(papers: Iterable[int]) -> None:
    """Drop the vectors of papers, by key, whose text has changed; whichever encoder made them."""
    PaperVector.objects.filter(paper__in=papers).delete()


def _encode(encoder: Encoder, papers: Sequence[Paper]) -> None:
    vectors = encoder.encode([meaning.text(document(paper)) for paper in papers])
    PaperVector.objects.bulk_create(
        [
            PaperVector(paper=paper, encoder=encoder.name, vector=packed(vector))
            for paper, vector in zip(papers, vectors, strict=True)
        ],
        ignore_conflicts=True,  # another process may have been faster
    )
