"""A new sender's first weeks: no more digests of an edition than mailbox providers have got used to."""

import datetime as dt
from collections.abc import Collection
from dataclasses import dataclass

from django.conf import settings
from django.db.models import F, Max, OuterRef, Q, QuerySet, Subquery

from newsletter.models import Delivery, Edition
from subscribers.models import Subscriber

NEWEST = Max("edition__date")
Turn = tuple[dt.date, int]  # the edition of the last mail, and the reader's id: the order of who has waited longest


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Who may get a digest of an edition: as many as WARM_UP_PER_DAY, those longest without one first.

    Whom it leaves out was not told anything, so their papers come with their next digest.
    """

    edition: Edition
    last: Turn | None  # the last one admitted; None: everybody

    def admitted(self, readers: Collection[Subscriber]) -> set[int]:
        """Return the ids of those whose turn it is."""
        if self.last is None:
            return {reader.pk for reader in readers}
        mailed = dict(_mails(self.edition).filter(subscriber__in=readers).values_list("subscriber").annotate(NEWEST))
        return {reader.pk for reader in readers if (mailed.get(reader.pk, dt.date.min), reader.pk) <= self.last}

    def room(self) -> int | None:
        """Return how many more may go, None for any number; right while the caller holds the edition's lock."""
        if self.last is None:
            return None
        used = Delivery.objects.filter(edition=self.edition).exclude(state=Delivery.State.SKIPPED).count()
        return max(0, int(settings.WARM_UP_PER_DAY) - used)


def of(edition: Edition) -> WarmUp:
    """Return the warm-up of an edition.

    The order is that of the morning: what was mailed of the edition itself does not count, so that every
    planner of the day draws the same line, and readers of the late hours wait no longer than those
    of the early ones.
    """
    limit = settings.WARM_UP_PER_DAY
    if not limit:
        return WarmUp(edition, None)
    of_reader = _mails(edition).filter(subscriber=OuterRef("pk")).values("subscriber")
    newest = Subquery(of_reader.annotate(newest=NEWEST).values("newest"))
    readers = Subscriber.objects.active().filter(_is_day_of(edition.date)).annotate(newest=newest)
    ordered = readers.order_by(F("newest").asc(nulls_first=True), "pk").values_list("newest", "pk")
    line = ordered[limit - 1 : limit].first()
    return WarmUp(edition, (line[0] or dt.date.min, line[1]) if line else None)


def _mails(edition: Edition) -> QuerySet[Delivery]:
    return Delivery.objects.filter(state__in=Delivery.SENT, edition__date__lt=edition.date).order_by()


def _is_day_of(date: dt.date) -> Q:
    """Who gets a digest on a day at all, as near as one date says it for all zones."""
    weekly = Q(frequency=Subscriber.Frequency.WEEKLY, weekday=date.weekday())
    daily = Q(frequency=Subscriber.Frequency.DAILY)
    return daily | weekly | Q(frequency=Subscriber.Frequency.WEEKDAYS) if date.weekday() < 5 else daily | weekly
