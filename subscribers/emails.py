"""Any mail to a subscriber, with every header; and the service mails, whose rows are their outbox."""

import datetime as dt
import functools
import hashlib
import logging
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from email.utils import format_datetime, getaddresses, parseaddr
from typing import Literal, NamedTuple

import css_inline
from django.conf import settings
from django.core.mail import EmailMessage
from django.db import transaction
from django.db.models import Exists, F, OuterRef, QuerySet
from django.template.loader import render_to_string
from django.utils import timezone, translation
from django.utils.translation import gettext_lazy as _

from papers.text import readable
from subscribers import publishing, tokens
from subscribers.mime import Body, PreparedMessage
from subscribers.models import Mail, Subscriber, Suppression, Token, hash_address

logger = logging.getLogger(__name__)

Kind, State, Purpose = Mail.Kind, Mail.State, Token.Purpose


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a message that was handed over.

    ``retry``: not sent, may be tried again after ``retry_after_s`` seconds or our own wait.
    ``unsent``: not sent, and that says nothing about the message. ``provider_fault``: not sent, and no
    other would be either until the operator or the provider acts. ``unknown``: it may have gone.
    ``is_general`` says that any other message would have met with the same.
    """

    kind: Literal["accepted", "retry", "unsent", "failed", "unknown", "provider_fault"]
    provider_message_id: str = ""
    error: str = ""
    retry_after_s: float | None = None
    is_general: bool = False


COLUMNS = 78  # of a plain text; what RFC 5322 asks for

HandOver = Callable[[EmailMessage], Outcome]


class Link(NamedTuple):
    """A line of the footer."""

    label: str
    url: str


# Any mail ---------------------------------------------------------------------------------------


PLAIN_ADDRESS = re.compile(r"[\w.+-]+@[\w.-]+", re.ASCII)  # what most are, and that is one without parsing it


def compose(  # noqa: PLR0913 - a mail has that many parts, and each is named at the call
    subscriber: Subscriber,
    *,
    subject: str,
    text: Body | str,
    html: Body | str,
    from_email: str,
    message_id: str,
    opaque_id: str,
    list_unsubscribe: bool,
    to: str = "",
    stream: str = "digest",
    date: dt.datetime | None = None,
) -> PreparedMessage:
    """Return a mail to one reader, with every header that mailbox providers ask for.

    The shared pieces of a ``Body`` are made already.
    ``to`` is the address if it is not the reader's own.
    ``opaque_id`` comes back in the provider's events; ``stream`` is what its complaints are counted
    by, a word that says nothing about the reader. ``date`` is the Date header, now if None.
    Raises ``ValueError`` for an address that is not exactly one.
    """
    to = to or subscriber.email
    if not PLAIN_ADDRESS.fullmatch(to) and (len(getaddresses([to])) != 1 or "@" not in to):
        # A provider would show all of several recipients to each of them.
        raise ValueError(f"subscriber {subscriber.pk} has no single address")
    headers = {
        "Date": _date(int((date or timezone.now()).timestamp())),
        "Message-ID": message_id,
        "List-Id": list_id(),
        "Auto-Submitted": "auto-generated",
        "Feedback-ID": f"{stream}:paperboy",
    }
    if list_unsubscribe:
        # A bare str below 78 characters: longer, and it would become an encoded word (FIELD_NOTES 5).
        headers["List-Unsubscribe"] = f"<{tokens.token_link('subscribers:unsubscribe', subscriber.unsubscribe_token)}>"
        headers["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message = PreparedMessage(
        subject=one_line(subject),
        text=text,
        html=html,
        boundary=opaque_id,
        from_email=from_email,
        to=[to],
        reply_to=[settings.REPLY_TO] if settings.REPLY_TO else None,
        headers=headers,
    )
    message.metadata = {"id": opaque_id}  # type: ignore[attr-defined]  # read by Anymail, where it sends
    return message


# The mails of a chunk were planned within some seconds.
@functools.lru_cache(maxsize=256)
def _date(timestamp: int) -> str:
    return format_datetime(dt.datetime.fromtimestamp(timestamp, dt.UTC))


def render(template_base: str, context: Mapping[str, object]) -> tuple[str, str]:
    """Return the text, wrapped, and the HTML, styles inlined, of ``<template_base>.txt`` and ``.html``."""
    text = render_to_string(f"{template_base}.txt", dict(context))
    html = render_to_string(f"{template_base}.html", dict(context))
    return wrapped(text.strip() + "\n"), inlined(html)


def wrapped(text: str) -> str:
    """Return ``text`` with lines of at most 78 characters, broken between words; a longer word stays whole."""
    return "\n".join([line if len(line) <= COLUMNS else "\n".join(_wrapped_line(line)) for line in text.split("\n")])


def _wrapped_line(line: str) -> Iterator[str]:
    while len(line) > COLUMNS:
        end = line.rfind(" ", 1, COLUMNS + 1)
        end = line.find(" ", COLUMNS) if end < 0 else end
        if end < 0:
            break
        yield line[:end].rstrip(" ")
        line = line[end + 1 :].lstrip(" ")
    yield line


def inlined(html: str) -> str:
    """Return a page with the styles of its head in its elements."""
    return _inliner().inline(html)


def frame(
    subject: str, preheader: str, *, links: tuple[Link, ...] = (), footer: tuple[str, ...] = ()
) -> dict[str, object]:
    """Return what the base of every mail shows around its body."""
    return {
        "subject": subject,
        "preheader": preheader,
        "site_name": settings.SITE_NAME,
        "site_url": home(),
        "postal_address": settings.POSTAL_ADDRESS,
        "footer_lines": footer,
        "links": links,
        "is_sample": False,
        "pixel_url": "",
    }


def home() -> str:
    """Return the address of the site."""
    return _home(settings.PUBLIC_URL)


@functools.lru_cache(maxsize=8)
def _home(_public_url: str) -> str:
    return tokens.link("papers:home")


def one_line(text: str) -> str:
    """Return a header's text, at most 200 characters: Django refuses CR and LF, which a title may hold."""
    return readable(text)[:200]


