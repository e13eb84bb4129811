"""A reader's thumbs: what they want more of, and what they want less of."""

from papers.models import Paper
from subscribers.models import Interest, Subscriber, Vote


def vote(subscriber: Subscriber, paper: Paper, *, is_up: bool, about: Interest | None = None) -> Vote:
    """Keep the reader's newest opinion of a paper; ``about`` is the interest that a thumb down is for."""
    opinion = {"is_up": is_up, "interest": None if is_up else about}
    return Vote.objects.update_or_create(subscriber=subscriber, paper=paper, defaults=opinion)[0]


def take_back(subscriber: Subscriber, paper: Paper) -> bool:
    """Forget the reader's opinion of a paper; False where there is none."""
    return bool(Vote.objects.filter(subscriber=subscriber, paper=paper).delete()[0])
