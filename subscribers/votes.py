"""A reader's thumbs: what they want more of, and what they want less of."""

from collections import defaultdict
from collections.abc import Collection, Mapping
from typing import NamedTuple

from django.db.models import Count

from papers import bulk
from papers.models import Paper
from subscribers.models import Interest, Subscriber, Vote

MOST_HEEDED = 50  # thumbs of one reader in each direction, the newest


class Opinion(NamedTuple):
    """The papers that a reader wants more and less of, by their ids, the newest thumbs first."""

    liked: list[int]
    disliked: list[int]


def vote(subscriber: Subscriber, paper: Paper, *, is_up: bool, about: Interest | None = None) -> Vote:
    """Keep the reader's newest opinion of a paper; ``about`` is the interest that a thumb down is for."""
    opinion = {"is_up": is_up, "interest": None if is_up else about}
    return Vote.objects.update_or_create(subscriber=subscriber, paper=paper, defaults=opinion)[0]


def take_back(subscriber: Subscriber, paper: Paper) -> bool:
    """Forget the reader's opinion of a paper; False where there is none."""
    return bool(Vote.objects.filter(subscriber=subscriber, paper=paper).delete()[0])


def blamed(readers: Collection[int]) -> Mapping[tuple[int, str], int]:
    """Return how many thumbs down each of the readers gave about an interest, by reader and canonical query."""
    about = Vote.objects.filter(subscriber__in=bulk.among(readers), is_up=False, interest__isnull=False).order_by()
    counted = about.values_list("subscriber", "interest__canonical").annotate(thumbs=Count("pk"))
    return {(reader, canonical): thumbs for reader, canonical, thumbs in counted}


def opinions(readers: Collection[int]) -> Mapping[int, Opinion]:
    """Return what each of the readers thinks, by their ids, in one query."""
    found: defaultdict[int, Opinion] = defaultdict(lambda: Opinion([], []))
    votes = Vote.objects.filter(subscriber__in=bulk.among(readers)).order_by("-at", "-pk")
    for reader, paper, is_up in votes.values_list("subscriber", "paper", "is_up"):
        thumbs = found[reader].liked if is_up else found[reader].disliked
        if len(thumbs) < MOST_HEEDED:
            thumbs.append(paper)
    return found
