"""A way to hand mails over: a provider, with whether it takes mails now and how many at once."""

import datetime as dt
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Protocol

from django.conf import settings
from django.core.mail import EmailMessage
from django.utils import timezone

from newsletter.breaker import Breaker
from newsletter.permits import Limits, Permit, Permits
from newsletter.providers import Prepared, Provider
from subscribers.emails import HandOver, Outcome

SERVICE_PATIENCE_S = 10.0


class Carrier(Protocol):
    """Who takes mails: a ``Provider``, or what stands for one in a test. Its methods are explained there."""

    name: str
    unit_size: int
    unit_bytes: int
    key_life: dt.timedelta | None

    def prepare(self, message: EmailMessage) -> Prepared: ...
    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]: ...


class Line:
    """A carrier behind its breaker and its permits."""

    def __init__(self, carrier: Carrier, clock: Callable[[], dt.datetime], limits: Limits | None = None) -> None:
        self.carrier, self.clock = carrier, clock
        self.breaker = Breaker(carrier.name, clock)
        self.permits = Permits(carrier.name, limits or _limits("EMAIL"), clock)

    def is_paused(self) -> bool:
        return self.breaker.paused_until() is not None

    def permit(self, wanted: int, patience_s: float) -> Permit:
        """Return how many mails may go in the next call, and after how long; at most ``patience_s`` seconds.

        0 where the provider is paused, or asks for more patience than that.
        """
        is_on_trial, paused_until = self.breaker.look()
        wait_s = max(0.0, (paused_until - self.clock()).total_seconds()) if paused_until else 0.0
        if wait_s > patience_s or (wait_s and self.breaker.is_open()):
            return Permit(0, wait_s)
        permit = self.permits.take(1 if is_on_trial else min(wanted, self.carrier.unit_size), patience_s - wait_s)
        return Permit(permit.count, wait_s + permit.wait_s)


def configured(stack: ExitStack, clock: Callable[[], dt.datetime]) -> list[Line]:
    """Return the line of the provider, and that of the one that stands in for it where there is one.

    Their connections are kept until ``stack`` is closed.
    """
    return [Line(stack.enter_context(provider), clock, limits) for provider, limits in providers()]


def providers() -> list[tuple[Provider, Limits]]:
    """Return the provider and the one that stands in for it, not connected yet, with what each allows."""
    found = [(Provider(), _limits("EMAIL"))]
    if settings.EMAIL_FALLBACK_BACKEND:
        found.append((Provider(settings.EMAIL_FALLBACK_BACKEND), _limits("EMAIL_FALLBACK")))
    return found


@contextmanager
def service() -> Iterator[HandOver]:
    """Yield what hands over a mail that is no digest: a provider's pause and its limits are one for all mails.

    A reader waits for it, so that it is *unsent* where it would have to wait for long.
    """
    with ExitStack() as stack:
        ways = [(stack.enter_context(each), Line(each, timezone.now, limits)) for each, limits in providers()]

        def hand_over(message: EmailMessage) -> Outcome:
            for provider, line in ways:
                permit = line.permit(1, SERVICE_PATIENCE_S)
                if permit.count:
                    time.sleep(permit.wait_s)
                    outcome = provider.send(message)
                    line.breaker.record([outcome])
                    return outcome
            names = " and ".join(provider.name for provider, _ in ways)
            return Outcome("unsent", error=f"{names}: paused, or had the mails of the day")

        yield hand_over


def _limits(prefix: str) -> Limits:
    return Limits(getattr(settings, f"{prefix}_RATE_PER_SECOND"), getattr(settings, f"{prefix}_RATE_PER_DAY"))
