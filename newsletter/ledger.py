"""Writes down what became of the last unit, in the commit that marks the next; a worker has one."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from django.db import InterfaceError, OperationalError, connection, transaction

from newsletter import repeats, turns, units
from newsletter.lines import Line
from newsletter.models import Delivery
from newsletter.units import Unit
from subscribers.emails import Outcome

logger = logging.getLogger(__name__)

T = TypeVar("T")

# How long a worker tries to write down what it did, when the database is away.
PATIENCE_S, PAUSE_S = 300.0, 0.5


@dataclass(frozen=True, slots=True)
class Done:
    """A unit that was handed over, what the provider said, and who was to be in it but could not be marked."""

    unit: Unit
    line: Line
    said: Sequence[Outcome]
    unmarked: Sequence[Delivery] = ()


class Ledger:
    """``unsettled`` is the unit whose outcome is not written down yet; ``counts`` are of those that are."""

    def __init__(self) -> None:
        self.unsettled: Done | None = None
        self.counts: Counter[str] = Counter()

    def settle(self) -> None:
        """Write down the last unit in a commit of its own."""
        self.commit(lambda: None)

    def commit(self, step: Callable[[], T]) -> T:
        """Settle the last unit and do a step, in one transaction.

        It is done again where the database broke it off, to end a deadlock or because it was started
        anew: what was handed over must not become unknown for that.
        """
        return self._write(lambda: self._settle_and(step))

    def to_turn_from(self, deliveries: Sequence[Delivery]) -> Unit | None:
        """Return the last unit if one statement can settle it and mark these; None if more is to be written."""
        done = self.unsettled
        if done is None or done.unmarked or done.line.carrier.key_life or not done.line.breaker.is_well():
            return None
        return done.unit if turns.is_simple(done.unit, deliveries) else None

    def turn(self, step: Callable[[], tuple[Counter[str], T]]) -> T:
        """Do a step that settles the last unit itself and is a transaction by itself."""
        if self.unsettled:
            self.unsettled.line.breaker.record(self.unsettled.said)
        return self._write(step)

    def _write(self, write: Callable[[], tuple[Counter[str], T]]) -> T:
        give_up_at = time.monotonic() + PATIENCE_S
        while True:
            try:
                counts, result = write()
            except (OperationalError, InterfaceError) as error:
                if connection.in_atomic_block or time.monotonic() > give_up_at:
                    raise
                logger.warning("the database broke a commit off, trying again: %s", error)
                connection.close()
                time.sleep(PAUSE_S)
                continue
            self.unsettled = None
            self.counts.update(counts)
            return result

    def _settle_and(self, step: Callable[[], T]) -> tuple[Counter[str], T]:
        with transaction.atomic():
            return self._settle(), step()

    def _settle(self) -> Counter[str]:
        done = self.unsettled
        if done is None:
            return Counter()
        done.line.breaker.record(done.said)
        counts = units.settle(done.unit)
        if done.line.carrier.key_life:
            repeats.settle(done.unit)
        return counts + units.skip(done.unmarked) if done.unmarked else counts
