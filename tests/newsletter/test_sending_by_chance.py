"""Whatever providers answer and wherever workers die: nobody gets a mail twice, nobody is forgotten."""

import contextlib
import datetime as dt
import random
from collections import Counter

import pytest
from django.core.mail import EmailMessage

from newsletter.chunks import LEASE, sweep
from newsletter.models import Delivery
from newsletter.sending import deliver_chunk
from subscribers.emails import Outcome
from tests.factories import make_digest, make_edition, make_paper
from tests.newsletter.carriers import OneByOne

pytestmark = pytest.mark.django_db

START = dt.datetime(2026, 7, 8, 7, tzinfo=dt.UTC)
READERS = 8
# What may happen to a message; after those of WENT it may be in the reader's inbox.
ANSWERS = ["accepted"] * 5 + ["failed", "retry", "retry", "unknown", "provider_fault", "killed before", "killed after"]
WENT = {"accepted", "unknown", "killed after"}


class KilledError(Exception):
    """Stands for the end of the process."""


class Provider:
    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.went: Counter[str] = Counter()

    def __call__(self, message: EmailMessage) -> Outcome:
        answer = self.random.choice(ANSWERS)
        self.went[message.to[0]] += answer in WENT
        if answer.startswith("killed"):
            raise KilledError
        return Outcome(answer, error=f"answered {answer}")  # type: ignore[arg-type]  # one of its words


class Clock:
    """The real time of the story, which moves on between the sweeps."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> dt.datetime:
        return self.now


@pytest.mark.parametrize("seed", range(10))
def test_each_reader_gets_at_most_one_mail_and_has_an_outcome(seed):
    edition = make_edition(START.date(), papers=(make_paper(),))
    deliveries = [make_digest(edition, count=1) for _ in range(READERS)]
    provider, clock = Provider(seed), Clock()

    while Delivery.objects.filter(state__in=["pending", "retry", "sending"]).exists():
        assert clock.now < START + dt.timedelta(days=30)
        for chunk_id in sweep(clock.now):
            with contextlib.suppress(KilledError):  # the lease runs out in its own time
                deliver_chunk(chunk_id, clock.now, carriers=[OneByOne(provider)], clock=clock)
        clock.now += provider.random.choice([dt.timedelta(minutes=1), LEASE, dt.timedelta(hours=1)])

    assert max(provider.went.values()) == 1
    for delivery in deliveries:
        delivery.refresh_from_db()
        went = provider.went[delivery.subscriber.email]
        assert delivery.state in {"accepted", "unknown"} if went else delivery.state in {"failed", "unknown"}
