"""``python -m tests.benchmarks.million_sink READERS FILE``: Postmark's batch API, which shares the morning's cores.

Of a call it reads nothing but whom each mail is to, reader<number>@example.org, and knows how often each
number was mailed. For each line of input it says how many mails there were, and writes the counts, a
byte each, into FILE.
"""

import json
import re
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

TO = b'"To": "reader'
LENGTH = re.compile(rb"(?i)content-length: *(\d+)")
LARGEST = 50_000_000
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
ITEM = b'{"ErrorCode":0,"Message":"OK","MessageID":"%036d","To":"reader%d@example.org"}'


class Sink:
    def __init__(self, readers: int) -> None:
        self.counts = bytearray(readers + 1)
        self.mails = self.octets = 0
        self.lock = threading.Lock()
        self.rooms: list[bytearray] = []

    def serve(self, connection: socket.socket) -> None:
        # A call has a connection of its own, and memory that is new each time took two thirds of its time.
        room = self.rooms.pop() if self.rooms else bytearray(LARGEST)
        with connection, connection.makefile("rb") as calls:
            while size := _size(calls):
                calls.readinto(memoryview(room)[:size])
                connection.sendall(self.answer(list(_numbers(room, size)), size))
        self.rooms.append(room)

    def answer(self, numbers: list[int], size: int) -> bytes:
        with self.lock:
            first, self.mails, self.octets = self.mails, self.mails + len(numbers), self.octets + size
            for number in numbers:
                self.counts[number] += 1
        items = b",".join([ITEM % (first + n, number) for n, number in enumerate(numbers)])
        return HEAD % (len(items) + 2) + b"[" + items + b"]"


def _size(calls: BinaryIO) -> int:
    """Return the length of the next call's body; 0 where there is none."""
    size = 0
    while (line := calls.readline()) not in {b"", b"\r\n"}:
        if found := LENGTH.match(line):
            size = int(found[1])
    return size


def _numbers(room: bytearray, size: int) -> Iterator[int]:
    at = room.find(TO, 0, size)
    while at >= 0:
        start = at + len(TO)
        at = room.find(b"@", start, size)
        yield int(room[start:at])
        at = room.find(TO, at, size)


def main(readers: int, path: Path) -> None:
    sink = Sink(readers)
    server = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=_accept, args=(server, sink), daemon=True).start()
    _say({"port": server.getsockname()[1]})
    for _ in sys.stdin:
        path.write_bytes(sink.counts)
        _say({"mails": sink.mails, "octets": sink.octets})


def _accept(server: socket.socket, sink: Sink) -> None:
    while True:
        connection, _ = server.accept()
        threading.Thread(target=sink.serve, args=(connection,), daemon=True).start()


def _say(what: dict[str, int]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
