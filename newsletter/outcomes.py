"""What an exception of a mail backend means for the message: the classes of error, by protocol and phase."""

import datetime as dt
import re
import smtplib
from collections.abc import Sequence
from dataclasses import replace
from email.errors import MessageError
from email.utils import parsedate_to_datetime
from typing import Literal

import requests
import urllib3.exceptions
from anymail.exceptions import (
    AnymailAPIError,
    AnymailConfigurationError,
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
)
from django.core.exceptions import ImproperlyConfigured
from django.core.mail import BadHeaderError

from newsletter import amazon
from papers.text import readable
from subscribers.emails import Outcome

Kind = Literal["accepted", "retry", "unsent", "failed", "unknown", "provider_fault"]

NUMBER = re.compile(r"\d+(\.\d+)?", re.ASCII)
LONGEST_ID = 200  # characters of a provider's id that rows keep; reports are found by as many
LONGEST_WAIT_S = 86_400.0  # some write a moment in seconds since 1970, which would be decades
AUTHENTICATION = {530, 534, 535, 538}  # SMTP: our log-in is wanted, or is not accepted
NOT_SENT = {408, 425, 429, 503}
OF_A_MAIL = {400, 422}  # may be about one reader; any other refusal is about what we ask, whom or how
CANNOT_BE_SENT = (
    AnymailInvalidAddress,
    AnymailRecipientsRefused,
    AnymailSerializationError,
    AnymailUnsupportedFeature,
    BadHeaderError,
    MessageError,
    UnicodeError,
)
WRONG_SETTINGS = (
    AnymailConfigurationError,
    ImproperlyConfigured,
    requests.TooManyRedirects,
    requests.exceptions.InvalidSchema,
    requests.exceptions.InvalidURL,
    requests.exceptions.MissingSchema,
    smtplib.SMTPNotSupportedError,  # no STARTTLS or no log-in there
)
BY_CLASS: tuple[tuple[tuple[type[BaseException], ...], Kind], ...] = (
    (CANNOT_BE_SENT, "failed"),
    (WRONG_SETTINGS, "provider_fault"),
)
NEVER_CONNECTED = (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError)
# What a provider's 400 or 422 complains about, in the words of those that were seen.
NAMES_THE_RECIPIENT = re.compile(r"[`'\"]to[`'\"]|recipient|mailbox|inactive", re.IGNORECASE)
NAMES_OUR_SETTINGS = re.compile(
    r"[`'\"]from[`'\"]|sender|signature|domain|stream|api[ _-]?key|token|account|credits", re.IGNORECASE
)
ADDRESS = re.compile(r"[^\s<>()'\"`,:;]+@[^\s<>()'\"`,:;]*")
# A server that sends nobody's mails for us says so where it hears of the first recipient.
REFUSES_US = re.compile(r"\brelay", re.IGNORECASE)


def classify(error: Exception, *, has_sent_body: bool | None) -> Outcome:
    """Return what an exception of a mail backend means for the message.

    ``has_sent_body`` is None where the backend cannot tell. Classes by protocol and phase:
    *retry* was not sent; *provider_fault* was not sent, and the next one would not be either;
    *failed* is about this recipient or this message; *unknown* may have gone.
    """
    kind = _kind(_cause(error), has_sent_body=has_sent_body)
    return Outcome(
        kind, error=_describe(error), retry_after_s=_retry_after(error), is_general=not _is_about_one(_cause(error))
    )


