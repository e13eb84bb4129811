"""Vectors of papers: made once, kept in rows, made anew when the text or the encoder changes."""

import time
from collections.abc import Iterable, Sequence

import numpy as np
from django.conf import settings
from django.db.models import Exists, OuterRef

from papers.encoders import Encoder, Vectors, load, packed, unpacked
from papers.models import Paper, PaperVector

AT_ONCE = 256  # papers whose vectors are kept together
LONGEST_S = 60.0  # of one go at papers that lack a vector; the next goes on there


def encoder() -> Encoder | None:
    """Return the encoder that the operator chose, None where there is none; raise ``EncoderError``."""
    return load(settings.ENCODER, settings.ENCODER_PATH)


def text(title: str, abstract: str) -> str:
    """Return what of a paper is encoded."""
    return f"{title}. {abstract}"


def vectors_of(encoder: Encoder, papers: Sequence[Paper]) -> Vectors:
    """Return float32[n, d]: the papers' vectors in their order; those that are missing are made and kept."""
    kept = _kept(encoder, [paper.pk for paper in papers])
    missing = [paper for paper in papers if paper.pk not in kept]
    if missing:
        _encode(encoder, missing)
        kept |= _kept(encoder, [paper.pk for paper in missing])
    return np.concatenate([kept[paper.pk] for paper in papers]) if papers else encoder.encode([])


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


def _kept(encoder: Encoder, papers: Sequence[int]) -> dict[int, Vectors]:
    """Return the vectors that are kept, by paper, each float32[1, d]."""
    rows = PaperVector.objects.filter(encoder=encoder.name, paper__in=papers).values_list("paper", "vector")
    return {paper: unpacked(bytes(vector), len(vector) // 2) for paper, vector in rows}


def _encode(encoder: Encoder, papers: Sequence[Paper]) -> None:
    vectors = encoder.encode([text(paper.title, paper.abstract) for paper in papers])
    PaperVector.objects.bulk_create(
        [
            PaperVector(paper=paper, encoder=encoder.name, vector=packed(vector))
            for paper, vector in zip(papers, vectors, strict=True)
        ],
        ignore_conflicts=True,  # another process may have been faster
    )
