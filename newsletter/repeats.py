"""What may have gone: made again under its key, sent again by the operator's word, or left alone."""

import datetime as dt
import hashlib
import logging
from collections.abc import Sequence

from django.conf import settings
from django.db.models import Exists, OuterRef, Q, QuerySet

from newsletter.models import Delivery, Edition, UnitKey
from newsletter.providers import Prepared
from newsletter.units import MAX_ATTEMPTS, SENDABLE, Unit

logger = logging.getLogger(__name__)

State = Delivery.State


# By a key -----------------------------------------------------------------------------------------


def remember(name: str, chunk_id: int, provider: str, mails: Sequence[Prepared], good_until: dt.datetime) -> None:
    """Keep what a call under a key is made of, in the transaction that marks its rows; harmless when done twice."""
    UnitKey.objects.get_or_create(
        name=name,
        defaults={
            "chunk_id": chunk_id,
            "provider": provider,
            "size": len(mails),
            "fingerprint": _fingerprint(mails),
            "good_until": good_until,
        },
    )


def settle(unit: Unit) -> None:
    """Forget the key of a unit whose mails all have an answer; else let the call be made again, a little later."""
    key = UnitKey.objects.filter(name=unit.name)
    if any(outcome.kind == "unknown" for outcome in unit.outcomes):
        key.update(repeat_at=unit.at + dt.timedelta(seconds=settings.KEY_REPEAT_S))
    else:
        key.delete()


def waiting(now: dt.datetime) -> QuerySet[UnitKey]:
    """Return the calls that may be made again now, by the clock; that of a living worker may be among them."""
    return UnitKey.objects.filter(Q(repeat_at=None) | Q(repeat_at__lte=now), good_until__gt=now).order_by("pk")


def is_same(key: UnitKey, mails: Sequence[Prepared]) -> bool:
    """Say whether these are the mails of the call, to the byte: a provider refuses a known key with another body.

    That covers who is in it, their addresses and picks, the papers' words and the template.
    """
    return len(mails) == key.size and _fingerprint(mails) == key.fingerprint


def _fingerprint(mails: Sequence[Prepared]) -> str:
    whole = hashlib.sha256()
    for mail in mails:
        body = mail.item.body if mail.item else b""
        whole.update(hashlib.sha256(body).digest())
    return whole.hexdigest()


# By the operator ----------------------------------------------------------------------------------


def resendable(rows: QuerySet[Delivery]) -> QuerySet[Delivery]:
    """Return those of ``rows`` that are unknown and may be sent again, though they may have gone.

    Only of the newest closed edition, unless it is cancelled; and not while the call that they were in
    can still be made again under its key, which is safer.
    """
    newer = Edition.objects.filter(closed_at__isnull=False, date__gt=OuterRef("date"))
    edition = Edition.objects.filter(pk=OuterRef("edition_id"), state__in=[*SENDABLE, Edition.State.PAUSED])
    keyed = UnitKey.objects.filter(name=OuterRef("unit"))
    # The state twice: within, where an edition or a chunk has an index with it; without, where it is written.
    unknown = Delivery.objects.filter(
        pk__in=rows.filter(state=State.UNKNOWN).order_by().values("pk"), state=State.UNKNOWN
    )
    return unknown.filter(Exists(edition.filter(~Exists(newer))), ~Exists(keyed))


def resend_unknown(rows: QuerySet[Delivery]) -> int:
    """Have those of ``rows`` sent again that may be; return how many."""
    return resendable(rows).update(state=State.PENDING, may_have_gone=True, chunk=None, next_attempt_at=None)


def sweep(now: dt.datetime, lease: dt.timedelta) -> int:
    """Forget the keys that are too old to be used; with the policy ``resend``, let what stays unknown go again.

    Not before a lease is over since the attempt: until then its worker may still say what became of it.
    """
    if count := UnitKey.objects.filter(good_until__lte=now).delete()[0]:
        logger.error("%d calls had no answer for as long as their keys are good", count)
    if settings.UNKNOWN_DELIVERIES != "resend":
        return 0
    # Of one edition alone, by an index: nobody waits for the others any more.
    newest = Edition.objects.filter(closed_at__isnull=False).order_by("-date").values("pk")[:1]
    unknown = Delivery.objects.filter(edition__in=list(newest.values_list("pk", flat=True)), state=State.UNKNOWN)
    count = resend_unknown(unknown.filter(attempt__lt=MAX_ATTEMPTS, sending_at__lte=now - lease))
    if count:
        logger.warning("%d deliveries that may have gone are sent again", count)
    return count
