"""How the sink treats a unit: a seeded choice that does not depend on the order in which units come."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

# Of a whole unit. Taken: slow. Not taken: throttled, unavailable, denied (our key is), early (the connection ends
# before the body; by SMTP alone); taken or not, and nobody can know: error (500), reset, truncated, hang. The word
# after the colon says whether the sink took the mails all the same.
MOODS = {
    *("slow", "throttled", "unavailable", "denied", "early"),
    *("error:taken", "error:lost", "reset:taken", "reset:lost", "truncated:taken", "hang:taken", "hang:lost"),
}
# What one protocol cannot say is said in the other's way.
INSTEAD = {"smtp": {"error": "reset"}, "http": {"early": "unavailable"}}
SLOW_S = 1.0  # half of a sender's patience
# What becomes of a mail, as it is posted: once, twice, in the wrong order.
STORIES = [
    ("delivered",),
    ("delivered", "delivered"),
    ("complained", "delivered"),
    ("bounced", "delivered", "bounced"),
]


def fault(mood: str, provider: str) -> tuple[str, bool]:
    """Return what a provider's mood comes to: its answer ('' is a good one), and whether it takes the mails."""
    answer, _, fate = mood.partition(":")
    if answer in {"", "slow"}:
        return "", True
    return INSTEAD["smtp" if provider == "smtp" else "http"].get(answer, answer), fate == "taken"


@dataclass(frozen=True, slots=True)
class Treatment:
    """What happens to one unit: its answer, whether it is taken, and after how many seconds it is answered."""

    answer: str
    is_taken: bool
    delay_s: float


@dataclass(frozen=True, slots=True)
class Plan:
    """Shares of units per mood (the rest is good), and the range of the time that an answer takes.

    Before that two of three units are treated in one of the moods of ``each``, so that none is left out.
    """

    seed: int = 0
    shares: tuple[tuple[str, float], ...] = ()
    delay_s: tuple[float, float] = (0.0, 0.0)
    each: tuple[str, ...] = ()
    provider: str = ""  # who is in these moods; the others are in none. '' for all of them
    is_down: bool = False  # it takes no connections, and has ended those that it had
    refused: float = 0.0  # the share of addresses that are refused by themselves, in whatever unit
    # Where events are posted, and the share of mails for which that happens before the answer.
    webhooks: str = ""
    events: float = 0.0
    anonymous: float = 0.0  # the share of those events that do not give back the id that we gave the mail

    @classmethod
    def of(cls, asked: Mapping[str, Any]) -> Self:
        """Return the plan that a control request asks for; raises ``ValueError`` for a mood that is none."""
        lists = {name: tuple(asked.get(name, ())) for name in ("shares", "each", "delay_s")}
        shares = tuple((mood, share) for mood, share in lists["shares"])
        if unknown := {*lists["each"], *(mood for mood, _ in shares)} - MOODS:
            raise ValueError(f"no such moods: {unknown}")
        return cls(**{**asked, **lists, "shares": shares, "delay_s": lists["delay_s"] or (0.0, 0.0)})

    def shuts(self, provider: str) -> bool:
        """Say whether a provider takes no connections."""
        return self.is_down and self.is_about(provider)

    def is_about(self, provider: str) -> bool:
        return self.provider in {"", provider}

    def treatment(self, first: str, attempt: int, number: int = 0, provider: str = "") -> Treatment:
        """Return what happens to the ``attempt``-th unit whose first mail goes to ``first``, ``number``-th of all."""
        chance = random.Random(f"{self.seed}:{first}:{attempt}")
        delay_s = chance.uniform(*self.delay_s)
        mood = self._mood(chance.random(), number, provider)
        answer, is_taken = fault(mood, provider)
        return Treatment(answer, is_taken, SLOW_S if mood == "slow" else delay_s)

    def refuses(self, address: str) -> bool:
        """Say whether there is no such mailbox."""
        return random.Random(f"{self.seed}:mailbox:{address}").random() < self.refused

    def reports(self, address: str) -> tuple[str, ...]:
        """Return the events about a mail in the order of their posting; they are not in that of life."""
        chance = random.Random(f"{self.seed}:events:{address}")
        if chance.random() >= self.events:
            return ()
        return chance.choice(STORIES)

    def is_anonymous(self, address: str) -> bool:
        """Say whether the events about a mail name it by the provider's id alone."""
        return random.Random(f"{self.seed}:anonymous:{address}").random() < self.anonymous

    def _mood(self, chance: float, number: int, provider: str) -> str:
        if not self.is_about(provider):
            return ""
        if self.is_down:
            return "reset:lost"
        if number % 3 and (place := number - 1 - number // 3) < len(self.each):
            return self.each[place]
        for mood, share in self.shares:
            if chance < share:
                return mood
            chance -= share
        return ""
