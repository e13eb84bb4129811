"""What an operator who asks for it learns of readers: that a mail was opened, which paper was followed.

Off by default. Where it is on, every mail says so. A click goes to an address that is stored with
the paper, never to one that stands in the link.
"""

import base64
import secrets

from django.conf import settings
from django.utils import timezone

from newsletter import cards, events, messages
from newsletter.models import Delivery
from papers.models import Paper

OURS = "paperboy"  # as the provider of an event that we saw ourselves
# The smallest GIF: one transparent point.
POINT = base64.b64decode("R0lGODlhAQABAIAAAAAAAAAAACH5BAEAAAAALAAAAAABAAEAAAICRAEAOw==")


def opened(delivery: Delivery) -> None:
    """Note that a mail was opened, once."""
    if settings.TRACK_OPENS:
        _note(delivery, "opened", "", messages.opaque_id(delivery))


def clicked(delivery: Delivery, arxiv_id: str, key: str) -> str:
    """Note a click and return where it leads; '' for what the digest does not hold.

    The links of mails that were sent while this was on keep working when it is off again.
    """
    paper = Paper.objects.filter(arxiv_id=arxiv_id, pk__in=delivery.picks.paper_ids).first()
    url = cards.addresses(paper).get(key, "") if paper else ""
    if url and settings.TRACK_CLICKS:
        _note(delivery, "clicked", f"{arxiv_id} {key}", secrets.token_hex(8))
    return url


def _note(delivery: Delivery, kind: str, detail: str, event_id: str) -> None:
    name = messages.opaque_id(delivery)
    events.record(
        events.Event(OURS, kind, opaque_id=name, event_id=event_id, detail=detail, occurred_at=timezone.now())
    )