def domain() -> str:
    """Return the domain that our mails come from."""
    return _domain_of(settings.DEFAULT_FROM_EMAIL)


@functools.lru_cache(maxsize=8)
def _domain_of(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2]


def list_id() -> str:
    """Return ``Name <digest.domain>``; in ASCII, for a List-Id holds no encoded words."""
    return _list_id(settings.SITE_NAME, domain())


@functools.lru_cache(maxsize=8)
def _list_id(site: str, domain: str) -> str:
    name = re.sub(r"[^A-Za-z0-9 -]", "", site).strip()
    return f"{name or 'Paperboy'} <digest.{domain}>"


def message_id(opaque_id: str) -> str:
    """Return the Message-ID of the mail with this opaque id; Django would name the container's host."""
    return f"<{opaque_id}@{domain()}>"


def opaque_id(token: str) -> str:
    """Return a name for the mail with this link token that cannot be turned back into it."""
    return hashlib.sha256(token.encode()).hexdigest()[:32]


@functools.cache
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False)


# Service mails ----------------------------------------------------------------------------------

# Subject and preheader. None of them holds a word of the reader's: a confirmation goes to addresses
# that others type in, and must not carry their text.
TEXTS = {
    Kind.CONFIRMATION: (
        _("Please confirm your subscription"),
        _("One click, and the papers that match your interests come every morning."),
    ),
    Kind.ALREADY_SUBSCRIBED: (
        _("You are subscribed already"),
        _("Nothing has changed. Here is the link to your interests and preferences."),
    ),
    Kind.WELCOME: (
        _("You are in: what comes next"),
        _("Your first digest is being put together. Here is how to make it fit you."),
    ),
    Kind.CHANGE: (
        _("Please confirm your new address"),
        _("One click, and the papers come to this address from now on."),
    ),
    Kind.MOVED: (
        _("Your digests go to another address now"),
        _("As somebody, probably you, asked. If it was not you, here is the way back."),
    ),
    Kind.GOODBYE: (
        _("You are unsubscribed"),
        _("Nothing more comes to this address. Thank you for reading."),
    ),
    Kind.LINK: (
        _("Your link to the preferences"),
        _("As you asked: change your interests, the day and the hour, or take a break."),
    ),
}

LEASE = dt.timedelta(minutes=5)  # above a provider's slowest answer
MAX_ATTEMPTS = 8  # with the waits below, about twenty hours
FAULT_WAIT = dt.timedelta(minutes=1)
# The reader waits for these and cannot go on without them, so one that may have gone is sent once
# more. A second welcome would only puzzle them: it stays unknown.
REPEATABLE = [Kind.CONFIRMATION, Kind.LINK, Kind.CHANGE]
# The states of the reader with whom a mail makes sense; of all others it is active or paused.
WANTED_BY = {
    Kind.CONFIRMATION: [Subscriber.State.PENDING, Subscriber.State.UNSUBSCRIBED],
    Kind.GOODBYE: [Subscriber.State.UNSUBSCRIBED],
}
# These go to somebody who is no reader at that address, or is none any more: no link into preferences.
WITHOUT_PREFERENCES = [Kind.CONFIRMATION, Kind.CHANGE, Kind.MOVED, Kind.GOODBYE]


