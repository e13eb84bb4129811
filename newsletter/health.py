"""How the instance is: its workers, its mail providers, and how long the oldest digest waits."""

import contextlib
import datetime as dt
from dataclasses import dataclass

from django.conf import settings
from django.core.mail import get_connection
from django.db.models import Min
from django.db.models.functions import Coalesce

from newsletter import units
from newsletter.models import Delivery, Edition, Heartbeat, ProviderState
from newsletter.providers import Provider

# Where there is no broker, cron's tick is the only worker.
TICK = "tick"
SILENT_AFTER = dt.timedelta(minutes=15)  # cron may come every five or ten minutes


@dataclass(frozen=True, slots=True)
class Pulse:
    """When a worker of a queue, or cron, was last heard of; None: never."""

    name: str
    at: dt.datetime | None
    is_silent: bool


def beat(name: str, now: dt.datetime) -> None:
    """Note that a worker of a queue, or cron, is at work."""
    Heartbeat.objects.update_or_create(name=name, defaults={"at": now})


def pulses(now: dt.datetime) -> list[Pulse]:
    """Return the pulse of each worker that there ought to be."""
    names = [settings.STAGES, settings.SERVICE] if settings.REDIS_URL else [TICK]
    heard = dict(Heartbeat.objects.values_list("name", "at"))
    return [Pulse(name, at := heard.get(name), at is None or now - at > SILENT_AFTER) for name in names]


@dataclass(frozen=True, slots=True)
class Way:
    """A mail provider that is configured: the backend by which it is asked, and its name in ``ProviderState``."""

    backend: str
    name: str

    @property
    def state(self) -> ProviderState | None:
        """What is known of it; None where nothing is, which is well."""
        return ProviderState.objects.filter(name=self.name).first()

    def problem(self) -> str:
        """Open a connection, by SMTP a real one; return what was wrong, or ''. Nothing is sent."""
        try:
            with contextlib.closing(get_connection(self.backend)) as connection:
                connection.open()
        except Exception as error:  # noqa: BLE001 - whatever a backend says
            return " ".join(f"{type(error).__name__}: {error}".split())
        return ""


def ways() -> list[Way]:
    """Return the mail provider, and the one that stands in for it where there is one."""
    backends = filter(None, [settings.EMAIL_BACKEND, settings.EMAIL_FALLBACK_BACKEND])
    return [Way(backend, Provider(backend).name) for backend in backends]


def oldest_unsent(now: dt.datetime) -> dt.timedelta | None:
    """Return for how long the oldest digest that may go now has waited; None where none does.

    One that is to be tried again later waits for that moment; those of a paused edition wait for the operator.
    """
    running = Edition.objects.filter(state__in=units.SENDABLE)
    waiting = Delivery.objects.filter(edition__in=running, state__in=[*Delivery.OPEN, Delivery.State.SENDING])
    since = waiting.aggregate(since=Min(Coalesce("next_attempt_at", "sending_at", "created_at")))["since"]
    return now - since if since and since <= now else None
