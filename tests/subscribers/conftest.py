"""The border of this package: where messages are handed over."""

from dataclasses import dataclass, field

import pytest
from django.core.mail import EmailMessage

from subscribers.emails import Outcome


@dataclass
class Provider:
    """Takes messages as a provider would; answers with the outcomes it was given, then accepts."""

    outcomes: list[Outcome] = field(default_factory=list)
    messages: list[EmailMessage] = field(default_factory=list)

    def __call__(self, message: EmailMessage) -> Outcome:
        self.messages.append(message)
        return self.outcomes.pop(0) if self.outcomes else Outcome("accepted", f"provider-{len(self.messages)}")

    @property
    def addresses(self) -> list[str]:
        return [address for message in self.messages for address in message.to]


@pytest.fixture
def provider() -> Provider:
    return Provider()
