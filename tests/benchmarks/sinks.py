"""Where measured mails go: an SMTP server and a provider's HTTP API, in a process whose time nobody counts."""

import asyncio
import json
import re
import subprocess
import sys
from typing import Any, Self

from tests.benchmarks.measure import other_cores

ROOT_MODULE = "tests.benchmarks.sinks"
ANSWERS = {
    b"EHLO": b"250-sink\r\n250-PIPELINING\r\n250 8BITMIME\r\n",
    b"DATA": b"354 go on\r\n",
    b"QUIT": b"221 bye\r\n",
}
taken = {"smtp": 0, "http": 0, "octets": 0}


class _Protocol(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport, self.buffer = transport, bytearray()

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while (answer := self.answer()) is not None:
            self.transport.write(answer)

    def answer(self) -> bytes | None:
        raise NotImplementedError


class Smtp(_Protocol):
    """Takes every mail, and several commands at once, as Postfix, Exim and the large providers do."""

    in_mail = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        transport.write(b"220 sink\r\n")

    def answer(self) -> bytes | None:
        line, found, rest = self.buffer.partition(b"\r\n.\r\n" if self.in_mail else b"\r\n")
        if not found:
            return None
        self.buffer = rest
        taken["smtp"] += self.in_mail
        taken["octets"] += len(line) * self.in_mail
        verb = b"" if self.in_mail else bytes(line[:4]).upper()
        self.in_mail = verb == b"DATA"
        return ANSWERS.get(verb, b"250 ok\r\n")


class Http(_Protocol):
    """Takes every batch as Postmark does: a list of mails, and a list of answers."""

    def answer(self) -> bytes | None:
        head, found, body = self.buffer.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        size = int(length[1]) if length else 0
        if not found or len(body) < size:
            return None
        mails = json.loads(body[:size])
        self.buffer = body[size:]
        taken["http"] += len(mails)
        taken["octets"] += size
        said = [{"ErrorCode": 0, "Message": "OK", "MessageID": f"{n:036d}", "To": m["To"]} for n, m in enumerate(mails)]
        content = json.dumps(said).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(content),
            content,
        )


async def serve() -> None:
    loop = asyncio.get_running_loop()
    servers = {"smtp": Smtp, "http": Http}
    started = {name: await loop.create_server(kind, "127.0.0.1", 0) for name, kind in servers.items()}
    _say({name: server.sockets[0].getsockname()[1] for name, server in started.items()})
    while await loop.run_in_executor(None, sys.stdin.readline):
        _say(taken)


def _say(what: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Sinks:
    """``with Sinks() as sinks``: ``sinks.ports`` and ``sinks.taken()``, each by ``smtp`` and ``http``.

    What was taken is in mails, and in ``octets`` of both together.
    """

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", ROOT_MODULE]
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.ports = self._read()
        return self

    def __exit__(self, *_: object) -> None:
        assert self.process.stdin
        self.process.stdin.close()
        self.process.wait()

    def taken(self) -> dict[str, int]:
        assert self.process.stdin
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, int]:
        assert self.process.stdout
        answer: dict[str, int] = json.loads(self.process.stdout.readline())
        return answer


if __name__ == "__main__":
    other_cores()
    asyncio.run(serve())
