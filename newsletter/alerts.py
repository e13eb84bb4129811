"""What needs the operator: said once when it begins, by mail and to a URL, and once when it is over."""

import datetime as dt
import logging
from collections.abc import Iterator

import requests
from django.conf import settings
from django.core.mail import EmailMessage
from django.db.models import Q

from newsletter import editions, health, lines, schedule
from newsletter.models import Alert, Delivery, Edition, ProviderState
from papers.models import IngestRun
from papers.polling import freshness
from papers.sources import SOURCES, polled

logger = logging.getLogger(__name__)

State = Delivery.State

LATE = dt.timedelta(minutes=30)
COMPLAINTS, COMPLAINTS_WITHIN = 0.001, dt.timedelta(days=7)
TIMEOUT_S = 10


def watch(now: dt.datetime) -> dict[str, str]:
    """Look, and say what has begun and what is over; return what is not well, {subject: text}.

    The rows are what was said: a restart says nothing again. What cannot be said is tried at the
    next call; any number of callers may look at once. A process that dies between the row and the
    words has said it: twice is worse than once too few, since what lasts shows in ``doctor`` too.
    """
    wrong = dict(findings(now))
    # What another began after this look is not for this look to end.
    lasting = Alert.objects.filter(ended_at=None, began_at__lte=now)
    lasting.exclude(subject__in=wrong).update(ended_at=now)
    known = set(Alert.objects.filter(ended_at=None).values_list("subject", flat=True))
    begun = [Alert(subject=subject, text=wrong[subject][:500], began_at=now) for subject in wrong.keys() - known]
    Alert.objects.bulk_create(begun, ignore_conflicts=True)
    # What was over before it could be said is of no use to anybody.
    Alert.objects.filter(said_at=None, ended_at__isnull=False).delete()
    for alert in Alert.objects.filter(said_at=None):
        _say_once(alert, "said_at", now)
    for alert in Alert.objects.filter(ended_at__isnull=False, end_said_at=None):
        _say_once(alert, "end_said_at", now)
    return wrong


def call_heartbeat_url() -> None:
    """Tell the watch outside that a tick went well; that it cannot be reached is only logged."""
    if settings.HEARTBEAT_URL:
        try:
            requests.get(settings.HEARTBEAT_URL, timeout=TIMEOUT_S, allow_redirects=False).raise_for_status()
        except requests.RequestException as error:
            logger.warning("HEARTBEAT_URL could not be called: %s", type(error).__name__)


# What is not well -------------------------------------------------------------------------------


def findings(now: dt.datetime) -> Iterator[tuple[str, str]]:
    """Yield what is not well at ``now``: a subject that stays the same while it lasts, and a text with the remedy."""
    yield from _edition(now)
    yield from _providers()
    yield from _digests(now)
    yield from _unknown()
    yield from _complaints(now)
    yield from _sources(now)


def _edition(now: dt.datetime) -> Iterator[tuple[str, str]]:
    date, newest = schedule.edition_date(now - LATE, settings.EDITION_CLOSES_AT), editions.newest_closed()
    if newest is None and not IngestRun.objects.filter(started_at__lt=now - LATE).exists():
        return  # the instance has only just been started
    if newest is None or newest.date < date:
        yield "edition", f"The edition of {date} is not closed: `manage.py close_edition` says why."
    elif _is_forgotten(newest, now):
        yield "planner", f"Nobody has planned the edition of {newest.date} for half an hour: do worker and beat run?"


def _is_forgotten(edition: Edition, now: dt.datetime) -> bool:
    since = edition.planned_until or edition.closed_at
    return edition.state != Edition.State.CANCELLED and since is not None and now - since > LATE


def _providers() -> Iterator[tuple[str, str]]:
    """Of the providers that are set: nobody will try another one, so that its pause would have no end."""
    names = [provider.name for provider, _ in lines.providers()]
    for state in ProviderState.objects.filter(name__in=names).exclude(state=ProviderState.State.CLOSED):
        since = f"{state.opened_at:%H:%M} UTC" if state.opened_at else "now"
        wait = "all go by the other" if len(names) > 1 else "all wait"
        yield f"provider {state.name}", f"{state.name} takes no mails since {since}, {wait}: {state.error}"


