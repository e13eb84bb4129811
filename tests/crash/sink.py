"""A mail provider as a process of its own: SMTP and four HTTP APIs, in the mood that it is told, remembering all.

``python -m tests.crash.sink RECORD`` prints its ports as JSON, and is told its plans on standard input. A
line is on the disk of RECORD before the sender hears of it, so the record is what really went, whoever
dies afterwards.
"""

import asyncio
import base64
import contextlib
import hashlib
import itertools
import json
import os
import socket
import struct
import sys
import threading
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from email.parser import BytesHeaderParser
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller

from tests.crash.apis import APIS, BROKEN, Api, Mail, Taken
from tests.crash.moods import Plan, Treatment

WEBHOOK_SECRET = "crash:made-up"
HANG_S = 60.0  # above any sender's patience
LATE_S = 1.5  # a sender may have given up by then, where this machine has much else to do
# By SMTP before the body, and after it.
AT_RCPT = {"early": "", "denied": "530 5.7.0 who are you", "throttled": "451 4.7.1 slow down"}
AT_END = {"unavailable": "421 4.3.2 later", "refused": "550 5.1.1 no such mailbox"}


@dataclass(frozen=True, slots=True)
class Call:
    """One unit that a provider is given, and how it is treated."""

    provider: str
    number: int
    treatment: Treatment
    began: float = field(default_factory=time.monotonic)


class Book:
    """The record, and the plan that decides how the next unit is treated."""

    def __init__(self, path: Path) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.lock = threading.Lock()
        self.plan = Plan()
        self.numbers = itertools.count(1)  # of all calls
        self.planned = itertools.count(1)  # of those of this plan
        self.attempts: Counter[str] = Counter()
        self.answers: dict[str, tuple[str, Any]] = {}  # by idempotency key: the body's digest, the first answer

    def follow(self, plan: Plan) -> None:
        with self.lock:
            self.plan, self.planned = plan, itertools.count(1)

    def call(self, provider: str, first: str) -> Call:
        """Return how a unit is treated whose first mail goes to ``first``."""
        with self.lock:
            self.attempts[first] += 1
            of_plan = next(self.planned) if self.plan.is_about(provider) else 0
            treatment = self.plan.treatment(first, self.attempts[first], of_plan, provider)
            return Call(provider, next(self.numbers), treatment)

    def take(self, call: Call, mails: Sequence[Mail], *, is_all_or_none: bool = False) -> list[Taken]:
        """Write a unit down as its mood wants it; return how each mail is answered: all alike, but for refusals."""
        treatment = call.treatment
        nobody = {mail.address for mail in mails if self.plan.refuses(mail.address)}
        if is_all_or_none and nobody:
            # It looks at the addresses first.
            nobody, treatment = {mail.address for mail in mails}, replace(treatment, answer="")
        # Nobody's mailbox takes a mail, whatever is said of the whole unit.
        not_taken = replace(treatment, answer=treatment.answer or "refused", is_taken=False)
        of = {mail.address: not_taken if mail.address in nobody else treatment for mail in mails}
        taken = [Taken(mail, of[mail.address], uuid.uuid4().hex) for mail in mails]
        said = {"call": call.number, "provider": call.provider}
        self.write(said | {"refused": each.mail.address in nobody} | as_line(each) for each in taken)
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(partial(self._report, can_be_anonymous=call.provider != "smtp"), taken))
        return taken

    def note_if_late(self, call: Call) -> None:
        """Note an answer that may come too late, so that nobody can know whether it was heard."""
        if time.monotonic() - call.began > LATE_S:
            self.write([{"late": call.number}])

    def write(self, lines: Any) -> None:
        """Append the lines to the disk, in one piece."""
        os.write(self.file, "".join(json.dumps(line) + "\n" for line in lines).encode())
        os.fsync(self.file)

    def _report(self, taken: Taken, *, can_be_anonymous: bool) -> None:
        """Post the plan's events about a mail, which the sender does not know yet to be taken."""
        is_anonymous = can_be_anonymous and self.plan.is_anonymous(taken.mail.address)
        for kind in self.plan.reports(taken.mail.address) if taken.treatment.is_taken else ():
            post(self.plan.webhooks, event(kind, taken.mail, taken.provider_id, is_anonymous=is_anonymous))
            self.write([{"event": kind, "address": taken.mail.address, "is_anonymous": is_anonymous}])


