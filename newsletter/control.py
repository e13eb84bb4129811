"""What the operator may do to an edition while it is sent; rows are marked, and workers act on the rows."""

from django.db import transaction
from django.db.models import Exists, OuterRef, QuerySet

from newsletter import repeats, units
from newsletter.models import Delivery, Edition

State = Edition.State
RUNNING = [State.CLOSED, State.SENDING]


def pause(edition: Edition) -> bool:
    """Stop sending within one unit; False where there is nothing to stop."""
    return bool(_if(edition, *RUNNING).update(state=State.PAUSED))


def resume(edition: Edition) -> bool:
    """Let a paused edition be sent again."""
    return bool(_if(edition, State.PAUSED).update(state=State.SENDING))


def cancel(edition: Edition) -> bool:
    """Send an edition to nobody else; who did not get it finds its papers in the next one."""
    with transaction.atomic():
        if not _if(edition, *RUNNING, State.PAUSED).update(state=State.CANCELLED):
            return False
        waiting = edition.deliveries.filter(state__in=Delivery.OPEN)
        units.stay_unknown(waiting)
        waiting.update(state=Delivery.State.SKIPPED, reason=Delivery.Reason.CANCELLED)
    return True


def send_the_rest(edition: Edition) -> bool:
    """Have all that is still open sent now: also of a paused edition, and what waits for its next attempt.

    False for an edition that a newer one overtook, and for a cancelled one.
    """
    with transaction.atomic():
        if not _if(edition, *RUNNING, State.PAUSED).filter(~Exists(_newer())).update(state=State.SENDING):
            return False
        edition.deliveries.filter(state=Delivery.State.RETRY).update(next_attempt_at=None)
    return True


def can_send_again(deliveries: QuerySet[Delivery]) -> bool:
    """Say whether any of these may have gone and may be sent once more."""
    return repeats.resendable(deliveries).exists()


def send_again(deliveries: QuerySet[Delivery]) -> int:
    """Have digests that may have gone sent once more; return how many. Their readers may get them twice.

    Only while their edition is the newest that is closed; afterwards its papers, which may have been
    read, are not sent again.
    """
    return repeats.resend_unknown(deliveries)


def _if(edition: Edition, *states: Edition.State) -> QuerySet[Edition]:
    return Edition.objects.filter(pk=edition.pk, state__in=states)


def _newer() -> QuerySet[Edition]:
    return Edition.objects.filter(closed_at__isnull=False, date__gt=OuterRef("date"))
