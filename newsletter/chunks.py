"""What one task works on: the lease of a chunk, which is one row, and the sweeper that finds what is left."""

import datetime as dt
import logging
import uuid
from collections.abc import Callable

from django.conf import settings
from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, Q, QuerySet

from newsletter import repeats, units
from newsletter.models import Chunk, Delivery, Edition

logger = logging.getLogger(__name__)

CHUNK_SIZE = settings.CHUNK_SIZE
LEASE = dt.timedelta(seconds=settings.CHUNK_LEASE_S)
DEATHS = 3  # of its workers, one after the other, until a chunk is taken apart

Clock = Callable[[], dt.datetime]


def utc_now() -> dt.datetime:
    """Return what Django's ``timezone.now`` does, which looks at a setting first: a mail by SMTP asks six times."""
    return dt.datetime.now(dt.UTC)


class Lease:
    """A worker's hold on a chunk, under a name of its own, until a time that it may put off."""

    def __init__(self, chunk_id: int, clock: Clock) -> None:
        self.chunk_id, self.clock = chunk_id, clock
        self.owner = uuid.uuid4().hex
        self.until = dt.datetime.min.replace(tzinfo=dt.UTC)

    def claim(self, now: dt.datetime) -> bool:
        """Take the chunk if it is free; what its last holder left as sending may have gone."""
        free = Chunk.objects.filter(Q(owner="") | Q(leased_until__lt=now), pk=self.chunk_id)
        with transaction.atomic():
            if not free.update(owner=self.owner, leased_until=now + LEASE, attempts=F("attempts") + 1):
                return False
            units.may_have_gone(Delivery.objects.filter(chunk=self.chunk_id))
            if deadly := Chunk.objects.filter(pk=self.chunk_id, attempts__gt=DEATHS).first():
                _take_apart(deadly)
        self.until = now + LEASE
        return True

    def renew(self) -> bool:
        """Put the end off when a third is used up; False when the chunk is another's by now."""
        return not self.is_to_be_renewed() or self.extend()

    def is_to_be_renewed(self) -> bool:
        return self.until - self.clock() <= LEASE * 2 / 3

    def extend(self) -> bool:
        """Put the end off to a whole lease from now; False when the chunk is another's by now."""
        now = self.clock()
        if not self._mine().update(leased_until=now + LEASE):
            return False
        self.until = now + LEASE
        return True

    def is_held(self) -> bool:
        return self._mine().exists()

    def is_over(self) -> bool:
        """Say whether another may have the chunk by now, by the clock alone."""
        return self.clock() >= self.until

    def give_back(self) -> None:
        self._mine().update(owner="", leased_until=None, attempts=0)

    def _mine(self) -> QuerySet[Chunk]:
        return Chunk.objects.filter(pk=self.chunk_id, owner=self.owner)


def _take_apart(chunk: Chunk) -> None:
    """Leave a chunk one row, and give each of the others a chunk of its own: one of them ends its workers.

    That one fails in the end, once as many as it has attempts ended before they could mark it.
    """
    rows = Delivery.objects.filter(chunk=chunk.pk, state__in=Delivery.OPEN).order_by("pk")
    ids = list(rows.values_list("pk", flat=True))
    lock(chunk.edition_id)
    for pk in ids[1:]:
        rows.filter(pk=pk).update(chunk=add_chunk(chunk.edition_id))
    if len(ids) == 1 and chunk.attempts > units.MAX_ATTEMPTS:
        error = f"{units.MAX_ATTEMPTS} workers ended while they made this mail"
        logger.error("edition %s, delivery %s: %s", chunk.edition_id, ids[0], error)
        rows.update(state=Delivery.State.FAILED, error=error)


def sweep(now: dt.datetime) -> list[int]:
    """End the leases that ran out, give rows to be tried again a chunk, return the chunks to be worked on.

    ``now`` is the real time. It needs no broker: what is to be done stands in the rows. Of those that may
    have gone none is taken up but by the key of its call, or by the operator's word.
    """
    leased = Chunk.objects.filter(pk=OuterRef("chunk_id"), leased_until__gte=now)
    with transaction.atomic():
        Chunk.objects.filter(leased_until__lt=now).update(owner="", leased_until=None)
        if count := units.may_have_gone(Delivery.objects.filter(~Exists(leased))):
            logger.error("%d deliveries may have gone: their worker ended while it sent them", count)
    repeats.sweep(now, LEASE)
    for edition_id in _waiting(now).values_list("edition_id", flat=True).distinct().order_by():
        _put_into_chunks(edition_id, now)
    due = units.due(now).order_by().filter(chunk=OuterRef("pk"))
    repeated = repeats.waiting(now).order_by().filter(chunk=OuterRef("pk"))
    chunks = Chunk.objects.filter(Exists(due) | Exists(repeated), owner="", edition__state__in=units.SENDABLE)
    return list(chunks.order_by("edition", "number").values_list("pk", flat=True))


def _waiting(now: dt.datetime) -> QuerySet[Delivery]:
    return units.due(now).filter(chunk=None, edition__state__in=units.SENDABLE)


def _put_into_chunks(edition_id: int, now: dt.datetime) -> None:
    with transaction.atomic():
        lock(edition_id)
        ids = list(_waiting(now).filter(edition=edition_id).values_list("pk", flat=True))
        for start in range(0, len(ids), CHUNK_SIZE):
            chunk = add_chunk(edition_id)
            Delivery.objects.filter(pk__in=ids[start : start + CHUNK_SIZE]).update(chunk=chunk)


def lock(edition_id: int) -> Edition:
    """Hold an edition's row until the transaction ends, so that its chunks are numbered one at a time.

    SQLite has no such lock and needs none: there a transaction begins with the lock of all writes.
    """
    return Edition.objects.select_for_update().get(pk=edition_id)


def add_chunk(edition_id: int) -> Chunk:
    """Return a new chunk, with the next number; the caller holds the edition's lock."""
    last = Chunk.objects.filter(edition=edition_id).aggregate(last=Max("number"))["last"]
    return Chunk.objects.create(edition_id=edition_id, number=(last or 0) + 1)
