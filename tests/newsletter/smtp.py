"""A real SMTP server on a loopback socket, which keeps what it receives and answers as it is told."""

# ruff: noqa: ARG002 - the signatures are aiosmtpd's

import asyncio
from typing import Any, Self

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope, Session


class Handler:
    """Answers 250, or what stands under the phase: ``MAIL``, ``RCPT``, ``DATA``, or an address at RCPT.

    The answer ``close`` breaks the connection off instead.
    """

    def __init__(self) -> None:
        self.replies: dict[str, str] = {}
        self.received: list[Envelope] = []
        self.connections = 0
        self.delay_s = 0.0
        self.has_pipelining = False

    def _reply(self, server: Any, *phases: str) -> str:
        reply = next((self.replies[phase] for phase in phases if phase in self.replies), "250 OK")
        if reply == "close":
            server.transport.abort()
        return reply

    async def handle_EHLO(self, server, session: Session, envelope, hostname, responses):  # noqa: N802
        self.connections += 1
        session.host_name = hostname
        return [responses[0], "250-PIPELINING", *responses[1:]] if self.has_pipelining else responses

    async def handle_MAIL(self, server, session, envelope, address, options):  # noqa: N802
        envelope.mail_from = address
        return self._reply(server, "MAIL")

    async def handle_RCPT(self, server, session, envelope, address, options):  # noqa: N802
        reply = self._reply(server, address, "RCPT")
        if reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return reply

    async def handle_DATA(self, server, session, envelope):  # noqa: N802
        await asyncio.sleep(self.delay_s)
        reply = self._reply(server, "DATA")
        if reply.startswith("250"):
            self.received.append(envelope)
        return reply


class _Controller(Controller):
    def _trigger_server(self) -> None:
        assert isinstance(self.server, asyncio.Server)
        # Bound to port 0; what the kernel chose is known only now.
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


class SmtpServer:
    """``with SmtpServer() as server``: ``server.handler``, ``server.port``."""

    def __init__(self) -> None:
        self.handler = Handler()
        self.controller = _Controller(self.handler, hostname="127.0.0.1", port=0)

    @property
    def port(self) -> int:
        return self.controller.port

    def __enter__(self) -> Self:
        self.controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.controller.stop()
