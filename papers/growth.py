"""What our own rows know of a paper's counters in time: how much they grew, and what votes its field gets."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable

from django.db.models import Count, F
from django.db.models.fields.json import KeyTextTransform

from papers.models import Listing, Paper, Snapshot
from papers.trending import Growth, Votes

WINDOW = dt.timedelta(hours=24)
COMPARED_WITH = dt.timedelta(days=90)


def growth(paper_ids: Iterable[int], since: dt.datetime | None, until: dt.datetime) -> dict[int, Growth]:
    """Return what each paper gained between its first and last snapshot from ``since`` to ``until``.

    Without ``since`` these are the last 24 hours. A paper without a snapshot then is left out, and
    a snapshot without stars tells nothing of them. Each source counts for itself, and what they
    counted is added. One query.
    """
    upvotes: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    stars: defaultdict[tuple[int, str], list[int]] = defaultdict(list)
    snapshots = Snapshot.objects.filter(
        paper__in=list(paper_ids), taken_at__gte=since or until - WINDOW, taken_at__lte=until
    )
    rows = snapshots.order_by("taken_at").values_list("paper_id", "source", "upvotes", "github_stars")
    for paper_id, source, votes_then, stars_then in rows:
        upvotes[paper_id, source].append(votes_then)
        if stars_then is not None:
            stars[paper_id, source].append(stars_then)
    gained: dict[int, Growth] = {}
    for key, counts in upvotes.items():
        before = gained.get(key[0], Growth())
        gained[key[0]] = Growth(before.upvotes + _grew(counts), before.github_stars + _grew(stars[key]))
    return gained


def _grew(counts: list[int]) -> int:
    """Return the last of the counts less the first; what was taken back is no growth."""
    return max(0, counts[-1] - counts[0]) if counts else 0


def votes_by_field(on: dt.date) -> Votes:
    """Return the upvotes of every paper listed in the 90 days up to ``on``, which a paper's own are compared with.

    A field is a primary category; papers that nobody can vote for are left out. One query, of
    one row for each number of votes in a field.
    """
    listed = Listing.objects.filter(list_date__gt=on - COMPARED_WITH, list_date__lte=on)
    papers = Paper.objects.filter(pk__in=listed.values("paper"), upvotes__isnull=False).order_by("upvotes")
    counted = papers.values(field=KeyTextTransform("0", "categories"), votes=F("upvotes")).annotate(papers=Count("pk"))
    of_all: list[int] = []
    by_field: defaultdict[str, list[int]] = defaultdict(list)
    for name, votes, number in counted.values_list("field", "votes", "papers"):
        of_all += [votes] * number
        if name:
            by_field[name] += [votes] * number
    return Votes(of_all, by_field)
