"""Claim a chunk, send its deliveries unit by unit, settle each: nothing twice, nobody forgotten.

A unit is one message, or one call of a batch API. Between the commit that marks its rows as sending
and the call that hands it over, nothing may block or fail; a process that dies there leaves rows that
say so, and the sweeper turns them into *unknown*, which is never sent again by itself.
"""

import datetime as dt
import logging
import time
import uuid
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from django.core.mail import EmailMessage
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from newsletter import messages, rendering, units
from newsletter.chunks import Clock, Lease
from newsletter.models import Delivery, Edition
from newsletter.providers import Prepared, Provider
from newsletter.units import Unit
from subscribers.emails import Outcome

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How long a worker tries to write down what it did, when the database is away.
DATABASE_PATIENCE_S, DATABASE_PAUSE_S = 300.0, 0.5


class Carrier(Protocol):
    """Who takes mails: a ``Provider``, or what stands for one in a test. Its methods are explained there."""

    unit_size: int
    unit_bytes: int

    def prepare(self, message: EmailMessage) -> Prepared: ...
    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]: ...


Composed = list[tuple[Delivery, Prepared]]


def deliver_chunk(
    chunk_id: int,
    now: dt.datetime,
    *,
    carrier: Carrier | None = None,
    clock: Clock = timezone.now,
    should_stop: Callable[[], bool] = lambda: False,
) -> Counter[str]:
    """Send what is due in a chunk; return how many deliveries ended how in this call.

    The keys are ``sent``, ``failed``, ``unknown``, ``retry``, ``skipped:<reason>``, and
    ``provider_fault`` once if the provider would take nobody's. Empty when another worker holds
    the chunk. ``now`` and ``clock`` are the real time, by which leases and retries go. Any number
    of workers may be given the same chunk.
    """
    lease = Lease(chunk_id, clock)
    if not lease.claim(now):
        return Counter()
    with Provider() as provider:
        worker = _Worker(lease, carrier or provider, clock, should_stop)
        worker.run()
    return worker.counts


@dataclass(frozen=True, slots=True)
class _Done:
    """A unit that was handed over, and who was to be in it but could not be marked."""

    unit: Unit
    unmarked: Sequence[Delivery]


class _Worker:
    """The holder of a chunk's lease, with the unit whose outcome is not written down yet."""

    def __init__(self, lease: Lease, carrier: Carrier, clock: Clock, should_stop: Callable[[], bool]) -> None:
        self.lease, self.carrier, self.clock, self.should_stop = lease, carrier, clock, should_stop
        self.todo: deque[Sequence[Delivery]] = deque()
        self.unsettled: _Done | None = None
        self.counts: Counter[str] = Counter()

    def run(self) -> None:
        """Send the chunk's due rows, until the end, a stop, a pause or the provider's fault."""
        rows = units.due(self.clock()).filter(chunk=self.lease.chunk_id)
        deliveries = list(rows.select_related("subscriber", "edition", "picks"))
        self._put_back(deliveries)
        of = rendering.material(deliveries)
        while self.todo and not self.should_stop() and self._send_next(of):
            pass
        self._commit(self.lease.give_back)

    def _send_next(self, of: rendering.Material) -> bool:
        """Send the next unit, in the order of ARCHITECTURE section 9; False when the chunk must stop."""
        composed = self._compose(self._take(self.carrier.unit_size), of)
        if not composed:
            return True
        name = uuid.uuid4().hex
        marked = self._commit(lambda: self._mark([delivery for delivery, _ in composed], name))
        going = [(delivery, mail) for delivery, mail in composed if delivery.pk in marked]
        unmarked = [delivery for delivery, _ in composed if delivery.pk not in marked]
        if not going:
            return self._may_skip(unmarked)
        if self.lease.is_over():
            held_up = Outcome("unsent", error="the worker was held up beyond its lease; nothing was sent")
            answered: Sequence[Outcome] = [held_up] * len(going)
        else:
            answered = self.carrier.hand_over([mail for _, mail in going], name)
        self.unsettled = _Done(Unit(name, [delivery for delivery, _ in going], answered, self.clock()), unmarked)
        return self._may_go_on(self.unsettled.unit)

    def _take(self, count: int) -> Sequence[Delivery]:
        group = self.todo.popleft()
        self._put_back(group[count:])
        return group[:count]

    def _put_back(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self.todo.appendleft(deliveries)

    def _compose(self, deliveries: Sequence[Delivery], of: rendering.Material) -> Composed:
        """Make the mails of a unit; what would make its call too large stays for the next one."""
        composed: Composed = []
        size = 0
        for number, delivery in enumerate(deliveries):
            try:
                mail = self.carrier.prepare(messages.message(delivery, of))
            except Exception as error:  # the boundary: one reader's mail that cannot be made stops nobody else's
                logger.exception("edition %s, delivery %s: cannot be composed", delivery.edition_id, delivery.pk)
                said = f"cannot be composed: {type(error).__name__}: {error}"
                self.counts["failed"] += units.fail(delivery, said)
                continue
            size += mail.size
            if composed and size > self.carrier.unit_bytes:
                self._put_back(deliveries[number:])
                break
            composed.append((delivery, mail))
        return composed

    def _mark(self, deliveries: Sequence[Delivery], name: str) -> set[int]:
        if not self.lease.renew():
            return set()
        return units.mark(deliveries, self.lease.owner, name, self.clock())

    def _may_go_on(self, unit: Unit) -> bool:
        """Look at how a unit ended; one that was refused whole goes in halves, until the culprit is alone."""
        kinds = {outcome.kind for outcome in unit.outcomes}
        if "provider_fault" in kinds or self.lease.is_over():
            return False
        if kinds == {"unsent"}:
            half = len(unit.deliveries) // 2
            if not half:
                return False
            self._put_back(unit.deliveries[half:])
            self._put_back(unit.deliveries[:half])
        return True

    def _may_skip(self, unmarked: Sequence[Delivery]) -> bool:
        """End rows that could not be marked, with the reason; False when nothing of the chunk may go."""
        edition = Edition.objects.get(pk=unmarked[0].edition_id)
        if edition.state == Edition.State.PAUSED or not self.lease.is_held():
            return False
        self.counts += units.skip(unmarked)
        return True

    def _commit(self, step: Callable[[], T]) -> T:
        """Settle the last unit and do a step, in one transaction.

        It is done again where the database broke it off, to end a deadlock or because it was started
        anew: what was handed over must not become unknown for that.
        """
        give_up_at = time.monotonic() + DATABASE_PATIENCE_S
        while True:
            try:
                with transaction.atomic():
                    counts = self._settle()
                    result = step()
            except (OperationalError, InterfaceError) as error:
                if connection.in_atomic_block or time.monotonic() > give_up_at:
                    raise
                logger.warning(
                    "chunk %s: the database broke a commit off, trying again: %s", self.lease.chunk_id, error
                )
                connection.close()
                time.sleep(DATABASE_PAUSE_S)
                continue
            self.unsettled = None
            self.counts += counts
            return result

    def _settle(self) -> Counter[str]:
        if not self.unsettled:
            return Counter()
        counts = units.settle(self.unsettled.unit)
        return counts + units.skip(self.unsettled.unmarked) if self.unsettled.unmarked else counts
