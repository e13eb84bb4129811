"""What stands for the mail provider where a test is about the worker: it answers what it is told."""

from collections.abc import Callable, Sequence

from django.core.mail import EmailMessage

from subscribers.emails import HandOver, Outcome


class OneByOne:
    """Takes one message a call, and answers what a function makes of it."""

    unit_size = 1

    def __init__(self, answer: HandOver) -> None:
        self.answer = answer

    def hand_over(self, messages: Sequence[EmailMessage], name: str) -> Sequence[Outcome]:  # noqa: ARG002
        return [self.answer(message) for message in messages]


class Batches:
    """Takes several messages a call, remembers to whom each call went, and answers what a function makes of them."""

    def __init__(self, unit_size: int, answer: Callable[[Sequence[EmailMessage]], Sequence[Outcome]] | None = None):
        self.unit_size, self.answer = unit_size, answer
        self.calls: list[list[str]] = []

    def hand_over(self, messages: Sequence[EmailMessage], name: str) -> Sequence[Outcome]:
        self.calls.append([message.to[0] for message in messages])
        if self.answer:
            return self.answer(messages)
        return [Outcome("accepted", f"{name}-{number}") for number in range(len(messages))]
