"""The papers that digests choose from, indexed: kept by the process from one call of planning to the next."""

import threading
import time
from collections.abc import Hashable, Sequence

from django.conf import settings

from newsletter.models import EditionPaper
from papers.models import Paper
from papers.search import build_index
from subscribers.candidates import Candidates
from subscribers.meanings import Matcher

MOST_KEPT = 6  # spans of editions that digests cover and their second chances: nearly all readers' is one of them
KEPT_FOR_S = 3600.0  # then anew: an interest may be like a paper that is not among these, and that changes too


class _Kept(threading.local):
    """Indexes of one edition by what they were made of, the last used last; what a thread asks is its own."""

    def __init__(self) -> None:
        self.edition_id: int | None = None
        self.found: dict[Hashable, tuple[float, Candidates]] = {}


_kept = _Kept()


def candidates(edition_id: int, rows: Sequence[EditionPaper]) -> Candidates:
    """Return the papers of some of an edition's rows with what interests find among them.

    Those of the call before are returned where the same papers, unchanged since, are asked for with the same
    encoder; so a paper that was hidden in between is in none. Only the indexes of
    one edition are kept.
    """
    if _kept.edition_id != edition_id:
        _kept.edition_id, _kept.found = edition_id, {}
    made_of = (
        settings.ENCODER,
        settings.ENCODER_PATH,
        *((row.paper_id, row.paper.changed_at, row.score) for row in rows),
    )
    made_at, kept = _kept.found.pop(made_of, (0.0, None))
    if kept is None or time.monotonic() - made_at >= KEPT_FOR_S:
        made_at, kept = time.monotonic(), _made(rows)
    _kept.found[made_of] = made_at, kept
    while len(_kept.found) > MOST_KEPT:
        del _kept.found[next(iter(_kept.found))]
    return kept


def _made(rows: Sequence[EditionPaper]) -> Candidates:
    papers = list(Paper.objects.filter(pk__in=[row.paper_id for row in rows]).order_by("pk"))
    matcher = Matcher(papers)
    return Candidates(build_index(papers), {row.paper_id: row.score for row in rows}, matcher.match, matcher.prove)
