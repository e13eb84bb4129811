"""From one unit to the next in one statement: it settles the one and marks the other, and is a transaction by itself.

A mail by SMTP is a unit of its own, and what it costs is mostly its trips to the database: two
statements in a transaction are four.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection

from django.db import connection

from newsletter import units
from newsletter.models import Delivery
from newsletter.units import Unit
from papers.bulk import document

# The conditions, and what is written, are those of ``units.SETTLE`` and ``units.MARK``.
TURN = f"""
UPDATE newsletter_delivery AS d
SET state = r.state, error = r.error, next_attempt_at = r.next_attempt_at,
    attempt = d.attempt - r.refund + CASE WHEN r.goes = 0 OR d.unit = %s THEN 0 ELSE 1 END,
    unit = CASE r.goes WHEN 1 THEN %s ELSE d.unit END,
    sending_at = CASE r.goes WHEN 1 THEN %s ELSE d.sending_at END,
    message_id = CASE r.goes WHEN 1 THEN r.message_id ELSE d.message_id END,
    accepted_at = CASE r.goes WHEN 1 THEN d.accepted_at ELSE r.accepted_at END,
    provider_message_id = CASE r.goes WHEN 1 THEN d.provider_message_id ELSE '' END,
    chunk_id = CASE WHEN r.leaves = 1 THEN NULL ELSE d.chunk_id END
FROM {{rows}}
WHERE d.id = r.pk AND CASE r.goes WHEN 1 THEN {units.MAY_GO} ELSE {units.MAY_SETTLE} END
RETURNING id
"""  # noqa: S608 - the conditions are ours
COLUMNS = {"pk": "bigint", "goes": "int", "state": "text", "error": "text", "accepted_at": "timestamptz"}
COLUMNS |= {"next_attempt_at": "timestamptz", "refund": "int", "leaves": "int"}
COLUMNS |= {"email": "text", "address_hash": "text", "message_id": "text"}
GOES = {"goes": 1, "state": units.State.SENDING, "error": "", "refund": 0, "leaves": 0}


def is_simple(unit: Unit, deliveries: Collection[Delivery]) -> bool:
    """Say whether one statement can do: no row is in both units, and the provider gave no names."""
    ended = {delivery.pk for delivery in unit.deliveries}
    is_named = any(outcome.provider_message_id for outcome in unit.outcomes)
    return not is_named and ended.isdisjoint(delivery.pk for delivery in deliveries)


def turn(
    unit: Unit, deliveries: Collection[Delivery], owner: str, name: str, now: dt.datetime
) -> tuple[Counter[str], set[int]]:
    """Do what ``units.settle`` and ``units.mark`` do, and return what they return; harmless when done twice."""
    changes = units.changed(unit)
    rows = [*({**change, "goes": 0} for change in changes), *({**units.going(each), **GOES} for each in deliveries)]
    at = str(connection.ops.adapt_datetimefield_value(now))
    written = units.update(TURN, COLUMNS, [name, name, at, document(rows), name, owner, unit.name])
    return units.count(changes, unit.outcomes), written & {delivery.pk for delivery in deliveries}
