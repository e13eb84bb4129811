"""How the sink treats a unit: a seeded choice that does not depend on the order in which units come."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# Of a whole unit. Not taken: throttled, unavailable; taken or not, and nobody can know: error (500), reset,
# truncated, hang. The word after the colon says whether the sink took the mails all the same.
MOODS = {
    *("throttled", "unavailable"),
    *("error:taken", "error:lost", "reset:taken", "reset:lost", "truncated:taken", "hang:taken", "hang:lost"),
}
# What becomes of a mail, as it is posted: once, twice, in the wrong order.
STORIES = [
    ("delivered",),
    ("delivered", "delivered"),
    ("complained", "delivered"),
    ("bounced", "delivered", "bounced"),
]


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to one unit: its answer ('' is a good one), whether it is taken, and after how many seconds."""

    answer: str
    is_taken: bool
    delay_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Shares of units per mood (the rest is good), and the range of the time that an answer takes."""

    seed: int = 0
    shares: tuple[tuple[str, float], ...] = ()
    delay_s: tuple[float, float] = (0.0, 0.0)
    refused: float = 0.0  # the share of addresses that are refused by themselves, in whatever unit
    # Where events are posted, and the share of mails for which that happens before the answer.
    webhooks: str = ""
    events: float = 0.0

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Self:
        """Return the plan that a control request asks for; raises ``ValueError`` for a mood that is none."""
        if unknown := {mood for mood, _ in asked.get("shares", ())} - MOODS:
            raise ValueError(f"no such moods: {unknown}")
        pairs = {"shares": tuple(map(tuple, asked.get("shares", ()))), "delay_s": tuple(asked.get("delay_s", (0, 0)))}
        return cls(**{**asked, **pairs})

    def treatment(self, first: str, attempt: int) -> Treatment:
        """Return what happens to the ``attempt``-th unit whose first mail goes to ``first``."""
        chance = random.Random(f"{self.seed}:{first}:{attempt}")
        delay_s = chance.uniform(*self.delay_s)
        mood = self._mood(chance.random())
        answer, _, fate = mood.partition(":")
        return Treatment(answer, not answer or fate == "taken", delay_s)

    def refuses(self, address: str) -> bool:
        """Say whether there is no such mailbox."""
        return random.Random(f"{self.seed}:mailbox:{address}").random() < self.refused

    def reports(self, address: str) -> tuple[str, ...]:
        """Return the events about a mail in the order of their posting; they are not in that of life."""
        chance = random.Random(f"{self.seed}:events:{address}")
        if chance.random() >= self.events:
            return ()
        return chance.choice(STORIES)

    def _mood(self, number: float) -> str:
        for mood, share in self.shares:
            if number < share:
                return mood
            number -= share
        return ""
