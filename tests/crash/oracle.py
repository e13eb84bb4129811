"""Whether a crash lost, repeated or invented anything: the rows of the database against the sink's own record."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

Policy = Literal["hold", "resend"]

WENT = {"accepted", "delivered", "bounced", "complained"}
FINAL = WENT | {"unknown", "skipped", "failed"}
# Answers of the sink after which nobody can know whether the mail went.
AMBIGUOUS = {"error", "reset", "truncated", "hang"}
# Answers after which it surely did not go.
REFUSALS = {"throttled", "unavailable", "denied", "early"}
# What the provider's events make of a mail, the last word first.
LAST_WORDS = ("complained", "bounced", "delivered")


@dataclass(frozen=True, slots=True)
class Row:
    """A delivery as the database tells it; ``is_after_leaving`` where its last call began when the reader had left."""

    address: str
    state: str
    reason: str = ""
    error: str = ""
    unit: str = ""
    opaque_id: str = ""
    provider_message_id: str = ""
    is_after_leaving: bool = False


@dataclass(frozen=True, slots=True)
class Handed:
    """A mail of one call as the sink saw it; ``stored`` says whether it took it, ``answer`` is '' for a good one.

    ``provider`` is whom it was given to.
    """

    address: str
    call: int
    stored: bool = True
    answer: str = ""
    refused: bool = False
    opaque_id: str = ""
    provider_message_id: str = ""
    provider: str = ""


@dataclass(frozen=True, slots=True)
class Rules:
    """What may be: ``interrupted`` counts the processes that were killed or frozen while they might send.

    ``second`` is the provider that stands in for the first, '' for none.
    """

    policy: Policy = "hold"
    has_keys: bool = False
    interrupted: int = 0
    second: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The figures of one part of the matrix, and what is wrong with it in sentences."""

    due: int
    handed: int
    accepted: int
    unknown: int
    skipped: int
    failed: int
    twice: int
    lost: int
    problems: tuple[str, ...]


def judge(
    due: Collection[str],
    rows: Sequence[Row],
    handed: Sequence[Handed],
    rules: Rules,
    *,
    left: Collection[str] = (),
    events: Mapping[str, Collection[str]] | None = None,
) -> Verdict:
    """Compare the rows of those who were due with the sink's record, mail by mail.

    ``due`` are the addresses that had to get an outcome, ``left`` those of them who unsubscribed
    meanwhile, ``events`` what the provider reported of whom. ``handed`` is in the sink's order.
    """
    by_address: dict[str, list[Handed]] = defaultdict(list)
    for mail in handed:
        by_address[mail.address].append(mail)
    stored = Counter(mail.address for mail in handed if mail.stored)
    lost = [address for address, fault in _states(due, rows) if fault]
    problems = [
        *(f"{address} {fault}" for address, fault in _states(due, rows) if fault),
        *(f"{mail.address} was sent to and not due" for mail in handed if mail.address not in set(due)),
        *(f"{row.address} {fault}" for row in rows for fault in _row(row, by_address[row.address], left)),
        *(f"{address} {fault}" for address, mails in by_address.items() for fault in _handed_on(mails, rules.second)),
        *_events(rows, events or {}),
        *_unknown(rows, by_address, rules, _excused(rows, handed, left)),
        *_twice(by_address, rules, _excused(rows, handed, left)),
    ]
    count = Counter("accepted" if row.state in WENT else row.state for row in rows)
    return Verdict(
        due=len(set(due)),
        handed=stored.total(),
        accepted=count["accepted"],
        unknown=count["unknown"],
        skipped=count["skipped"],
        failed=count["failed"],
        twice=sum(n > 1 for n in stored.values()),
        lost=len(lost),
        problems=tuple(problems),
    )


def _states(due: Collection[str], rows: Sequence[Row]) -> Iterable[tuple[str, str]]:
    """Yield each address that was due with what is wrong with its outcome, '' for nothing."""
    of: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        of[row.address].append(row)
    for address in sorted(set(due)):
        found = of[address]
        if len(found) != 1:
            yield address, f"has {len(found)} rows"
        elif found[0].state not in FINAL:
            yield address, f"is left as {found[0].state}"
        elif found[0].state == "skipped" and not found[0].reason:
            yield address, "is skipped without a reason"
        elif found[0].state in {"failed", "unknown"} and not found[0].error:
            yield address, f"is {found[0].state} without an error"
        else:
            yield address, ""