def _is_about_one(error: BaseException) -> bool:
    """Say whether an SMTP server spoke of this recipient or this message, and not of itself (421) or in riddles."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        codes = {code for code, _ in error.recipients.values()}
    else:
        codes = {error.smtp_code} if isinstance(error, smtplib.SMTPDataError) else set()
    return bool(codes) and all(code >= 400 and code != 421 for code in codes)


def is_useless(outcomes: Sequence[Outcome]) -> bool:
    """Say whether a call came to nothing for a reason that any other mail would have met as well."""
    if any(outcome.kind == "provider_fault" for outcome in outcomes):
        return True
    return all(outcome.is_general and outcome.kind in {"retry", "unknown"} for outcome in outcomes)


def is_unreachable(error: Exception) -> bool:
    """Say whether no connection came about, so that the next message would wait for the same time-out."""
    return _never_connected(_cause(error)) or amazon.never_connected(error)


def is_too_large(error: Exception) -> bool:
    """Say whether the provider would not read the body to its end."""
    return getattr(error, "status_code", None) == 413


def refused(text: str, *, is_passing: bool = False) -> Outcome:
    """Return what a provider's words about one mail, in an answer to many, mean for that mail.

    ``is_passing`` where the provider's own code says that it may be tried again.
    """
    kind: Kind = "retry" if is_passing else _kind_of_refusal(text)
    return Outcome(kind, error=without_mailboxes(f"the provider says: {text}"))


def of_one_call(answered: Sequence[Outcome]) -> Sequence[Outcome]:
    """Return the answers to the mails of a call, none of which blames us where another mail of it was taken.

    What is said then is about that mail, whatever its words; and one reader's must not stop the others'.
    """
    if not any(outcome.kind == "accepted" for outcome in answered):
        return answered
    return [replace(each, kind="retry") if each.kind == "provider_fault" else each for each in answered]


def storable(outcome: Outcome) -> Outcome:
    """Return the outcome without what the columns cannot hold; JSON can say half of a surrogate pair, or NUL.

    One such word would keep the whole call's answers from being written down.
    """
    name, error = outcome.provider_message_id, outcome.error
    if name.isprintable() and error.isprintable() and len(name) <= LONGEST_ID:
        return outcome
    return replace(outcome, provider_message_id=readable(name)[:LONGEST_ID], error=readable(error))


def _cause(error: Exception) -> BaseException:
    """Return what ``requests`` raised, which Anymail wraps."""
    return error.__cause__ if isinstance(error.__cause__, requests.RequestException) else error


def _kind(error: BaseException, *, has_sent_body: bool | None) -> Kind:
    for classes, kind in BY_CLASS:
        if isinstance(error, classes):
            return kind
    if isinstance(error, AnymailAPIError):
        return _kind_of_answer(error)
    if _never_connected(error):
        return "retry"
    if isinstance(error, smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused):
        return _kind_of_reply(error, has_sent_body=has_sent_body)
    if has_sent_body is not False:
        return "unknown"
    return "retry" if isinstance(error, OSError) else "failed"


def _kind_of_reply(
    error: smtplib.SMTPResponseException | smtplib.SMTPRecipientsRefused, *, has_sent_body: bool | None
) -> Kind:
    """Return the class of an SMTP server's reply; which exception it is tells the phase."""
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, words = min(error.recipients.values())
        is_about_the_reader = not REFUSES_US.search(ADDRESS.sub("", words.decode("utf-8", "replace")))
    else:
        code, is_about_the_reader = error.smtp_code, isinstance(error, smtplib.SMTPDataError)
    if code in AUTHENTICATION:
        return "provider_fault"
    if 400 <= code < 500:
        return "retry"
    if code >= 500:
        return "failed" if is_about_the_reader else "provider_fault"
    return "retry" if has_sent_body is False else "unknown"  # no code that a server may answer with


def _kind_of_answer(error: AnymailAPIError) -> Kind:
    """Return the class of a provider's HTTP answer; a 200 stands here when it could not be read."""
    from_amazon = amazon.status_and_words(error)
    status, words = from_amazon or (error.status_code or 0, getattr(error.response, "text", ""))
    if status in NOT_SENT:
        return "retry"
    if status == 409:
        return "unknown"  # the key of an earlier call: that one is under way, or had another body
    if status in OF_A_MAIL:
        return _kind_of_refusal(words)
    return "provider_fault" if 300 <= status < 500 else "unknown"


def _kind_of_refusal(text: str) -> Kind:
    """Return whom the provider's words complain about: us, or this reader; an address says nothing of that."""
    text = ADDRESS.sub("", text)
    names_us = NAMES_OUR_SETTINGS.search(text) and not NAMES_THE_RECIPIENT.search(text)
    return "provider_fault" if names_us else "failed"


def _never_connected(error: BaseException) -> bool:
    """Say whether nothing was written; ``requests.ConnectionError`` stands for both sides of the body."""
    if not isinstance(error, requests.ConnectionError):
        return False
    if isinstance(error, requests.ConnectTimeout | requests.exceptions.ProxyError | requests.exceptions.SSLError):
        return True
    inner = error.args[0] if error.args else None
    return isinstance(getattr(inner, "reason", inner), NEVER_CONNECTED)


def _retry_after(error: Exception) -> float | None:
    """Return the seconds that the provider asks us to wait, from either form of the header; a day at most."""
    headers = getattr(getattr(error, "response", None), "headers", {})
    value = headers.get("Retry-After", "").strip()
    try:
        seconds = float(value) if NUMBER.fullmatch(value) else _seconds_until(value)
    except (TypeError, ValueError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT_S)


def _seconds_until(value: str) -> float:
    return (parsedate_to_datetime(value) - dt.datetime.now(dt.UTC)).total_seconds()


def _describe(error: Exception) -> str:
    """Return the error in one line, without the mailbox of any address in it."""
    return without_mailboxes(" ".join(f"{type(error).__name__}: {error}".split()))


def without_mailboxes(text: str) -> str:
    """Return at most 500 characters of what a provider said, with the domain alone of each address."""
    return re.sub(r"[^\s<>()'\"`,:;]+@", "…@", text)[:500]
