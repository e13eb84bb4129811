"""What stands for the mail provider where a test is about the worker: it answers what it is told."""

from collections.abc import Callable, Sequence

from django.core.mail import EmailMessage

from newsletter.batches import Item
from newsletter.providers import Prepared
from subscribers.emails import HandOver, Outcome


class OneByOne:
    """Takes one message a call, and answers what a function makes of it."""

    name, unit_size, unit_bytes = "test", 1, 0

    def __init__(self, answer: HandOver) -> None:
        self.answer = answer

    def prepare(self, message: EmailMessage) -> Prepared:
        return Prepared(message)

    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]:  # noqa: ARG002
        return [self.answer(mail.message) for mail in unit]


class Batches:
    """Takes several messages a call, remembers to whom each went, answers what a function makes of the addresses."""

    name, unit_bytes = "test", 10_000_000

    def __init__(self, unit_size: int, answer: Callable[[Sequence[str]], Sequence[Outcome]] | None = None) -> None:
        self.unit_size, self.answer = unit_size, answer
        self.calls: list[list[str]] = []

    def prepare(self, message: EmailMessage) -> Prepared:
        return Prepared(message, Item(str(message.body).encode()))

    def hand_over(self, unit: Sequence[Prepared], name: str) -> Sequence[Outcome]:
        to = [mail.message.to[0] for mail in unit]
        self.calls.append(to)
        if self.answer:
            return self.answer(to)
        return [Outcome("accepted", f"{name}-{number}") for number in range(len(to))]