def _row(row: Row, mails: Sequence[Handed], left: Collection[str]) -> Iterable[str]:
    """Yield what in a row the sink's record of the same reader contradicts."""
    stored = [mail for mail in mails if mail.stored]
    if row.state in WENT and not stored:
        yield f"is {row.state}, and the sink never took the mail"
    if row.state in {"skipped", "failed"} and stored:
        yield f"is {row.state}, and the sink took the mail"
    if row.state == "failed" and not any(mail.refused for mail in mails):
        yield f"failed, and the sink never refused the mail: {row.error}"
    if row.state == "skipped" and row.address not in left:
        yield f"is skipped as {row.reason}, and never left"
    if row.is_after_leaving:
        yield "was sent to after they left"
    if any(mail.opaque_id != row.opaque_id for mail in stored):
        yield "got a mail with another id than its row's"
    if row.provider_message_id and row.provider_message_id not in {mail.provider_message_id for mail in mails}:
        yield f"has an id that the sink never gave it: {row.provider_message_id}"


def _handed_on(mails: Sequence[Handed], second: str) -> Iterable[str]:
    """Yield where a mail that may have gone by one provider was given to the one that stands in for it."""
    for first, then in pairwise(mails):
        if then.provider == second != first.provider and first.answer not in REFUSALS:
            yield f"may have gone by {first.provider}, and was given to {then.provider}"


def _events(rows: Sequence[Row], events: Mapping[str, Collection[str]]) -> Iterable[str]:
    """Yield the rows that are not in the state that the provider's events lead to, whatever their order."""
    for row in rows:
        wanted = next((word for word in LAST_WORDS if word in events.get(row.address, ())), "")
        if wanted and row.state != wanted:
            yield f"{row.address} is {row.state}, and was reported as {wanted}"


def _excused(rows: Sequence[Row], handed: Sequence[Handed], left: Collection[str]) -> set[str]:
    """Return who was in a unit with a reader who left: such a call must not be made again, even under its key."""
    units = {row.unit for row in rows if row.address in left}
    calls = {mail.call for mail in handed if mail.address in left}
    return {row.address for row in rows if row.unit in units} | {mail.address for mail in handed if mail.call in calls}


def _unknown(
    rows: Sequence[Row], by_address: Mapping[str, Sequence[Handed]], rules: Rules, excused: Collection[str]
) -> Iterable[str]:
    """Yield unknown rows where none may be, else more unknown units than deaths and unclear answers explain."""
    unknown = [row for row in rows if row.state == "unknown"]
    if rules.policy == "resend":
        yield from (f"{row.address} is unknown, and should have been sent again" for row in unknown)
        return
    if rules.has_keys:
        certain = [row.address for row in unknown if row.address not in excused]
        yield from (f"{address} is unknown, and had a key" for address in certain)
        return
    unexplained = {row.unit for row in unknown if not any(mail.answer in AMBIGUOUS for mail in by_address[row.address])}
    if len(unexplained) > rules.interrupted:
        yield f"{len(unexplained)} units are unknown after {rules.interrupted} deaths"


def _twice(by_address: Mapping[str, Sequence[Handed]], rules: Rules, excused: Collection[str]) -> Iterable[str]:
    """Yield who got a mail twice, where nobody may, and more units that went twice than deaths explain.

    A unit goes twice when its mails are sent again, in whatever calls, though its own was taken. That
    an answer told nothing of that explains it, and nothing else but a death does.
    """
    stored = {address: [mail for mail in mails if mail.stored] for address, mails in by_address.items()}
    if rules.policy == "hold" or rules.has_keys:
        may_repeat = excused if rules.policy == "resend" else ()
        for address, mails in sorted(stored.items()):
            if len(mails) > 1 and address not in may_repeat:
                yield f"{address} got {len(mails)} mails"
        return
    again = {mail.call for mails in stored.values() for mail in mails[:-1] if mail.answer not in AMBIGUOUS}
    if len(again) > rules.interrupted:
        yield f"{len(again)} units went twice after {rules.interrupted} deaths"
