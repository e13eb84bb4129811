"""Turns: one request at a time and one in so many seconds, over all our processes and hosts.

arXiv asks for one request every three seconds and one connection, "over all machines you
control". The turn is kept where every process sees it: in Redis if there is one, in the database
otherwise. Its clock is theirs, so that no host's own clock counts.
"""

import datetime as dt
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import redis
from django.conf import settings
from django.db.models import Q
from django.db.models.functions import Now

from papers.models import SourceState
from papers.sources.client import LONGEST_ANSWER_S, SourceError

# A holder that died gives its turn back by this: longer than any request may take.
LEASE_S = LONGEST_ANSWER_S + 30.0
LOOK_AGAIN_S = 0.2  # while somebody holds the turn


class Turns(Protocol):
    """Where the turns of one source are kept; each object is one holder."""

    def take(self) -> float:
        """Return 0 if the turn is ours now, else the seconds (> 0) after which to try again."""
        ...

    def give_back(self) -> None:
        """Let the next one have the turn after a pause.

        The pause begins here and not when the turn was taken: a request that was long on its way
        would else be followed too soon by one that was not.
        """
        ...


class Pace:
    """Lets one request through at a time; ``turns`` say when."""

    def __init__(self, turns: Turns) -> None:
        self.turns = turns

    @contextmanager
    def turn(self, longest_wait_s: float) -> Iterator[None]:
        """Hold the turn; raise ``SourceError`` if it is not ours after ``longest_wait_s``."""
        give_up_at = time.monotonic() + longest_wait_s
        while wait_s := self.turns.take():
            if time.monotonic() + wait_s > give_up_at:
                raise SourceError("it was not our turn in time: another process of ours is busy with this source")
            time.sleep(wait_s)
        try:
            yield
        finally:
            self.turns.give_back()


def pace_of(source: str, seconds_between: float) -> Pace | None:
    """Return what every client of ``source`` must share, None for a source that asks for no such thing."""
    if not seconds_between:
        return None
    if settings.REDIS_URL:
        return Pace(RedisTurns(source, seconds_between, settings.REDIS_URL, settings.REDIS_PREFIX))
    return Pace(DatabaseTurns(source, seconds_between))


class DatabaseTurns:
    """One row; whoever's conditional UPDATE changes it has the turn."""

    def __init__(self, source: str, seconds_between: float, lease_s: float = LEASE_S) -> None:
        self.source = source
        self.between = dt.timedelta(seconds=seconds_between)
        self.lease = dt.timedelta(seconds=lease_s)
        self.holder = secrets.token_hex(16)

    def take(self) -> float:
        SourceState.objects.get_or_create(source=self.source)
        is_free = Q(turn_holder="") | Q(turn_ends_at__lte=Now())
        is_rested = Q(next_turn_at=None) | Q(next_turn_at__lte=Now())
        taken = SourceState.objects.filter(is_free, is_rested, source=self.source).update(
            turn_holder=self.holder, turn_ends_at=Now() + self.lease, next_turn_at=Now() + self.between
        )
        return 0.0 if taken else self._wait_s()

    def _wait_s(self) -> float:
        """Return how long the pause lasts, so that a waiter does not write ten times a second."""
        found = SourceState.objects.filter(source=self.source).annotate(now=Now()).values_list("next_turn_at", "now")
        next_turn_at, now = found.get()
        return max(LOOK_AGAIN_S, (next_turn_at - now).total_seconds()) if next_turn_at else LOOK_AGAIN_S

    def give_back(self) -> None:
        ours = SourceState.objects.filter(source=self.source, turn_holder=self.holder)
        ours.update(turn_holder="", next_turn_at=Now() + self.between)


class RedisTurns:
    """Two keys that expire: the turn itself, and the pause after it."""

    # Returns 0: taken; > 0: milliseconds of pause that are left; -1: somebody holds the turn.
    TAKE = """
        local pause = redis.call('PTTL', KEYS[2])
        if pause > 0 then return pause end
        if not redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return -1 end
        redis.call('SET', KEYS[2], '', 'PX', ARGV[3])
        return 0
    """
    GIVE_BACK = """
        if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
        redis.call('SET', KEYS[2], '', 'PX', ARGV[2])
        return redis.call('DEL', KEYS[1])
    """

    def __init__(self, source: str, seconds_between: float, url: str, prefix: str, lease_s: float = LEASE_S) -> None:
        self.client = redis.Redis.from_url(url, socket_connect_timeout=2, socket_timeout=5)
        self.keys = [f"{prefix}turn:{source}", f"{prefix}pause:{source}"]
        self.lease_ms = round(lease_s * 1000)
        self.between_ms = round(seconds_between * 1000)
        self.holder = secrets.token_hex(16)

    def take(self) -> float:
        answer = self._run(self.TAKE, self.holder, self.lease_ms, self.between_ms)
        return answer / 1000 if answer >= 0 else LOOK_AGAIN_S

    def give_back(self) -> None:
        self._run(self.GIVE_BACK, self.holder, self.between_ms)

    def _run(self, script: str, *arguments: str | int) -> int:
        """Run a script; without Redis nobody knows whose turn it is, and no request goes out."""
        try:
            return int(self.client.eval(script, len(self.keys), *self.keys, *arguments) or 0)
        except redis.RedisError as error:
            raise SourceError(f"Redis, which keeps the turns, does not answer: {error}", is_temporary=True) from error