def service_mail(mail: Mail, now: dt.datetime) -> PreparedMessage:
    """Return the message of a row; a confirmation's token is made here, so that no row ever holds it."""
    with translation.override(mail.subscriber.language):
        subject, preheader = (str(text) for text in TEXTS[Kind(mail.kind)])
        is_to_reader = mail.kind not in WITHOUT_PREFERENCES
        urls = _urls(mail, now)
        context = frame(subject, preheader, links=_links(urls) if is_to_reader else ())
        text, html = render(f"emails/{mail.kind}", context | urls)
    return compose(
        mail.subscriber,
        to=mail.address,
        subject=subject,
        text=text,
        html=html,
        from_email=settings.SERVICE_FROM_EMAIL,
        message_id=mail.message_id,
        opaque_id=opaque_id(mail.token),
        list_unsubscribe=is_to_reader,
        stream="service",
    )


def _links(urls: Mapping[str, str]) -> tuple[Link, ...]:
    return Link(str(_("Preferences")), urls["preferences_url"]), Link(str(_("Unsubscribe")), urls["unsubscribe_url"])


def _urls(mail: Mail, now: dt.datetime) -> dict[str, str]:
    """Return the links of a mail; a single-use one is made here, so that no row ever holds its token."""
    reader = mail.subscriber
    if mail.kind == Kind.CONFIRMATION:
        return {"confirm_url": tokens.link("subscribers:confirm", tokens.issue(reader, Purpose.CONFIRM, now))}
    if mail.kind == Kind.CHANGE:
        token = tokens.issue(reader, Purpose.CHANGE_ADDRESS, now, address=mail.address)
        return {"change_url": tokens.link("subscribers:move", token)}
    if mail.kind == Kind.MOVED:
        token = tokens.issue(reader, Purpose.CHANGE_BACK, now, address=mail.address)
        return {"back_url": tokens.link("subscribers:move_back", token)}
    if mail.kind == Kind.GOODBYE:
        return _undo_url(reader, now)
    return {
        "preferences_url": tokens.link("preferences", mail.token),
        "unsubscribe_url": tokens.link("subscribers:unsubscribe", reader.unsubscribe_token),
    }


def _undo_url(reader: Subscriber, now: dt.datetime) -> dict[str, str]:
    """Return the link that takes the leaving back, while its hour lasts: a late mail gives no more time."""
    left_at = reader.unsubscribed_at or now
    if now - left_at >= tokens.LIFETIMES[Purpose.UNDO]:
        return {"undo_url": ""}
    return {"undo_url": tokens.link("subscribers:undo", tokens.issue(reader, Purpose.UNDO, left_at))}


def queue(subscriber: Subscriber, kind: Mail.Kind, now: dt.datetime, *, address: str = "") -> Mail:
    """Write the row of a mail into the caller's transaction; once it is committed, a worker is told.

    ``address`` is where it goes if not to the reader's own.
    The row is what the reader is owed: without a broker, or with one that is down, the next
    ``send_due`` finds it.
    """
    mail = Mail.objects.create(subscriber=subscriber, kind=kind, address=address, next_attempt_at=now)
    transaction.on_commit(functools.partial(publishing.publish, "newsletter.tasks.send_mail", mail.pk))
    return mail


def send_due(now: dt.datetime, hand_over: HandOver, limit: int = 500) -> dict[str, int]:
    """Send what is due, oldest first; return how many mails ended in each state.

    One mail's failure does not stop the others, but a provider that refuses all of them does.
    """
    _end_leases(now)
    counts: Counter[str] = Counter()
    due = Mail.objects.filter(state=State.PENDING, next_attempt_at__lte=now).order_by("next_attempt_at", "pk")
    for mail_id in list(due.values_list("pk", flat=True)[:limit]):
        try:
            outcome = _send(mail_id, now, hand_over)
        except Exception:  # the boundary: the row's lease runs out, the other mails go
            logger.exception("mail %s was not sent", mail_id)
            counts["error"] += 1
            continue
        counts[outcome] += 1
        if outcome in {"provider_fault", "unsent"}:
            break
    return dict(counts)


def send(mail_id: int, now: dt.datetime, hand_over: HandOver) -> None:
    """Send one mail if it is still due: claim the row, compose, hand over, settle.

    The claim is committed before the hand-over, so that a process that dies in between leaves a
    row that says so. Any number of callers may try the same mail.
    """
    _send(mail_id, now, hand_over)


