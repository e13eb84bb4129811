"""Pauses a mail provider that takes nobody's mails, for all our processes, and tries it with one mail now and then."""

import datetime as dt
import logging
import time
from collections.abc import Callable, Sequence

from django.conf import settings
from django.db.models import QuerySet

from newsletter.models import ProviderState
from newsletter.outcomes import is_useless
from subscribers.emails import Outcome

logger = logging.getLogger(__name__)

State = ProviderState.State

FAILURES = 3  # calls in a row; after the first of them a call holds one mail only
LONGEST_PAUSE = dt.timedelta(minutes=15)
PROBE = dt.timedelta(minutes=5)  # how long one mail may take to try
LOOK_EVERY_S = 1.0


class Breaker:
    """What stands between a worker and a provider; the row of ``ProviderState`` is what the workers share."""

    def __init__(self, name: str, clock: Callable[[], dt.datetime]) -> None:
        self.name, self.clock = name, clock
        self._row: ProviderState | None = None
        self._looked_at = float("-inf")
        self._is_probing = False

    def paused_until(self) -> dt.datetime | None:
        """Return until when nothing may go, as a row says that is believed for a second; None when something may."""
        if time.monotonic() - self._looked_at > LOOK_EVERY_S or not self.is_well():
            self._row, self._looked_at = ProviderState.objects.filter(name=self.name).first(), time.monotonic()
        row = self._row
        if self._is_probing or row is None or not row.retry_at or row.retry_at <= self.clock():
            return None
        return row.retry_at

    def look(self) -> tuple[bool, dt.datetime | None]:
        """Return whether only one mail may go, and until when nothing may; (False, None) when all is well.

        Of those who find that a pause is over, one is told to try; the others go on waiting.
        """
        paused_until, row, now = self.paused_until(), self._row, self.clock()
        if row is None or self.is_well():
            return False, None
        if paused_until or row.state == State.CLOSED or self._is_probing:
            return True, paused_until
        self._is_probing = self._may_try(row, now)
        return True, None if self._is_probing else now + PROBE

    def is_open(self) -> bool:
        """Say whether the provider is paused, rather than asks for a little time."""
        return self._row is not None and self._row.state != State.CLOSED

    def record(self, outcomes: Sequence[Outcome]) -> None:
        """Note how a call ended."""
        self._is_probing = False
        kinds = {outcome.kind for outcome in outcomes}
        if kinds == {"unsent"}:
            return
        if is_useless(outcomes):
            self._fail(max(outcomes, key=lambda outcome: (outcome.kind == "provider_fault", outcome.error)))
        elif not self.is_well():
            self._reset()

    def is_well(self) -> bool:
        """Say whether nothing is known against the provider, as far as was looked."""
        row = self._row
        return row is None or (row.state == State.CLOSED and not row.failures and not row.retry_at)

    def _may_try(self, row: ProviderState, now: dt.datetime) -> bool:
        paused = ProviderState.objects.filter(pk=row.pk, state=row.state, retry_at=row.retry_at)
        return bool(paused.update(state=State.PROBING, retry_at=now + PROBE))

    def _fail(self, outcome: Outcome) -> None:
        """Count a call that came to nothing; pause the provider at once for its fault, else for several."""
        now, self._looked_at = self.clock(), float("-inf")
        row, _ = ProviderState.objects.get_or_create(name=self.name)
        row.failures = max(row.failures + 1, FAILURES if outcome.kind == "provider_fault" else 1)
        row.error = outcome.error[:500]
        asked = dt.timedelta(seconds=outcome.retry_after_s or 0)
        if row.state != State.CLOSED or row.failures >= FAILURES:
            doubled = 2 ** min(max(row.failures - FAILURES, 0), 10)
            pause = min(dt.timedelta(seconds=settings.PROVIDER_PAUSE_S) * doubled, LONGEST_PAUSE)
            row.state, row.opened_at, row.retry_at = State.OPEN, row.opened_at or now, now + max(pause, asked)
            logger.error("the mail provider %s is paused until %s: %s", self.name, row.retry_at, row.error)
        elif asked:
            row.retry_at = now + asked
        row.failures = min(row.failures, 1000)
        row.save(update_fields=["state", "failures", "error", "opened_at", "retry_at"])
        self._row = row

    def _reset(self) -> None:
        """Let mails go again: not while the provider is paused, where an older call may have been slow."""
        self._looked_at = float("-inf")
        row = ProviderState.objects.filter(name=self.name).exclude(state=State.OPEN)
        if row.update(state=State.CLOSED, failures=0, error="", opened_at=None, retry_at=None):
            logger.warning("the mail provider %s takes mails again", self.name)


def try_now(states: QuerySet[ProviderState], now: dt.datetime) -> int:
    """Let one mail try each of these providers now, if it is paused; return how many are."""
    return states.filter(state=State.OPEN).update(retry_at=now)
