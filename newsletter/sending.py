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
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, suppress
from itertools import islice

from newsletter import garbage, lines, loading, messages, rendering, repeats, units
from newsletter.chunks import LEASE, Clock, Lease, utc_now
from newsletter.ledger import Done, Ledger
from newsletter.lines import Carrier, Line
from newsletter.models import Delivery, Edition, UnitKey
from newsletter.outcomes import is_useless
from newsletter.providers import Prepared
from newsletter.turns import Turns
from newsletter.units import Unit
from subscribers.emails import Outcome

logger = logging.getLogger(__name__)

# A longer wait for the provider is waited with nothing unsettled; one that is longer still, with the
# chunk handed back.
MOMENT_S, STEP_S = 0.2, 0.5
PATIENCE_S = LEASE.total_seconds() / 2
# Mails that are made one after the other where each goes alone: after every wait for the database and the
# server the processor has forgotten what composing needs, and one mail took twice as long (0.42 ms, not 0.21).
AHEAD = 25

HELD_UP = Outcome("unsent", error="the worker was held up beyond its lease; nothing was sent")

Composed = list[tuple[Delivery, Prepared]]


def deliver_chunk(  # noqa: PLR0913 - a chunk, and what stands for the world around it in tests
    chunk_id: int,
    now: dt.datetime,
    *,
    carriers: Sequence[Carrier] = (),
    clock: Clock = utc_now,
    should_stop: Callable[[], bool] = lambda: False,
    sleep: Callable[[float], None] = time.sleep,
) -> Counter[str]:
    """Send what is due in a chunk; return how many deliveries ended how in this call.

    The keys are ``sent``, ``failed``, ``unknown``, ``retry``, ``skipped:<reason>``, and
    ``provider_fault`` once if the provider would take nobody's, ``provider_paused`` once if it is
    given none now. Empty when another worker holds the chunk. ``now`` and ``clock`` are the real
    time, by which leases and retries go. Any number of workers may be given the same chunk.
    """
    with garbage.uncollected(), ExitStack() as stack:
        ways = [Line(carrier, clock) for carrier in carriers] or lines.configured(stack, clock)
        if all(line.is_paused() for line in ways):
            return Counter(provider_paused=1)
        worker = _Worker(Lease(chunk_id, clock), ways, should_stop, sleep)
        if worker.lease.claim(now):
            worker.run()
    return worker.ledger.counts


