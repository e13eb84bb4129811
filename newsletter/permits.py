"""How many mails a provider may be given now, a second and a day: counted for all our processes together."""

import datetime as dt
import functools
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis
from django.conf import settings
from django.db import transaction
from django.db.models import Q

from newsletter.models import ProviderState

logger = logging.getLogger(__name__)

AWAY_S = 30.0  # how long a Redis that did not answer is not asked again
NOTE_EVERY_S = 1.0  # how far the row may be behind Redis with the day's mails
DAY, EPOCH = dt.timedelta(days=1), dt.date(1970, 1, 1)

# One step for all: two workers can never take the same place in the row. Redis's own clock, since
# those of several hosts differ. What is known of a day is from a Redis that lost it since. Answers
# {mails, microseconds to wait, day since 1970, mails given on it}.
TAKE = """
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000000 + tonumber(clock[2])
local wanted, gap, per_day, patience = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local day = math.floor(now / 86400000000)
local used = tonumber(redis.call('GET', KEYS[2] .. day) or '0')
if day == tonumber(ARGV[5]) then used = math.max(used, tonumber(ARGV[6])) end
if per_day > 0 then
  wanted = math.min(wanted, per_day - used)
  if wanted <= 0 then return {0, (day + 1) * 86400000000 - now, day, used} end
end
local start = math.max(now, tonumber(redis.call('GET', KEYS[1]) or '0'))
if start - now > patience then return {0, start - now, day, used} end
if gap > 0 then
  redis.call('SET', KEYS[1], string.format('%.0f', start + wanted * gap), 'PX', 86400000)
end
redis.call('SET', KEYS[2] .. day, used + wanted, 'EX', 172800)
return {wanted, start - now, day, used + wanted}
"""


@dataclass(frozen=True, slots=True)
class Limits:
    """Mails a second and a day, in UTC; 0 is no limit."""

    per_second: float = 0.0
    per_day: int = 0


@dataclass(frozen=True, slots=True)
class Permit:
    """So many mails may go after so many seconds. With ``count`` 0 none may, and none will any sooner."""

    count: int
    wait_s: float = 0.0


class Permits:
    """The permits of one provider."""

    def __init__(self, name: str, limits: Limits, clock: Callable[[], dt.datetime]) -> None:
        self.name, self.limits, self.clock = name, limits, clock
        self._known: tuple[int, int] | None = None  # a day since 1970, and the mails given on it
        self._noted_at = float("-inf")

    def take(self, wanted: int, patience_s: float) -> Permit:
        """Take up to ``wanted`` permits, or none if the wait for them were longer than ``patience_s`` seconds.

        In Redis where there is one; in the row of ``ProviderState`` without, and while Redis is away.
        The day's count goes from one to the other.
        """
        if not self.limits.per_second and not self.limits.per_day:
            return Permit(wanted)
        if settings.REDIS_URL and time.monotonic() > _away_until[0]:
            try:
                return self._take_from_redis(wanted, patience_s)
            except redis.RedisError as error:
                logger.warning("Redis is away, the rate of %s is kept by the database: %s", self.name, error)
                _away_until[0] = time.monotonic() + AWAY_S
        return self._take_from_the_row(wanted, patience_s)

    def _take_from_redis(self, wanted: int, patience_s: float) -> Permit:
        prefix = f"{settings.REDIS_PREFIX}permits:{self.name}:"
        gap_us = 1e6 / self.limits.per_second if self.limits.per_second else 0
        take = _redis(settings.REDIS_URL).register_script(TAKE)
        self._known = self._known or self._noted()
        arguments = [wanted, gap_us, self.limits.per_day, patience_s * 1e6, *self._known]
        count, wait_us, *known = map(int, take(keys=[f"{prefix}free", f"{prefix}day:"], args=arguments))
        self._note(known[0], known[1])
        return Permit(count, wait_us / 1e6)

    def _noted(self) -> tuple[int, int]:
        row = ProviderState.objects.filter(name=self.name).first() if self.limits.per_day else None
        return ((row.day - EPOCH).days, row.day_count) if row and row.day else (0, 0)

    def _note(self, day: int, used: int) -> None:
        """Write the day's mails into the row now and then: a Redis that forgets all must give no second day."""
        self._known = day, used
        if not self.limits.per_day or time.monotonic() - self._noted_at < NOTE_EVERY_S:
            return
        self._noted_at, date = time.monotonic(), EPOCH + day * DAY
        ProviderState.objects.get_or_create(name=self.name)
        is_news = Q(day=None) | Q(day__lt=date) | Q(day=date, day_count__lt=used)
        ProviderState.objects.filter(is_news, name=self.name).update(day=date, day_count=used)

    def _take_from_the_row(self, wanted: int, patience_s: float) -> Permit:
        now, self._known = self.clock(), None
        ProviderState.objects.get_or_create(name=self.name)
        with transaction.atomic():
            row = ProviderState.objects.select_for_update().get(name=self.name)
            used = row.day_count if row.day == now.date() else 0
            if self.limits.per_day:
                wanted = min(wanted, self.limits.per_day - used)
            if wanted <= 0:
                return Permit(0, (_midnight(now) - now).total_seconds())
            start = max(now, row.free_at or now)
            if (start - now).total_seconds() > patience_s:
                return Permit(0, (start - now).total_seconds())
            if self.limits.per_second:
                row.free_at = start + dt.timedelta(seconds=wanted / self.limits.per_second)
            row.day, row.day_count = now.date(), used + wanted
            row.save(update_fields=["free_at", "day", "day_count"])
        return Permit(wanted, (start - now).total_seconds())


def _midnight(now: dt.datetime) -> dt.datetime:
    return dt.datetime.combine(now.date() + DAY, dt.time(), tzinfo=dt.UTC)


_away_until = [float("-inf")]


@functools.cache
def _redis(url: str) -> redis.Redis:
    return redis.Redis.from_url(url, socket_connect_timeout=1, socket_timeout=1)
