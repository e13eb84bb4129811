"""What stands for the mail provider where a test is about the worker: it answers what it is told."""

import datetime as dt
from collections.abc import Callable, Sequence

from django.core.mail import EmailMessage

from newsletter.batches import Item
from newsletter.providers import Prepared
from subscribers.emails import HandOver, Outcome


class OneByOne:
    """Takes one message a call, and answers what a function makes of it."""

    name, unit_size, unit_bytes = "test", 1, 0
    key_life: dt.timedelta | None = None

    def __init__(self, answer: HandOver) -> None:
        self.answer = answer

    def prepare(self, message: EmailMessage) -> Prepared:
        return Prepared(message)

    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]:  # noqa: ARG002
        return [self.answer(mail.message) for mail in unit]


class Batches:
    """Takes several messages a call, remembers to whom each went, answers what a function makes of the addresses."""

    name, unit_bytes = "test", 10_000_000
    key_life: dt.timedelta | None = None

    def __init__(self, unit_size: int, answer: Callable[[Sequence[str]], Sequence[Outcome]] | None = None) -> None:
        self.unit_size, self.answer = unit_size, answer
        self.calls: list[list[str]] = []

    def prepare(self, message: EmailMessage) -> Prepared:
        return Prepared(message, Item(f"{message.to} {message.body}".encode()))

    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]:
        to = [mail.message.to[0] for mail in unit]
        self.calls.append(to)
        if self.answer:
            return self.answer(to)
        return [Outcome("accepted", f"{name}-{number}") for number in range(len(to))]


class KilledError(Exception):
    """Stands for the end of the process: nothing after it runs."""


class Keyed(Batches):
    """A provider that takes each key once: a known one is answered as before, one with another body is refused.

    ``mails`` are the addresses in the order they were really sent to. ``faults`` come before the calls, one
    each: ``killed before`` or ``killed after`` the provider took the mails, ``lost`` for an answer that did
    not come, or an outcome for all.
    """

    key_life: dt.timedelta | None = dt.timedelta(hours=24)

    def __init__(self, unit_size: int, *faults: str | Outcome) -> None:
        super().__init__(unit_size)
        self.faults, self.keys, self.mails = list(faults), list[str](), list[str]()
        self.taken: dict[str, tuple[list[bytes], list[Outcome]]] = {}

    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]:
        self.keys.append(name)
        fault = self.faults.pop(0) if self.faults else ""
        if isinstance(fault, Outcome):
            return [fault] * len(unit)
        if fault == "killed before":
            raise KilledError
        answer = self._take(unit, name)
        if fault == "killed after":
            raise KilledError
        return [Outcome("unknown", error="read time-out")] * len(unit) if fault == "lost" else answer

    def _take(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]:
        body = [mail.item.body for mail in unit if mail.item]
        if name not in self.taken:
            self.mails += [mail.message.to[0] for mail in unit]
            self.taken[name] = body, [Outcome("accepted", f"{name}-{n}") for n in range(len(unit))]
        known, answer = self.taken[name]
        return answer if known == body else [Outcome("unknown", error="409 another body")] * len(unit)