def as_line(taken: Taken) -> dict[str, object]:
    """Return a mail as it stands in the record."""
    return {
        "address": taken.mail.address,
        "opaque_id": taken.mail.opaque_id,
        "provider_message_id": taken.provider_id,
        "answer": taken.treatment.answer,
        "stored": taken.treatment.is_taken,
    }


def event(kind: str, mail: Mail, provider_id: str, *, is_anonymous: bool) -> dict[str, object]:
    """Return an event as Postmark posts it; an anonymous one names the mail by the provider's id alone."""
    at = "2026-01-01T00:00:00Z"  # the same event twice has the same time
    of: dict[str, object] = {"MessageID": provider_id, "Metadata": {} if is_anonymous else {"id": mail.opaque_id}}
    if kind == "delivered":
        return of | {"RecordType": "Delivery", "Recipient": mail.address, "DeliveredAt": at}
    number = int(hashlib.sha256(f"{kind}{mail.opaque_id}".encode()).hexdigest()[:12], 16)
    word = {"bounced": "HardBounce", "complained": "SpamComplaint"}[kind]
    record = {"bounced": "Bounce", "complained": "SpamComplaint"}[kind]
    return of | {"RecordType": record, "Type": word, "Email": mail.address, "BouncedAt": at, "ID": number}


def post(url: str, body: object) -> None:
    """Post to our own web server until it takes it, as providers do."""
    authorisation = base64.b64encode(WEBHOOK_SECRET.encode()).decode()
    headers = {"Content-Type": "application/json", "Authorization": f"Basic {authorisation}"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - loopback
    for attempt in range(60):
        with contextlib.suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            answer.read()
            return
        time.sleep(min(1, 0.1 * attempt))
    raise TimeoutError(f"{url} takes no events")


# SMTP -------------------------------------------------------------------------------------------


class SmtpHandler:
    """aiosmtpd's hooks; a connection that is broken off is aborted, so that the client sees a reset."""

    def __init__(self, book: Book) -> None:
        self.book = book

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):  # noqa: ARG002, N802
        session.call = call = self.book.call("smtp", address)
        answer = call.treatment.answer
        if answer in AT_RCPT:
            self.book.take(call, [Mail(address, "")])
        if answer == "early":
            server.transport.abort()
        envelope.rcpt_tos.append(address)
        return AT_RCPT.get(answer, "250 OK")

    async def handle_DATA(self, server, session, envelope):  # noqa: N802 - aiosmtpd's signature
        message_id = BytesHeaderParser().parsebytes(envelope.content)["Message-ID"]
        mail = Mail(envelope.rcpt_tos[0], message_id.strip("<>").partition("@")[0])
        loop = asyncio.get_running_loop()
        [taken] = await loop.run_in_executor(None, lambda: self.book.take(session.call, [mail]))
        treatment = taken.treatment
        await asyncio.sleep(HANG_S if treatment.answer == "hang" else treatment.delay_s)
        await loop.run_in_executor(None, lambda: self.book.note_if_late(session.call))
        if treatment.answer == "truncated":
            server.transport.write(b"25")
        if treatment.answer in {"reset", "truncated"}:
            (server.transport.close if treatment.answer == "truncated" else server.transport.abort)()
        return AT_END.get(treatment.answer, "250 OK")


class SmtpController(Controller):
    def _trigger_server(self) -> None:
        # Bound to port 0; what the kernel chose is known only now.
        self.port = self.server.sockets[0].getsockname()[1]  # type: ignore[union-attr]
        super()._trigger_server()

    def shut(self, *, is_shut: bool) -> None:
        """Take connections or take none; those that are there go on."""
        if is_shut:
            self.loop.call_soon_threadsafe(self.server.close)  # type: ignore[union-attr]
        else:
            self.server = asyncio.run_coroutine_threadsafe(self._open(), self.loop).result()

    async def _open(self) -> asyncio.AbstractServer:
        return await self._create_server()


# HTTP -------------------------------------------------------------------------------------------


