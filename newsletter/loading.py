"""Reads the deliveries of a chunk, with all that their mails are made of, in half the time that their models take."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
from django.db.models import Model, QuerySet, TextField
from django.db.models.base import ModelState
from django.db.models.functions import Cast

from newsletter.models import Delivery, DeliveryPicks
from subscribers.models import Subscriber

M = TypeVar("M", bound=Model)

# What a mail and its outcome need; anything else is read when it is asked for, with a query for each row.
DELIVERY = ["id", "edition_id", "subscriber_id", "covers_from", "local_date", "state", "attempt", "may_have_gone"]
DELIVERY += ["token", "created_at"]
SUBSCRIBER = ["id", "email", "language", "frequency", "hour", "timezone", "unsubscribe_token"]
PICKS = ["delivery_id", "form", "paper_ids", "counts"]
# In this order; what is last is the evidence, which stays text until the mail is made.
NAMES = [*DELIVERY, *(f"subscriber__{name}" for name in SUBSCRIBER), *(f"picks__{name}" for name in PICKS)]
EVIDENCE = Cast("picks__details", TextField())


def deliveries(rows: QuerySet[Delivery]) -> list[Delivery]:
    """Return deliveries of one edition, each with its reader and its picks; their edition is one row.

    The details of the picks are there within ``unfolded`` alone: as objects those of 500 readers are
    20 MB, and take twice as long to make than one after the other.
    """
    read = [_delivery(row, rows.db) for row in rows.values_list(*NAMES, EVIDENCE)]
    for delivery in read:
        Delivery.edition.field.set_cached_value(delivery, read[0].edition)
    return read


@contextmanager
def unfolded(delivery: Delivery) -> Iterator[None]:
    """Have the details of a delivery's picks there meanwhile; raises ``ObjectDoesNotExist`` where it has none."""
    picks: Any = delivery.picks
    picks.details = orjson.loads(picks.evidence)
    try:
        yield
    finally:
        del picks.details


def _delivery(row: Sequence[Any], db: str) -> Delivery:
    """Return a row's delivery, whose picks do not name it: that would keep both until garbage is looked for."""
    first, second = len(DELIVERY), len(DELIVERY) + len(SUBSCRIBER)
    delivery = _instance(Delivery, DELIVERY, row[:first], db)
    Delivery.subscriber.field.set_cached_value(delivery, _instance(Subscriber, SUBSCRIBER, row[first:second], db))
    picks = None
    if row[second]:
        picks = _instance(DeliveryPicks, [*PICKS, "evidence"], row[second:], db)
    DeliveryPicks.delivery.field.remote_field.set_cached_value(delivery, picks)
    return delivery


def _instance(model: type[M], names: Sequence[str], values: Sequence[Any], db: str) -> M:
    """Return what ``from_db`` does, without asking each of a model's fields: that took half of the reading."""
    instance = model.__new__(model)
    instance.__dict__.update(zip(names, values, strict=True))
    instance._state = ModelState()
    instance._state.adding, instance._state.db = False, db
    return instance
