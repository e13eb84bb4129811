"""From one unit to the next in one statement: it settles the one and marks the other, and is a transaction by itself.

A mail by SMTP is a unit of its own, and what it costs is mostly its trips to the database: two
statements in a transaction are four.
"""

import datetime as dt
from collections import Counter
from collections.abc import Collection

from django.db import connection
from django.db.backends.utils import CursorWrapper

from newsletter import units
from newsletter.models import Delivery
from newsletter.units import Statement, Unit
from papers.bulk import document

# The conditions, and what is written, are those of ``units.SETTLE`` and ``units.MARK``.
_TURN = f"""
UPDATE newsletter_delivery AS d
SET state = r.state, error = COALESCE(r.error, ''), next_attempt_at = r.next_attempt_at,
    attempt = d.attempt - COALESCE(r.refund, 0) + CASE WHEN r.goes IS NULL OR d.unit = %s THEN 0 ELSE 1 END,
    unit = CASE r.goes WHEN 1 THEN %s ELSE d.unit END,
    sending_at = CASE r.goes WHEN 1 THEN %s ELSE d.sending_at END,
    message_id = CASE r.goes WHEN 1 THEN r.message_id ELSE d.message_id END,
    accepted_at = CASE r.goes WHEN 1 THEN d.accepted_at ELSE r.accepted_at END,
    provider_message_id = CASE r.goes WHEN 1 THEN d.provider_message_id ELSE COALESCE(r.provider_message_id, '') END,
    chunk_id = CASE WHEN r.leaves = 1 THEN NULL ELSE d.chunk_id END
FROM {{rows}}
WHERE d.id = r.pk AND CASE r.goes WHEN 1 THEN {units.MAY_GO} ELSE {units.MAY_SETTLE} END
RETURNING id
"""  # noqa: S608 - the conditions are ours
TURN = Statement(_TURN, {**units.SETTLED, **units.GOING, "goes": "int"})
GOES = {"goes": 1, "state": units.State.SENDING}


def is_simple(unit: Unit, deliveries: Collection[Delivery]) -> bool:
    """Say whether one statement can do: no row is in both units."""
    ended = {delivery.pk for delivery in unit.deliveries}
    return ended.isdisjoint(delivery.pk for delivery in deliveries)


class Turns:
    """The turns of one worker, on one cursor: to open one for each took a third of a turn."""

    def __init__(self, owner: str) -> None:
        self.owner = owner
        self._cursor: CursorWrapper | None = None

    def turn(
        self, unit: Unit, deliveries: Collection[Delivery], name: str, now: dt.datetime
    ) -> tuple[Counter[str], set[int]]:
        """Do what ``units.settle`` and ``units.mark`` do, and return what they return; harmless when done twice."""
        changes = units.changed(unit)
        rows = [*changes, *(units.going(delivery) | GOES for delivery in deliveries)]
        cursor = self._open()
        at = str(cursor.db.ops.adapt_datetimefield_value(now))
        written = TURN.run(cursor, [name, name, at, document(rows), name, self.owner, unit.name], len(rows))
        units.name_overtaken(unit, changes, written)
        return units.count(changes, unit.outcomes), written & {delivery.pk for delivery in deliveries}

    def _open(self) -> CursorWrapper:
        """Return the cursor, or another where the connection is another since."""
        cursor = self._cursor
        if cursor is None or cursor.cursor.connection is not cursor.db.connection:
            cursor = self._cursor = connection.cursor()
        return cursor
