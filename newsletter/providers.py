"""Hand one message to the mail provider over a connection that is kept, and say what became of it."""

import contextlib
import functools
import logging
import os
import re
import smtplib
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from email.utils import parseaddr
from pathlib import Path
from typing import Any, Self

import requests
from anymail.backends.base import AnymailBaseBackend
from django.conf import settings
from django.core.mail import EmailMessage, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.core.mail.backends.smtp import EmailBackend as DjangoSmtpBackend
from django.core.mail.message import sanitize_address
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.module_loading import import_string

from newsletter import batches, outcomes
from newsletter.batches import BATCHES, Item
from newsletter.moulds import Moulds
from subscribers.emails import PLAIN_ADDRESS, Outcome
from subscribers.mime import PreparedMessage

logger = logging.getLogger(__name__)

IDLE_S = 5.0  # a server may have closed a connection that was idle for longer: every one of those would be an unknown
OK, OK_FORWARDED, GO_ON, BYE = 250, 251, 354, 421
Reply = tuple[int, bytes]
NOT_ASKED: Reply = (0, b"")
# Anymail refuses a mail with metadata to these; their reports find its row by the provider's own id.
WITHOUT_METADATA = {"MailerSend", "Postal"}
DOWN_S = 30.0  # how long a provider that could not be reached is not asked again


# Backends ---------------------------------------------------------------------------------------


class OutboxBackend(BaseEmailBackend):
    """Write each message as ``<time>-<mailbox>-<n>.eml`` into EMAIL_FILE_PATH, whole or not at all."""

    esp_name = "file"
    has_sent_body = False

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        for message in email_messages:
            self._write(message)
        return len(email_messages)

    def _write(self, message: EmailMessage) -> None:
        folder = Path(settings.EMAIL_FILE_PATH)
        folder.mkdir(parents=True, exist_ok=True)
        mailbox = re.sub(r"[^A-Za-z0-9@.+-]", "_", message.to[0])
        stem = f"{timezone.now():%Y%m%dT%H%M%S}-{mailbox}"
        handle, draft = tempfile.mkstemp(dir=folder, suffix=".draft")
        with os.fdopen(handle, "wb") as file:
            file.write(message.message().as_bytes())
        _name_freely(Path(draft), folder, stem)


def _name_freely(draft: Path, folder: Path, stem: str) -> None:
    """Give the draft the first free name: unlike a rename, a link never replaces a file."""
    for number in range(1, 10_000):
        try:
            os.link(draft, folder / f"{stem}-{number}.eml")
        except FileExistsError:
            continue
        break
    draft.unlink()


class _PhasedSMTP(smtplib.SMTP):
    """Knows whether a message's body has begun to leave, which decides what a broken connection means."""

    has_sent_body = False

    def mail(self, sender: str, options: Sequence[str] = ()) -> tuple[int, bytes]:
        self.has_sent_body = False
        return super().mail(sender, options)

    def deliver(self, sender: str, recipient: str, content: bytes) -> None:
        """Send one message to one recipient as ``sendmail`` does, and raise what it does.

        Both addresses are bare. ``content`` is whole lines, none of which begins with a dot, so
        that nothing of it is looked at.
        """
        self.has_sent_body = False
        self.ehlo_or_helo_if_needed()
        size = f" size={len(content)}" if self.has_extn("size") else ""
        mail, rcpt, data = self._ask([f"MAIL FROM:<{sender}>{size}", f"RCPT TO:<{recipient}>", "DATA"])
        if mail[0] != OK:
            refused = smtplib.SMTPSenderRefused(*mail, sender)
            # A server that asks for the message all the same would deliver an empty one.
            raise self._over(refused, NOT_ASKED, code=BYE if data[0] == GO_ON else None)
        if rcpt[0] not in {OK, OK_FORWARDED}:
            raise self._over(smtplib.SMTPRecipientsRefused({recipient: rcpt}), data, code=rcpt[0])
        if data[0] != GO_ON:
            raise self._over(smtplib.SMTPDataError(*data), data)
        self.send(content + b".\r\n")
        if (reply := self.getreply())[0] != OK:
            raise self._over(smtplib.SMTPDataError(*reply), reply)

    def _ask(self, commands: Sequence[str]) -> list[Reply]:
        """Return the reply to each command, in one turn with PIPELINING (RFC 2920), else none after a refusal."""
        at_once = self.has_extn("pipelining")
        if at_once:
            self.send("".join(f"{command}\r\n" for command in commands))
        replies: list[Reply] = []
        for command in commands:
            replies.append(self.getreply() if at_once else self.docmd(command))
            if replies[-1][0] == BYE or (not at_once and replies[-1][0] not in {OK, OK_FORWARDED}):
                break
        return replies + [NOT_ASKED] * (len(commands) - len(replies))

    def _over(self, error: smtplib.SMTPException, last: Reply, code: object = None) -> smtplib.SMTPException:
        """Leave the transaction, or the connection where the server is about to.

        ``last`` is its last reply: one that asks for a message although nobody gets it is given none.
        """
        if last[0] == GO_ON:
            self.docmd(".")
        if (code or getattr(error, "smtp_code", None)) == BYE:
            self.close()
        else:
            self._rset()  # type: ignore[attr-defined]  # what sendmail does
        return error

    def send(self, s: Any) -> None:
        # smtplib writes commands as str and the body as bytes.
        self.has_sent_body = self.has_sent_body or isinstance(s, bytes)
        super().send(s)