def _digests(now: dt.datetime) -> Iterator[tuple[str, str]]:
    waited = health.oldest_unsent(now)
    if waited and waited > LATE:
        minutes = int(waited.total_seconds() // 60)
        yield "digests", f"Digests that are due have waited for {minutes} minutes; `manage.py doctor` says more."


def _unknown() -> Iterator[tuple[str, str]]:
    """Only of the newest edition: afterwards there is nothing more to decide."""
    newest = editions.newest_closed()
    if newest and (count := newest.deliveries.filter(state=State.UNKNOWN).count()):
        yield (
            "unknown",
            f"{count} digests of {newest.date} may have gone or not: the edition's page in admin has a button.",
        )


def _complaints(now: dt.datetime) -> Iterator[tuple[str, str]]:
    lately = Edition.objects.filter(date__gt=(now - COMPLAINTS_WITHIN).date())
    complained = Delivery.objects.filter(edition__in=lately, state=State.COMPLAINED).count()
    if not complained:
        return
    sent = Delivery.objects.filter(edition__in=lately, state__in=Delivery.SENT).count()
    if complained > COMPLAINTS * sent:
        share = f"{complained} of {sent} digests of the last seven days were called spam"
        yield "complaints", f"{share}; above 0.1 % mailbox providers begin to refuse all of them."


def _sources(now: dt.datetime) -> Iterator[tuple[str, str]]:
    for name in polled():
        found = freshness(name, now)
        if found.is_stale:
            error = f": {found.error}" if found.error else ""
            yield f"source {name}", f"{SOURCES[name].TITLE} could not be read for hours{error}."


# Saying it --------------------------------------------------------------------------------------


def _say_once(alert: Alert, field: str, now: dt.datetime) -> None:
    """Say that an alert began or ended, unless another does; if it cannot be said, the row says so."""
    mine = Alert.objects.filter(pk=alert.pk)
    if mine.filter(Q(**{field: None})).update(**{field: now}) and not _say(alert, is_over=field == "end_said_at"):
        mine.update(**{field: None})


def _say(alert: Alert, *, is_over: bool) -> bool:
    """Say it by mail and to the URL, where they are set; True if one of them took it, or none is set."""
    text = f"{'Over: ' if is_over else ''}{alert.text}"
    logger.log(logging.INFO if is_over else logging.ERROR, "%s: %s", alert.subject, text)
    said = [way(alert, text) for way, is_set in ((_mail, settings.ALERT_EMAIL), (_post, settings.ALERT_URL)) if is_set]
    return any(said) or not said


def _mail(alert: Alert, text: str) -> bool:
    message = EmailMessage(
        subject=f"[{settings.SITE_NAME}] {alert.subject}: {'over' if text.startswith('Over: ') else 'please look'}",
        body=f"{text}\n\nSince {alert.began_at:%Y-%m-%d %H:%M} UTC. {settings.PUBLIC_URL}/admin/\n",
        from_email=settings.SERVICE_FROM_EMAIL,
        to=[settings.ALERT_EMAIL],
        headers={"Auto-Submitted": "auto-generated"},
    )
    for provider, _ in lines.providers():
        with provider:
            if provider.send(message).kind in {"accepted", "unknown"}:
                return True
    return False


def _post(alert: Alert, text: str) -> bool:
    """Send a JSON document, whose ``text`` chat programs show."""
    document = {
        "site": settings.PUBLIC_URL,
        "subject": alert.subject,
        "state": "over" if text.startswith("Over: ") else "on",
        "text": f"{settings.SITE_NAME}: {text}",
        "began_at": alert.began_at.isoformat(),
    }
    try:
        answer = requests.post(settings.ALERT_URL, json=document, timeout=TIMEOUT_S, allow_redirects=False)
        answer.raise_for_status()
    except requests.RequestException as error:
        logger.warning("ALERT_URL could not be told: %s", type(error).__name__)
        return False
    return True
