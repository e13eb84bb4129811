"""A proof of an edition: the digest as the operator would get it, sent to themselves and to nobody else."""

import datetime as dt
import logging
from collections import Counter

from django.utils import timezone

from newsletter import messages
from newsletter.models import Edition, Proof
from newsletter.planning import draft
from subscribers.emails import HandOver
from subscribers.models import Subscriber, normalise_address

logger = logging.getLogger(__name__)


def ask(edition: Edition, email: str) -> Proof:
    """Write down that a proof is wanted, once until it is sent; whoever sends the service mails sends it."""
    wanted = {"edition": edition, "email": normalise_address(email), "tried_at": None}
    return Proof.objects.filter(**wanted).first() or Proof.objects.create(**wanted)


def send_due(now: dt.datetime, hand_over: HandOver) -> Counter[str]:
    """Send the proofs that are wanted, each tried once; return how many ended how."""
    counts: Counter[str] = Counter()
    for proof in Proof.objects.select_related("edition").filter(tried_at=None):
        if Proof.objects.filter(pk=proof.pk, tried_at=None).update(tried_at=now):
            said = _send(proof, now, hand_over)
            Proof.objects.filter(pk=proof.pk).update(outcome=said[:200])
            counts[f"proof {said.partition(':')[0]}"] += 1
    return counts


def _send(proof: Proof, now: dt.datetime, hand_over: HandOver) -> str:
    """Send a proof; return what became of it in words."""
    try:
        delivery = draft(proof.edition, reader_of(proof.email), now)
        delivery.created_at = timezone.now()
        if delivery.reason or delivery.error:
            return f"skipped: {delivery.get_reason_display() or delivery.error}"
        message = messages.message(delivery)
        message.subject = f"[Test] {message.subject}"
        outcome = hand_over(message)
    except Exception as error:  # the boundary: the operator is told on the edition's page
        logger.exception("proof %s could not be sent", proof.pk)
        return f"failed: {type(error).__name__}: {error}"
    return f"{outcome.kind}: {outcome.error}" if outcome.error else outcome.kind


def reader_of(email: str) -> Subscriber:
    """Return the reader with this address, or one who follows nothing and is not stored.

    No other reader's mail is shown: its links open their preferences.
    """
    found = Subscriber.objects.by_address(email).first()
    return found or Subscriber(pk=0, email=email, state=Subscriber.State.ACTIVE)