class HttpHandler(BaseHTTPRequestHandler):
    """The send calls of the provider that the server stands for."""

    protocol_version = "HTTP/1.1"
    server: "HttpServer"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        asked, api, book = json.loads(body), APIS[self.server.provider], self.server.book
        key, digest = api.key(asked, dict(self.headers)), hashlib.sha256(body).hexdigest()
        if key in book.answers and not book.plan.shuts(self.server.provider):
            return self._answer(*self._again(api, key, digest))
        return self._take(api, asked, key, digest)

    def _take(self, api: Api, asked: Any, key: str, digest: str) -> None:
        """Take the mails of a call; its key stands for the first answer from the moment that they are taken."""
        book, mails = self.server.book, [api.read(item) for item in api.items(asked)]
        call = book.call(self.server.provider, mails[0].address)
        taken = book.take(call, mails, is_all_or_none=api.is_all_or_none)
        status, said = api.said(asked, taken)
        if key and any(each.treatment.is_taken for each in taken):
            book.answers[key] = (digest, api.good(asked, taken))
        treatment = taken[0].treatment
        if treatment.answer in BROKEN:
            return self._break(treatment, json.dumps(said).encode())
        time.sleep(treatment.delay_s)
        book.note_if_late(call)
        return self._answer(status, said)

    def _again(self, api: Api, key: str, digest: str) -> tuple[int, Any]:
        """Answer a call whose key was used before: as then, or as the API refuses another body."""
        first, said = self.server.book.answers[key]
        self.server.book.write([{"replayed" if digest == first else "conflict": key}])
        if digest != first:
            return 409, {"name": "invalid_idempotent_request", "message": "This key was used with another body."}
        return api.again(said)

    def _break(self, treatment: Treatment, good: bytes) -> None:
        """End the connection where the mood wants it: without a word, in the middle of the answer, or never."""
        self.close_connection = True
        if treatment.answer == "hang":
            time.sleep(HANG_S)
        if treatment.answer == "truncated":
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(good)}\r\n\r\n"
            self.wfile.write(head.encode() + good[: len(good) // 2])
        else:
            # With a linger of 0 the kernel sends RST instead of FIN.
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            os.close(self.connection.detach())

    def _answer(self, status: int, said: object) -> None:
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the standard library's name
        """Keep quiet."""


class HttpServer(ThreadingHTTPServer):
    """Stands for a provider while it takes connections."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, provider: str, book: Book, port: int = 0) -> None:
        super().__init__(("127.0.0.1", port), HttpHandler)
        self.provider, self.book = provider, book
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def shut(self) -> None:
        """Take no more connections, but those that wait to be taken."""
        self.shutdown()
        self.timeout = 0
        self.handle_request()
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Keep quiet about senders that die: it is what they are here for."""
        if not isinstance(sys.exception(), OSError):
            super().handle_error(request, client_address)


class Doors:
    """The ports of all providers; they stay the same when a door is shut and opened again."""

    def __init__(self, book: Book) -> None:
        self.book, self.shut = book, set[str]()
        self.smtp = SmtpController(SmtpHandler(book), hostname="127.0.0.1", port=0)
        self.smtp.start()
        self.http = {name: HttpServer(name, book) for name in APIS}
        self.ports = {"smtp": self.smtp.port} | {name: door.server_port for name, door in self.http.items()}

    def follow(self, plan: Plan) -> None:
        """Do as a plan says from now on."""
        self.book.follow(plan)
        for name in self.ports:
            if plan.shuts(name) != (name in self.shut):
                self._turn(name, is_shut=plan.shuts(name))

    def _turn(self, name: str, *, is_shut: bool) -> None:
        (self.shut.add if is_shut else self.shut.remove)(name)
        if name == "smtp":
            self.smtp.shut(is_shut=is_shut)
        elif is_shut:
            self.http[name].shut()
        else:
            self.http[name] = HttpServer(name, self.book, self.ports[name])


def main() -> None:
    """Serve, and follow the plans that standard input brings, a line of JSON each; a line says that it is done."""
    doors = Doors(Book(Path(sys.argv[1])))
    print(json.dumps(doors.ports), flush=True)  # noqa: T201
    for line in sys.stdin:
        doors.follow(Plan.of(json.loads(line)))
        print(flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
