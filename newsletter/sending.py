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
from typing import TypeVar

from django.conf import settings
from django.db import InterfaceError, OperationalError, connection, transaction
from django.utils import timezone

from newsletter import messages, rendering, units
from newsletter.chunks import LEASE, Clock, Lease
from newsletter.lines import Carrier, Line
from newsletter.models import Delivery, Edition
from newsletter.outcomes import is_useless
from newsletter.permits import Limits
from newsletter.providers import Prepared, Provider
from newsletter.units import Unit
from subscribers.emails import Outcome

logger = logging.getLogger(__name__)

T = TypeVar("T")

# A longer wait for the provider is waited with nothing unsettled; one that is longer still, with the
# chunk handed back.
MOMENT_S, STEP_S = 0.2, 0.5
PATIENCE_S = LEASE.total_seconds() / 2
# How long a worker tries to write down what it did, when the database is away.
DATABASE_PATIENCE_S, DATABASE_PAUSE_S = 300.0, 0.5


Composed = list[tuple[Delivery, Prepared]]


def deliver_chunk(  # noqa: PLR0913 - a chunk, and what stands for the world around it in tests
    chunk_id: int,
    now: dt.datetime,
    *,
    carrier: Carrier | None = None,
    clock: Clock = timezone.now,
    should_stop: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> Counter[str]:
    """Send what is due in a chunk; return how many deliveries ended how in this call.

    The keys are ``sent``, ``failed``, ``unknown``, ``retry``, ``skipped:<reason>``, and
    ``provider_fault`` once if the provider would take nobody's, ``provider_paused`` once if it is
    given none now. Empty when another worker holds the chunk. ``now`` and ``clock`` are the real
    time, by which leases and retries go. Any number of workers may be given the same chunk.
    """
    with Provider() as provider:
        limits = Limits(settings.EMAIL_RATE_PER_SECOND, settings.EMAIL_RATE_PER_DAY)
        line = Line(carrier or provider, limits, clock)
        if line.is_paused():
            return Counter(provider_paused=1)
        worker = _Worker(Lease(chunk_id, clock), line, should_stop, sleep)
        if worker.lease.claim(now):
            worker.run()
    return worker.counts


@dataclass(frozen=True, slots=True)
class _Done:
    """A unit that was handed over, and who was to be in it but could not be marked."""

    unit: Unit
    unmarked: Sequence[Delivery]


class _Worker:
    """The holder of a chunk's lease, with the unit whose outcome is not written down yet."""

    def __init__(
        self, lease: Lease, line: Line, should_stop: Callable[[], bool], sleep: Callable[[float], None]
    ) -> None:
        self.lease, self.line, self.should_stop, self.sleep = lease, line, should_stop, sleep
        self.carrier, self.clock = line.carrier, lease.clock
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
        permit = self.line.permit(len(self.todo[0]), PATIENCE_S)
        if not permit.count:
            self.counts["provider_paused"] = 1
            return False
        if permit.wait_s > MOMENT_S and not self._wait(permit.wait_s):
            return False
        composed = self._compose(self._take(permit.count), of)
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

    def _wait(self, seconds: float) -> bool:
        """Wait for a permit's time, with the last unit settled and the lease renewed; False when all must stop."""
        if not self._commit(self.lease.extend):
            return False
        while seconds > 0 and not self.should_stop():
            self.sleep(min(seconds, STEP_S))
            seconds -= STEP_S
        return not self.should_stop()

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
        if is_useless(unit.outcomes) or not self.line.breaker.is_well():
            # The next look at the breaker must know of it.
            self._commit(lambda: None)
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
        self.line.breaker.record(self.unsettled.unit.outcomes)
        counts = units.settle(self.unsettled.unit)
        return counts + units.skip(self.unsettled.unmarked) if self.unsettled.unmarked else counts
