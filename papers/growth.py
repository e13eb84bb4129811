"""How much a paper's votes grew, from our own snapshots: what the trending score takes as growth."""

import datetime as dt
from collections.abc import Iterable

from papers.models import Snapshot

WINDOW = dt.timedelta(hours=24)


def growth(paper_ids: Iterable[int], since: dt.datetime | None, until: dt.datetime) -> dict[int, int]:
    """Return the votes each paper gained between its first and last snapshot from ``since`` to ``until``, >= 0.

    Without ``since`` these are the last 24 hours. A paper without a snapshot then is left out.
    Each source counts for itself, and what they counted is added. One query.
    """
    seen: dict[tuple[int, str], tuple[int, int]] = {}
    snapshots = Snapshot.objects.filter(
        paper__in=list(paper_ids), taken_at__gte=since or until - WINDOW, taken_at__lte=until
    )
    for paper_id, source, upvotes in snapshots.order_by("taken_at").values_list("paper_id", "source", "upvotes"):
        first, _ = seen.get((paper_id, source), (upvotes, upvotes))
        seen[paper_id, source] = first, upvotes
    gained: dict[int, int] = {}
    for (paper_id, _), (first, last) in seen.items():
        gained[paper_id] = gained.get(paper_id, 0) + max(0, last - first)
    return gained