class _Worker:
    """The holder of a chunk's lease. The first of its lines is the one to use, the others stand in for it."""

    def __init__(
        self, lease: Lease, lines: Sequence[Line], should_stop: Callable[[], bool], sleep: Callable[[float], None]
    ) -> None:
        self.lease, self.lines, self.should_stop, self.sleep = lease, lines, should_stop, sleep
        self.clock = lease.clock
        self.todo: deque[deque[Delivery]] = deque()
        self.ledger = Ledger()
        self.turns = Turns(lease.owner)
        self.ahead: dict[tuple[Line, int], Prepared] = {}

    def run(self) -> None:
        """Send the chunk's due rows, until the end, a stop, a pause or the provider's fault."""
        try:
            if self._repeat():
                self._send_all()
        except Exception:
            # Whatever broke, as a database that is started anew: of the last unit is known what became of it.
            self.ledger.settle()
            raise
        self.ledger.commit(self.lease.give_back)

    def _send_all(self) -> None:
        deliveries = loading.deliveries(units.due(self.clock()).filter(chunk=self.lease.chunk_id))
        self._put_back(deliveries)
        of = rendering.material(deliveries)
        while self.todo and not self.should_stop() and self._send_next(of):
            pass

    def _send_next(self, of: rendering.Material) -> bool:
        """Send the next unit, in the order of ARCHITECTURE section 9; False when the chunk must stop."""
        allowed = self._permit(self.lines, len(self.todo[0]))
        if not allowed:
            return False
        line, count = allowed
        composed = self._compose(self._take(count, line), of, line)
        if not composed:
            return True
        name = uuid.uuid4().hex
        marked = self._settle_and_mark(composed, name, line)
        going = [(delivery, mail) for delivery, mail in composed if delivery.pk in marked]
        unmarked = [delivery for delivery, _ in composed if delivery.pk not in marked]
        if not going:
            return self._may_skip(unmarked)
        deliveries = [delivery for delivery, _ in going]
        said = _blamed(deliveries, self._hand_over([mail for _, mail in going], name, line), line)
        # Where the lease is over others may have made the call again by now; that it was taken stays true.
        is_overtaken = line.carrier.key_life and self.lease.is_over()
        answered = _only(said, {"accepted"}) if is_overtaken else said
        unit = Unit(name, deliveries, answered, self.clock())
        self.ledger.unsettled = Done(unit, line, said, unmarked)
        return self._may_go_on(self.ledger.unsettled)

    def _permit(self, lines: Sequence[Line], wanted: int) -> tuple[Line, int] | None:
        """Return the first line that may be used, and for how many mails, once it is time; None if none may."""
        for line in lines:
            permit = line.permit(wanted, PATIENCE_S)
            if permit.count:
                is_time = permit.wait_s <= MOMENT_S or self._wait(permit.wait_s)
                return (line, permit.count) if is_time else None
        self.ledger.counts["provider_paused"] = 1
        return None

    def _wait(self, seconds: float) -> bool:
        """Wait for a permit's time, with the last unit settled and the lease renewed; False when all must stop."""
        if not self.ledger.commit(self.lease.extend):
            return False
        while seconds > 0 and not self.should_stop():
            self.sleep(min(seconds, STEP_S))
            seconds -= STEP_S
        return not self.should_stop()

    def _take(self, count: int, line: Line) -> Sequence[Delivery]:
        group = self.todo.popleft()
        if line is not self.lines[0]:
            # Another provider knows nothing of what the first may have sent.
            group = deque(delivery for delivery in group if not delivery.may_have_gone)
        # One by one: to copy the rest of a chunk for each mail of it would go through all its rows.
        taken = [group.popleft() for _ in range(min(count, len(group)))]
        if group:
            self.todo.appendleft(group)
        # In the order in which a call is made again under its key.
        return sorted(taken, key=lambda delivery: delivery.pk)

    def _put_back(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            self.todo.appendleft(deque(deliveries))

    def _compose(self, deliveries: Sequence[Delivery], of: rendering.Material, line: Line) -> Composed:
        """Make the mails of a unit; what would make its call too large stays for the next one."""
        composed: Composed = []
        size = 0
        for number, delivery in enumerate(deliveries):
            try:
                mail = self._mail(delivery, of, line)
            except Exception as error:  # the boundary: one reader's mail that cannot be made stops nobody else's
                logger.exception("edition %s, delivery %s: cannot be composed", delivery.edition_id, delivery.pk)
                said = f"cannot be composed: {type(error).__name__}: {error}"
                self.ledger.counts["failed"] += units.fail(delivery, said)
                continue
            size += mail.size
            if composed and size > line.carrier.unit_bytes:
                self._put_back(deliveries[number:])
                break
            composed.append((delivery, mail))
        return composed

    def _mail(self, delivery: Delivery, of: rendering.Material, line: Line) -> Prepared:
        """Return a mail; where each goes alone, the next ones are made with it."""
        if (line, delivery.pk) not in self.ahead:
            self.ahead = {(line, delivery.pk): _prepare(delivery, of, line)}
            following = islice(self.todo[0], AHEAD - 1) if self.todo and line.carrier.unit_size == 1 else ()
            with suppress(Exception):  # one that cannot be made says so when it is its turn
                for each in following:
                    self.ahead[line, each.pk] = _prepare(each, of, line)
        return self.ahead.pop((line, delivery.pk))

    def _settle_and_mark(self, composed: Composed, name: str, line: Line) -> set[int]:
        """Settle the last unit and mark this one in one transaction, which is one statement where that is enough."""
        deliveries = [delivery for delivery, _ in composed]
        is_more = line.carrier.key_life or self.lease.is_to_be_renewed()
        last = None if is_more else self.ledger.to_turn_from(deliveries)
        if last is None:
            return self.ledger.commit(lambda: self._mark_new(composed, name, line))
        return self.ledger.turn(lambda: self.turns.turn(last, deliveries, name, self.clock()))

    def _mark(self, deliveries: Sequence[Delivery], name: str) -> set[int]:
        if not self.lease.renew():
            return set()
        return units.mark(deliveries, self.lease.owner, name, self.clock())

    def _mark_new(self, composed: Composed, name: str, line: Line) -> set[int]:
        marked = self._mark([delivery for delivery, _ in composed], name)
        if marked and line.carrier.key_life:
            mails = [mail for delivery, mail in composed if delivery.pk in marked]
            good_until = self.clock() + line.carrier.key_life / 2
            repeats.remember(name, self.lease.chunk_id, line.carrier.name, mails, good_until)
        return marked

    def _hand_over(self, mails: Sequence[Prepared], name: str, line: Line) -> Sequence[Outcome]:
        if self.lease.is_over():
            return [HELD_UP] * len(mails)
        return line.carrier.hand_over(mails, name)

    def _may_go_on(self, done: Done) -> bool:
        """Look at how a unit ended; one that was refused whole goes in halves, until the culprit is alone."""
        if is_useless(done.said) or not done.line.breaker.is_well():
            # The next look at the breaker must know of it.
            self.ledger.settle()
        kinds = {outcome.kind for outcome in done.said}
        if self.lease.is_over() or ("provider_fault" in kinds and done.line is self.lines[-1]):
            return False
        deliveries = done.unit.deliveries
        if kinds == {"unsent"}:
            half = len(deliveries) // 2
            if not half:
                return False
            self._put_back(deliveries[half:])
            self._put_back(deliveries[:half])
        return True

    def _may_skip(self, unmarked: Sequence[Delivery]) -> bool:
        """End rows that could not be marked, with the reason; False when nothing of the chunk may go."""
        if not self._may_send(unmarked[0]):
            return False
        self.ledger.counts += units.skip(unmarked)
        return True

    def _may_send(self, delivery: Delivery) -> bool:
        """Say whether the edition is not paused and the chunk still ours."""
        edition = Edition.objects.get(pk=delivery.edition_id)
        return edition.state != Edition.State.PAUSED and self.lease.is_held()

    # Calls without an answer --------------------------------------------------------------------

    def _repeat(self) -> bool:
        """Make those calls of the chunk again that had no answer and a key; False when the chunk must stop."""
        for key in list(repeats.waiting(self.clock()).filter(chunk=self.lease.chunk_id)):
            line = next((line for line in self.lines if line.carrier.name == key.provider), None)
            if line and (self.should_stop() or not self._make_again(key, line)):
                return False
        return True

    def _make_again(self, key: UnitKey, line: Line) -> bool:
        """Make a call again if it is the same to the byte and nobody in it has left; else leave it to the policy."""
        deliveries = loading.deliveries(Delivery.objects.filter(unit=key.name).order_by("pk"))
        unknown = [delivery for delivery in deliveries if delivery.state == Delivery.State.UNKNOWN]
        mails = _prepare_all(deliveries, line) if unknown else []
        if not repeats.is_same(key, mails):
            key.delete()
            return True
        if not self._permit([line], key.size):
            return False
        if not self.ledger.commit(lambda: self._mark_all(unknown, key.name)):
            return self._may_forget(key, unknown)
        said = self._hand_over(mails, key.name, line)
        # Whatever this call came to, the one before it may have been taken; but not where the provider
        # refuses what it says, which is the same to the byte.
        answered = _only(said, {"accepted", "failed", "unsent"})
        self.ledger.unsettled = Done(Unit(key.name, deliveries, answered, self.clock()), line, said)
        self.ledger.settle()
        return not is_useless(said)

    def _mark_all(self, deliveries: Sequence[Delivery], name: str) -> bool:
        """Mark all of these, or none."""
        marked = self._mark(deliveries, name)
        if len(marked) == len(deliveries):
            return True
        units.may_have_gone(Delivery.objects.filter(pk__in=marked))
        return False

    def _may_forget(self, key: UnitKey, deliveries: Sequence[Delivery]) -> bool:
        if not self._may_send(deliveries[0]):
            return False
        key.delete()
        return True


def _blamed(deliveries: Sequence[Delivery], said: Sequence[Outcome], line: Line) -> Sequence[Outcome]:
    """Return the answers; what would be the provider's fault is the mail's own if only that mail meets with it.

    It was there before and has paused the provider, which took another one since: no pause ends otherwise.
    """
    [delivery, *others], [outcome, *_] = deliveries, said
    is_its_own = not others and delivery.state == Delivery.State.RETRY and line.breaker.is_well()
    if not is_its_own or outcome.kind != "provider_fault":
        return said
    return [Outcome("retry", error=outcome.error)]


def _prepare(delivery: Delivery, of: rendering.Material, line: Line) -> Prepared:
    with loading.unfolded(delivery):
        return line.carrier.prepare(messages.message(delivery, of))


def _prepare_all(deliveries: Sequence[Delivery], line: Line) -> Sequence[Prepared]:
    """Make the mails of a call once more; none if one of them cannot be made."""
    of = rendering.material(deliveries)
    try:
        return [_prepare(delivery, of, line) for delivery in deliveries]
    except Exception:  # the boundary: what was sent once can be made no more, so that nothing is sent again
        logger.exception("a call cannot be made again")
        return []


def _only(said: Sequence[Outcome], kinds: Collection[str]) -> list[Outcome]:
    """Return the outcomes of these kinds, and *unknown* for the others: another call may have been taken."""
    return [
        outcome if outcome.kind in kinds and outcome is not HELD_UP else Outcome("unknown", error=outcome.error)
        for outcome in said
    ]
