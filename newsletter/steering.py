"""What a reader changes from a mail, and what the change would have done to what they were sent."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from itertools import chain

from django.core.exceptions import ValidationError

from newsletter.models import Delivery, DeliveryPicks
from papers import query
from papers.models import Paper
from papers.ranking import hides
from papers.search import build_index
from subscribers import interests, votes
from subscribers.models import Follow, Subscriber

LOOKED_AT = 40  # papers that the reader was sent last


@dataclass(frozen=True, slots=True)
class Effect:
    """Of the last ``papers`` that a reader was sent, how many a mute would have hidden, and some titles of them."""

    hidden: int
    papers: int
    titles: tuple[str, ...] = ()


def effect(reader: Subscriber, wording: str) -> Effect:
    """Return what ``wording`` as a mute would have hidden; raise ``QueryError`` if it cannot be read."""
    wanted, papers = query.parse(wording), _last_papers(reader)
    hidden = hides(build_index(papers), wanted)
    titles = tuple(paper.title for paper in papers if paper.pk in hidden)
    return Effect(len(titles), len(papers), titles[:3])


def _last_papers(reader: Subscriber) -> list[Paper]:
    """Return the papers that the reader was sent last, the newest digest's first."""
    picks = DeliveryPicks.objects.filter(delivery__subscriber=reader, delivery__state__in=Delivery.SENT)
    newest = picks.order_by("-delivery__edition__date").values_list("paper_ids", flat=True)[:LOOKED_AT]
    ids = list(dict.fromkeys(chain.from_iterable(newest)))[:LOOKED_AT]
    papers = Paper.objects.in_bulk(ids)
    return [papers[pk] for pk in ids if pk in papers]


def interests_behind(picks: DeliveryPicks, paper: Paper) -> list[str]:
    """Return the interests for which a paper stands in a digest."""
    return [why["interest"] for pick in picks.details if pick["paper"] == paper.pk for why in pick["why"]]


def follow_of(reader: Subscriber, wording: str) -> Follow | None:
    """Return the reader's follow, or mute, of what ``wording`` asks for."""
    canonical = query.parse(wording).canonical
    return reader.follows.select_related("interest").filter(interest__canonical=canonical).first()


def can_hide(wording: str) -> bool:
    """Whether what ``wording`` asks for can be a mute; what is like a paper cannot."""
    try:
        query.parse_mute(wording)
    except query.QueryError:
        return False
    return True


def standing(reader: Subscriber, wording: str) -> str:
    """Return ``starred``, ``followed``, ``muted`` or ``nothing``: what ``wording`` is to the reader now."""
    found = follow_of(reader, wording)
    if found is None:
        return "nothing"
    return "muted" if found.is_muted else "starred" if found.is_starred else "followed"


def vote(reader: Subscriber, paper: Paper, asked: Mapping[str, str], behind: Collection[str], *, is_up: bool) -> str:
    """Do what the page of a paper asks for: ``vote``, about one of the interests ``behind``, or ``undo``."""
    if asked.get("do") == "undo":
        votes.take_back(reader, paper)
        return "undone"
    about = asked.get("about", "")
    found = follow_of(reader, about) if about in behind else None
    votes.vote(reader, paper, is_up=is_up, about=found.interest if found else None)
    return "voted"


def change(reader: Subscriber, wording: str, asked: Mapping[str, str]) -> str:
    """Do what the page of an interest or a word asks for: ``mute``, ``stop``, or ``undo`` as it was before.

    Returns what was done, nothing where it can be no mute, or ``full`` where the reader has no room for one more.
    """
    wanted = asked.get("do", "mute")
    if wanted not in {"stop", "undo"} and not can_hide(wording):
        return ""
    try:
        if wanted == "stop" or (wanted == "undo" and asked.get("was") == "nothing"):
            interests.unfollow(reader, wording)
        elif wanted == "undo":
            interests.follow(reader, wording, is_starred=asked.get("was") == "starred")
        else:
            interests.follow(reader, wording, is_muted=True)
    except ValidationError:
        return "full"
    return {"stop": "stopped", "undo": "undone"}.get(wanted, "muted")