class _PhasedSMTPSSL(_PhasedSMTP, smtplib.SMTP_SSL):
    pass


class SmtpBackend(DjangoSmtpBackend):
    """Django's, and it can tell whether the body had begun to leave when something broke.

    A message of ours goes as it was joined, to one recipient; others go Django's way.
    """

    esp_name = "smtp"

    def _send(self, message: EmailMessage) -> bool:
        if not isinstance(message, PreparedMessage) or not isinstance(self.connection, _PhasedSMTP):
            return bool(super()._send(message))  # type: ignore[misc]  # the stubs leave it out
        [recipient] = message.recipients()
        self.connection.deliver(_envelope(message.from_email), _envelope(recipient), message.as_bytes())
        return True

    @property
    def has_sent_body(self) -> bool:
        return bool(getattr(self.connection, "has_sent_body", False))

    @property
    def is_connected(self) -> bool:
        """Whether the next message may go the same way: smtplib closes where the server did, or said that it will."""
        return getattr(self.connection, "sock", None) is not None

    @cached_property
    def connection_class(self) -> type[smtplib.SMTP]:
        return _PhasedSMTPSSL if self.use_ssl else _PhasedSMTP


@functools.lru_cache(maxsize=1024)
def _envelope(address: str) -> str:
    """Return the bare address of a header's; raises ``ValueError`` for what is no address."""
    if PLAIN_ADDRESS.fullmatch(address):
        return address
    return parseaddr(sanitize_address(address, "utf-8"))[1]


# Handing over -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prepared:
    """A mail that is ready to be handed over; ``item`` is its part of a batch's body."""

    message: EmailMessage
    item: Item | None = None

    @property
    def size(self) -> int:
        """Bytes in the body of a batch."""
        return len(self.item.body) if self.item else 0


