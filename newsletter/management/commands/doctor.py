"""Say what is well with this instance and what is not, each with its remedy."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from django.conf import settings
from django.utils import timezone

from newsletter import alerts, health
from newsletter.models import ProviderState
from newsletter.providers import OutboxBackend
from papers.management.base import PaperboyCommand, Result
from papers.polling import Freshness, freshness
from papers.sources import SOURCES, polled

UNREAD = dt.timedelta(days=1)

Status = Literal["ok", "warn", "fail", "skipped"]


@dataclass(frozen=True, slots=True)
class Check:
    """One finding: what was looked at, how it is, and what to do where it is not well."""

    name: str
    status: Status
    detail: str


class Command(PaperboyCommand):
    help = (
        "Looks at sources, workers, mail providers and digests, and says what to do where all is not well. Exit status"
        " 1 on a failure."
    )

    def run(self, options: Mapping[str, Any]) -> Result:  # noqa: ARG002 - it has none of its own
        now = timezone.now()
        checks = [*sources(now), *workers(now), *providers(), digests(now)]
        failed = [check.name for check in checks if check.status == "fail"]
        return Result(
            data={"checks": [asdict(check) for check in checks]},
            lines=[f"{check.status:<8}{check.name}: {check.detail}" for check in checks],
            problem=f"not well: {', '.join(failed)}" if failed else "",
        )


def sources(now: dt.datetime) -> Iterator[Check]:
    """Look at every source: a late one is read by a later tick, one that was not read for a day is a failure."""
    for name, source in SOURCES.items():
        if name in polled():
            yield _source(source.TITLE, freshness(name, now), now)
        else:
            yield Check(f"source {name}", "skipped", "not in SOURCES, so no tick reads it")


def _source(title: str, found: Freshness, now: dt.datetime) -> Check:
    name = f"source {found.source}"
    if not found.is_stale:
        return Check(name, "ok", f"{title} was last read at {_moment(found.read_at)}")
    late = ", ".join(f"{date}" for date in reversed(found.overdue))
    if not found.error:
        return Check(
            name, "warn", f"nobody has asked {title} for {late}: does `manage.py tick`, or Celery's beat, run?"
        )
    return Check(
        name,
        "warn" if found.read_at and now - found.read_at < UNREAD else "fail",
        f"{title} is late with {late} (last read at {_moment(found.read_at)}): {found.error}. It is tried again by"
        f" itself; to try now: `manage.py ingest --source {found.source} --date {found.overdue[0]}`",
    )


def workers(now: dt.datetime) -> Iterator[Check]:
    """Look when each worker, or cron, was last heard of."""
    for pulse in health.pulses(now):
        what = "tick" if pulse.name == health.TICK else f"worker of the queue {pulse.name}"
        if not pulse.is_silent:
            yield Check(what, "ok", f"last at work at {_moment(pulse.at)}")
        elif pulse.name == health.TICK:
            yield Check(
                what, "warn", f"last run at {_moment(pulse.at)}: have cron run `manage.py tick`, see the README"
            )
        else:
            remedy = "look whether beat and that worker run, and at their logs; a worker that takes nothing: restart it"
            yield Check(what, "fail", f"last at work at {_moment(pulse.at)}: {remedy}")


def providers() -> Iterator[Check]:
    """Look whether each mail provider can be asked as it is configured, takes mails, and can report back."""
    for way in health.ways():
        status, detail = _provider(way)
        yield Check(f"mail provider {way.name}", status, detail)


def _provider(way: health.Way) -> tuple[Status, str]:
    state = way.state
    if problem := way.problem():
        return "fail", f"cannot be asked ({problem}): correct its settings, see the README under Mail, and restart"
    if state and state.state != ProviderState.State.CLOSED:
        said = f"paused since {_moment(state.opened_at)}, tried again at {_moment(state.retry_at)}"
        remedy = (
            "correct what it complains of; it is tried by itself, or at once by the action in admin's provider states"
        )
        return "fail", f"{said}: {state.error} ({state.failures} calls in a row came to nothing). {remedy}"
    if state and state.failures:
        return "warn", f"the last call came to nothing: {state.error}. It is tried again by itself"
    if way.name == OutboxBackend.esp_name:
        return (
            "warn" if settings.PRODUCTION else "ok",
            f"mails are written into {settings.EMAIL_FILE_PATH}, none leaves",
        )
    if way.backend.startswith("anymail.") and not settings.ANYMAIL.get("WEBHOOK_SECRET"):
        return "warn", "takes mails; of bounces and complaints nothing is heard: set ANYMAIL_WEBHOOK_SECRET"
    return "ok", "takes mails"


def digests(now: dt.datetime) -> Check:
    """Look for how long the oldest digest that may go has waited."""
    waited = health.oldest_unsent(now)
    if waited is None:
        return Check("digests", "ok", "none waits")
    detail = f"the oldest that may go has waited for {int(waited.total_seconds() // 60)} minutes"
    if waited <= alerts.LATE:
        return Check("digests", "ok", detail)
    return Check(
        "digests", "fail", f"{detail}: look at what went wrong on the edition's page in admin, and at the workers"
    )


def _moment(moment: dt.datetime | None) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M} UTC" if moment else "no time"