def _send(mail_id: int, now: dt.datetime, hand_over: HandOver) -> str:
    """Return the kind of outcome, ``skipped``, or ``gone`` where somebody else has the mail."""
    mail = Mail.objects.select_related("subscriber").filter(pk=mail_id).first()
    if mail is None:
        return "gone"
    if not _claim(mail, now):
        return "skipped" if _skip(mail) else "gone"
    try:
        message = service_mail(mail, now)
    except Exception as error:  # the boundary: ours to repair, the reader's mail waits
        logger.exception("mail %s could not be composed", mail.pk)
        outcome = Outcome("retry", error=f"could not be composed: {error}")
    else:
        outcome = hand_over(message)
    _settle(mail, outcome, now)
    return outcome.kind


def _claim(mail: Mail, now: dt.datetime) -> bool:
    """Take the row, if it is due and its reader may and would have it; suppression is asked here, last.

    No joins, which Django would turn into a list of ids that PostgreSQL does not look at again
    after it waited for another worker's claim.
    """
    mail.message_id = message_id(opaque_id(mail.token))
    mail.attempt += 1
    rows = Mail.objects.filter(_is_wanted(mail), ~_is_blocked(mail), pk=mail.pk, attempt=mail.attempt - 1)
    return bool(
        rows.filter(state=State.PENDING, next_attempt_at__lte=now).update(
            state=State.SENDING, attempt=F("attempt") + 1, leased_until=now + LEASE, message_id=mail.message_id
        )
    )


def _skip(mail: Mail) -> bool:
    """End a row whose reader must not or would not have it any more."""
    rows = Mail.objects.filter(pk=mail.pk, state=State.PENDING)
    return bool(
        rows.filter(_is_blocked(mail)).update(state=State.SKIPPED, error="the address is suppressed")
        or rows.filter(~_is_wanted(mail)).update(state=State.SKIPPED, error="the reader's state changed")
    )


def _is_blocked(mail: Mail) -> Exists:
    """Whether nothing at all goes to the address, not even a confirmation."""
    address_hash = hash_address(mail.address or mail.subscriber.email)
    return Exists(Suppression.objects.filter(address_hash=address_hash, reason__in=Suppression.BLOCKING))


def _is_wanted(mail: Mail) -> Exists:
    """Whether the address is the one that was looked at, and the reader's state goes with the mail."""
    wanted_by = WANTED_BY.get(Kind(mail.kind), [Subscriber.State.ACTIVE, Subscriber.State.PAUSED])
    reader = Subscriber.objects.filter(pk=OuterRef("subscriber_id"))
    return Exists(reader.filter(email=mail.subscriber.email, state__in=wanted_by))


def _settle(mail: Mail, outcome: Outcome, now: dt.datetime) -> None:
    """Write down what became of this attempt; an answer that comes too late still proves that it went."""
    mine = Mail.objects.filter(pk=mail.pk, attempt=mail.attempt)
    if outcome.kind == "accepted":
        mine.filter(state__in=[State.SENDING, State.UNKNOWN]).update(
            state=State.ACCEPTED, accepted_at=now, provider_message_id=outcome.provider_message_id, error=""
        )
    elif outcome.kind == "unknown":
        _may_have_gone(mine.filter(state=State.SENDING), now, outcome.error)
    elif outcome.kind in {"provider_fault", "unsent"}:
        # Nobody's attempt: a wrong key must not use up what a reader waits for.
        mine.filter(state=State.SENDING).update(
            state=State.PENDING, attempt=mail.attempt - 1, next_attempt_at=now + FAULT_WAIT, error=outcome.error[:500]
        )
    else:
        is_over = outcome.kind == "failed" or mail.attempt >= MAX_ATTEMPTS
        mine.filter(state=State.SENDING).update(
            state=State.FAILED if is_over else State.PENDING,
            next_attempt_at=now + _wait(mail.attempt, outcome.retry_after_s),
            error=outcome.error[:500],
        )


def _wait(attempt: int, retry_after_s: float | None) -> dt.timedelta:
    """Return how long to wait after ``attempt``: 1, 4, 16, 64 minutes, then 4 hours; or as asked, if longer."""
    return dt.timedelta(seconds=max(min(60 * 4 ** (attempt - 1), 4 * 3600), retry_after_s or 0))


def _end_leases(now: dt.datetime) -> None:
    """Give up on the workers that took a row and were not heard of again."""
    _may_have_gone(Mail.objects.filter(state=State.SENDING, leased_until__lte=now), now, "the worker was lost")


def _may_have_gone(rows: QuerySet[Mail], now: dt.datetime, error: str) -> None:
    """Leave the rows as unknown, except those that are sent once more: their one attempt left."""
    again = rows.filter(kind__in=REPEATABLE, attempt__lt=MAX_ATTEMPTS)
    again.update(state=State.PENDING, attempt=MAX_ATTEMPTS - 1, next_attempt_at=now, error=error[:500])
    rows.update(state=State.UNKNOWN, error=error[:500])