class Provider:
    """A mail backend, the configured one by default, with one kept connection.

    ``with Provider() as provider: provider.send(message)``
    """

    def __init__(self, backend: str = "") -> None:
        self._backend = backend or settings.EMAIL_BACKEND
        self._connection: BaseEmailBackend | None = None
        self._used_at = self._down_until = float("-inf")
        self._down = Outcome("retry")
        self._moulds: Moulds | None = None
        imported = import_string(self._backend)
        self._is_anymail = issubclass(imported, AnymailBaseBackend)
        esp_name = str(getattr(imported, "esp_name", imported.__module__.rpartition(".")[2]))
        self.name = esp_name.lower()
        self.batch = BATCHES.get(esp_name)
        self.unit_size = self.batch.size if self.batch else 1
        self.unit_bytes = self.batch.max_bytes if self.batch else 0
        self.key_life = self.batch.key_life if self.batch else None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def send(self, message: EmailMessage) -> Outcome:
        """Hand over one message to one recipient; never raises for what the provider did or did not do."""
        if len(message.recipients()) != 1:
            # A message with several recipients shows each of them to the others.
            return Outcome("failed", error=f"the message has {len(message.recipients())} recipients")
        [outcome] = self._call(lambda connection: [_send(connection, message)], 1)
        return outcome

    def prepare(self, message: EmailMessage) -> Prepared:
        """Do whatever can be done before the call; raises what is wrong with the message itself."""
        if len(message.recipients()) != 1:
            raise ValueError(f"the message has {len(message.recipients())} recipients")
        if self.batch is None:
            if isinstance(message, PreparedMessage) and not self._is_anymail:
                message.freeze()
            return Prepared(message)
        try:
            connection = self._connect()
        except Exception:  # noqa: BLE001 - a missing setting is nobody's failure: the call will find and name it
            return Prepared(message)
        self._moulds = self._moulds or Moulds(connection, self.batch)
        return Prepared(message, self._moulds.item(message))

    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]:
        """Hand over a unit of at most ``unit_size`` messages in one call; never raises.

        ``name`` is the key of the call, where the provider takes one. All are *unsent* where a batch
        was refused whole, perhaps for one of its mails: half of it may go.
        """
        batch, asked = self.batch, self._moulds.asked if self._moulds else {}
        if batch is None:
            return [self.send(mail.message) for mail in unit]
        items = [mail.item for mail in unit if mail.item]
        return self._call(lambda connection: batches.post(connection, batch, items, name, asked), len(unit))

    def _call(self, call: Callable[[Any], Sequence[Outcome]], count: int) -> Sequence[Outcome]:
        if time.monotonic() < self._down_until:
            return [self._down] * count
        is_open = False
        try:
            connection = self._open()
            is_open = True
            answered = call(connection)
        except Exception as error:  # noqa: BLE001 - the boundary: whatever a backend raises is these messages' outcome
            answered = [self._failure(error, is_open=is_open, count=count)] * count
        self._used_at = time.monotonic()
        return [outcomes.storable(outcome) for outcome in answered]

    def _connect(self) -> Any:
        if self._connection is None:
            self._connection = get_connection(self._backend)
        return self._connection

    def _open(self) -> BaseEmailBackend:
        if time.monotonic() - self._used_at > IDLE_S:
            self._close()
        connection: BaseEmailBackend = self._connect()
        connection.open()
        if isinstance(session := getattr(connection, "session", None), requests.Session):
            # A redirected POST arrives as a GET, whose answer would say nothing about the mail.
            session.max_redirects = 0
        return connection

    def _failure(self, error: Exception, *, is_open: bool, count: int) -> Outcome:
        has_sent_body = getattr(self._connection, "has_sent_body", None) if is_open else False
        outcome = outcomes.classify(error, has_sent_body=has_sent_body)
        # To be refused one recipient costs no new connection and log-in for the next.
        is_kept = is_open and not outcome.is_general and getattr(self._connection, "is_connected", False)
        if not is_open and outcome.kind == "failed":
            # No mail had been looked at: a region or a password that is not there is nobody's failure.
            outcome = replace(outcome, kind="provider_fault")
        if not is_open or outcomes.is_unreachable(error):
            # The next message would wait for the same time-out.
            self._down, self._down_until = outcome, time.monotonic() + DOWN_S
        if count > 1 and (outcome.kind == "failed" or outcomes.is_too_large(error)):
            outcome = Outcome("unsent", error=outcome.error)
            if outcomes.is_too_large(error):
                self.unit_size = count // 2
        logger.log(
            logging.ERROR if outcome.kind in {"unknown", "provider_fault"} else logging.WARNING,
            "handing over ended as %s: %s",
            outcome.kind,
            outcome.error,
        )
        if not is_kept:
            self._close()
        return outcome

    def _close(self) -> None:
        if self._connection is not None:
            with contextlib.suppress(OSError):  # a broken connection may break once more while it says goodbye
                self._connection.close()


def _send(connection: BaseEmailBackend, message: EmailMessage) -> Outcome:
    if getattr(connection, "esp_name", "") in WITHOUT_METADATA:
        vars(message).pop("metadata", None)
    if not connection.send_messages([message]):
        return Outcome("failed", error="the backend took no message")
    return _receipt(message)


def _receipt(message: EmailMessage) -> Outcome:
    """Read Anymail's receipt, which the other backends do not give."""
    status = getattr(message, "anymail_status", None)
    if status is None:
        return Outcome("accepted")
    if status.status and status.status <= {"rejected", "invalid", "failed"}:
        return Outcome("failed", error=f"the provider says: {', '.join(sorted(status.status))}")
    return Outcome("accepted", provider_message_id=str(status.message_id or ""))
