"""What a reader asked for: distinct queries, shared by all who follow them in their own words."""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import Exists, OuterRef
from django.utils.translation import gettext_lazy

from papers import bulk, query
from subscribers.models import MAX_FOLLOWS, Follow, Interest, Subscriber
from subscribers.selection import Wish
from subscribers.votes import blamed

# What a thumb down about an interest leaves of its weight: a judgement, three halve it and a bit more.
BLAMED = 0.75

TOO_MANY = gettext_lazy("That is more than 50 interests and mutes together; leave some out.")


def follow(subscriber: Subscriber, wording: str, *, is_muted: bool = False, is_starred: bool = False) -> Follow:
    """Let the reader follow what ``wording`` asks for; the same query in new words replaces the old words.

    Raises ``QueryError`` for a wording that cannot be read, ``ValidationError`` above 50 follows.
    """
    canonical = _canonical(wording, is_muted=is_muted)
    with transaction.atomic():
        _lock(subscriber)
        if subscriber.follows.exclude(interest__canonical=canonical).count() >= MAX_FOLLOWS:
            raise ValidationError(TOO_MANY)
        flags = {"is_muted": is_muted, "is_starred": is_starred and not is_muted}
        interest = shared_interests([canonical])[canonical]
        return subscriber.follows.update_or_create(interest=interest, defaults={"wording": wording, **flags})[0]


def unfollow(subscriber: Subscriber, wording: str) -> bool:
    """Let the reader no longer follow, or mute, what ``wording`` asks for; False where they did not."""
    canonical = query.parse(wording).canonical
    with transaction.atomic():
        _lock(subscriber)
        count, _ = subscriber.follows.filter(interest__canonical=canonical).delete()
    delete_orphans([canonical])
    return bool(count)


def replace_follows(
    subscriber: Subscriber, interests: Iterable[str], mutes: Iterable[str], starred: Collection[str]
) -> set[str]:
    """Make these the reader's follows, in this order; ``starred`` names wordings of ``interests``.

    Of two wordings of one query the first stays, starred if either is, and a mute goes before an
    interest. The weight of a query that stays is kept. Returns the canonical queries that were given up, for
    ``delete_orphans``: a sign-up leaves them, to take no longer for who had interests before.
    Raises as ``follow`` does, and changes nothing then.
    """
    muted = _by_canonical(mutes, is_muted=True)
    interests = list(interests)
    wanted = _by_canonical(interests) | muted
    stars = _by_canonical(wording for wording in interests if wording in starred).keys() - muted.keys()
    if len(wanted) > MAX_FOLLOWS:
        raise ValidationError(TOO_MANY)
    with transaction.atomic():
        _lock(subscriber)
        weights = dict(subscriber.follows.values_list("interest__canonical", "weight"))
        subscriber.follows.all().delete()
        shared = shared_interests(wanted)
        Follow.objects.bulk_create(
            Follow(
                subscriber=subscriber,
                interest=shared[canonical],
                wording=wording,
                weight=weights.get(canonical, 1.0),
                is_muted=canonical in muted,
                is_starred=canonical in stars,
            )
            for canonical, wording in wanted.items()
        )
    return weights.keys() - wanted.keys()


def shared_interests(canonicals: Iterable[str]) -> dict[str, Interest]:
    """Return the row of each canonical query, made where there is none; inside a transaction.

    The upsert also locks the rows until the transaction ends, so that ``delete_orphans`` cannot
    take one away before its new follower is written. Sorted, so that two transactions that
    share some rows wait for each other instead of dead-locking.
    """
    rows = Interest.objects.bulk_create(
        [Interest(canonical=canonical, version=query.VERSION) for canonical in sorted(set(canonicals))],
        update_conflicts=True,
        unique_fields=["canonical", "version"],
        update_fields=["version"],
    )
    return {row.canonical: row for row in rows}


def delete_orphans(canonicals: Collection[str] | None = None) -> int:
    """Delete the interests that nobody follows any more, among ``canonicals`` or all; return how many."""
    orphans = Interest.objects.filter(~Exists(Follow.objects.filter(interest=OuterRef("pk"))))
    if canonicals is not None:
        orphans = orphans.filter(canonical__in=canonicals)
    with transaction.atomic():
        # Looked at twice: a new follower may have been written while we waited for the lock.
        locked = list(orphans.select_for_update().order_by("canonical").values_list("pk", flat=True))
        return orphans.filter(pk__in=locked).delete()[1].get(Interest._meta.label, 0)


def wishes(subscriber: Subscriber) -> list[Wish]:
    """Return what the reader follows as ``selection`` takes it, oldest first."""
    return wishes_of([subscriber.pk])[subscriber.pk]


def wishes_of(readers: Collection[int]) -> Mapping[int, list[Wish]]:
    """Return what each of the readers follows, by their ids, in two queries.

    A thumb down about an interest lets it count less for that reader; taken back, it counts again.
    """
    blame = blamed(readers)
    wanted: defaultdict[int, list[Wish]] = defaultdict(list)
    columns = ("wording", "interest__canonical", "weight", "is_starred", "is_muted")
    follows = (
        Follow.objects.filter(subscriber__in=bulk.among(readers)).order_by("pk").values_list("subscriber", *columns)
    )
    for reader, *follow in follows:
        wish = Wish(*follow)
        thumbs = blame.get((reader, wish.canonical), 0)
        wanted[reader].append(wish._replace(weight=wish.weight * BLAMED**thumbs) if thumbs else wish)
    return wanted


def _by_canonical(wordings: Iterable[str], *, is_muted: bool = False) -> dict[str, str]:
    """Return each distinct query's first wording, in order."""
    wanted: dict[str, str] = {}
    for wording in wordings:
        wanted.setdefault(_canonical(wording, is_muted=is_muted), wording)
    return wanted


def _canonical(wording: str, *, is_muted: bool) -> str:
    return (query.parse_mute if is_muted else query.parse)(wording).canonical


def _lock(subscriber: Subscriber) -> None:
    """Make a second request of the same reader wait until the transaction ends."""
    list(Subscriber.objects.select_for_update().filter(pk=subscriber.pk).values_list("pk"))
