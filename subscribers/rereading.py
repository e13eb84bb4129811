"""Carry what readers follow over to a new version of the canonical form, from their own wordings.

A migration runs this whenever ``query.VERSION`` rises, so the models are those of its state.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator
from typing import Any

from papers import query

BATCH = 2_000  # follows at once


def reread(apps: Any, schema_editor: Any = None) -> None:  # noqa: ARG001 - the signature of a migration
    """Read every follow of an outdated interest again, and delete those interests.

    Wordings that become equal become one interest; of a reader's follows that become equal a mute
    goes before a star, that before the rest, and then the older stays. A wording that is refused by
    now, since it can be misread, gives way to what it meant: the old canonical form. Raises
    ``QueryError`` with the follow if that cannot be read either: nothing is dropped.
    """
    interests, follows = (apps.get_model("subscribers", name).objects for name in ("Interest", "Follow"))
    outdated = follows.filter(interest__version__lt=query.VERSION).select_related("interest")
    # Moved or deleted, none is found again; those of one interest are moved together.
    while rows := list(outdated.order_by("interest", "pk")[:BATCH]):
        _move(interests, follows, rows)
    interests.filter(version__lt=query.VERSION).delete()


def _move(interests: Any, follows: Any, rows: list[Any]) -> None:
    """Tie ``rows`` to the interests of today's reading."""
    wordings = {row.pk: row.wording for row in rows}
    wanted = [_reworded(row) for row in rows]
    made = _made(interests, set(wanted))
    for row, canonical in zip(rows, wanted, strict=True):
        row.interest_id = made[canonical]
    there = follows.filter(interest__in=made.values(), subscriber__in={row.subscriber_id for row in rows})
    lost = {row.pk for row in _giving_way([*there, *rows])}
    follows.filter(pk__in=lost).delete()
    kept: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        if row.pk not in lost:
            kept[row.interest_id].append(row)
    for interest, group in kept.items():
        follows.filter(pk__in=[row.pk for row in group]).update(interest=interest)
    follows.bulk_update(
        [row for group in kept.values() for row in group if row.wording != wordings[row.pk]], ["wording"]
    )


def _reworded(row: Any) -> str:
    """Return the canonical form of the row's wording, which is changed if it must be."""
    meant = row.interest.canonical
    for wording in (row.wording, meant, meant.lower()):  # in lower case there is no operator in it
        try:
            canonical = query.parse(wording).canonical
        except query.QueryError as error:
            refused = error
        else:
            row.wording = wording
            return canonical
    refused.add_note(f"This is what follow {row.pk} says: {row.wording!r}")
    raise refused


def _made(interests: Any, canonicals: Collection[str]) -> dict[str, int]:
    rows = [interests.model(canonical=canonical, version=query.VERSION) for canonical in sorted(canonicals)]
    interests.bulk_create(rows, ignore_conflicts=True)
    found = interests.filter(version=query.VERSION, canonical__in=canonicals)
    return dict(found.values_list("canonical", "pk"))


def _giving_way(rows: list[Any]) -> Iterator[Any]:
    """Yield the follows that give way to another of the same reader and interest."""
    seen: set[tuple[int, int]] = set()
    for row in sorted(rows, key=lambda row: (not row.is_muted, not row.is_starred, row.pk)):
        tie = (row.subscriber_id, row.interest_id)
        if tie in seen:
            yield row
        seen.add(tie)
