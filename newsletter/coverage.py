"""What was checked for an edition, source by source: noted when it closes, said in every footer."""

import datetime as dt
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from django.utils.formats import date_format
from django.utils.text import get_text_list
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from newsletter.languages import number
from newsletter.models import Edition
from papers.models import IngestRun
from papers.sources import SOURCES, polled

Status = Literal["ok", "empty", "failed", "missing"]

LAG = 1  # days, of a source without a module of its own
LOOK_BACK = 3  # days: a list that comes later than this is a backfill


@dataclass(frozen=True, slots=True)
class Checked:
    """How one source stood when an edition closed.

    ``status`` is failed while a list that the edition could have held is outstanding, and
    ``list_dates`` are those; missing when nobody asked. Else they are the dates that its ``new``
    papers came from, or the one that was asked for. ``fetched_at`` is the end of the newest run
    that read a list, '' where none did; ``reason`` is why an empty list is. Dates and times in ISO 8601.
    """

    source: str
    list_dates: Sequence[str]
    status: Status
    new: int
    fetched_at: str
    reason: str = ""


# When the edition closes ------------------------------------------------------------------------


def lag(source: str) -> int:
    """Return the days between a list's date and the edition that has its papers as new."""
    return SOURCES[source].LAG if source in SOURCES else LAG


def window(source: str, date: dt.date) -> list[dt.date]:
    """Return the list dates whose papers can be new in the edition of ``date``, oldest first."""
    return [date - dt.timedelta(days=days) for days in range(LOOK_BACK, lag(source) - 1, -1)]


def notes(date: dt.date, now: dt.datetime, new: Mapping[str, Mapping[int, dt.date]]) -> list[dict[str, object]]:
    """Return what ``Edition.coverage`` keeps; ``new`` is {source: {paper id: list date}} of the new papers."""
    return [asdict(_check(source, date, now, new.get(source, {}))) for source in sorted({*polled(), *new})]


def _check(source: str, date: dt.date, now: dt.datetime, new: Mapping[int, dt.date]) -> Checked:
    runs: defaultdict[dt.date, list[IngestRun]] = defaultdict(list)
    dates = window(source, date)
    attempts = IngestRun.objects.of_lists().filter(source=source, list_date__in=dates, started_at__lte=now)
    for run in attempts.order_by("started_at"):
        runs[run.list_date].append(run)
    outstanding = [day for day in dates if _status(runs[day]) == "failed"]
    asked_for = outstanding or sorted(set(new.values())) or dates[-1:]
    status: Status = "failed" if outstanding else "ok" if new else _status(runs[dates[-1]])
    ended = [run for day in dates for run in runs[day] if run.status in {"ok", "empty"}]
    read_at = [run.finished_at for run in ended if run.finished_at]
    fetched_at = max(read_at).isoformat() if read_at else ""
    reason = runs[dates[-1]][-1].note if status == "empty" else ""
    return Checked(source, [day.isoformat() for day in asked_for], status, len(new), fetched_at, reason)


def _status(runs: Sequence[IngestRun]) -> Status:
    """Return how a list's runs ended, oldest first: a list that was once read is not outstanding."""
    if any(run.status == IngestRun.Status.OK for run in runs):
        return "ok"
    ended = [run.status for run in runs if run.status != IngestRun.Status.RUNNING]
    if not ended:
        return "missing"
    return "failed" if ended[-1] == IngestRun.Status.FAILED else "empty"


# When it is sent --------------------------------------------------------------------------------


def failed_sources(edition: Edition) -> frozenset[str]:
    """Return the sources of which a list was outstanding when the edition closed."""
    return frozenset(checked.source for checked in _read(edition) if checked.status == "failed")


def lines(editions: Sequence[Edition]) -> tuple[str, ...]:
    """Return a sentence or two about each source, over the editions that a digest covers, newest first."""
    by_source: defaultdict[str, list[Checked]] = defaultdict(list)
    for edition in editions:
        for checked in _read(edition):
            by_source[checked.source].append(checked)
    return tuple(" ".join(_sentences(title(source), notes)) for source, notes in by_source.items())


def title(source: str) -> str:
    """Return a source's name as people write it."""
    return SOURCES[source].TITLE if source in SOURCES else source


def _sentences(name: str, notes: Sequence[Checked]) -> Iterable[str]:
    new = sum(checked.new for checked in notes)
    fetched_at = max(checked.fetched_at for checked in notes)
    if new:
        yield ngettext("%(source)s: %(n)s new paper", "%(source)s: %(n)s new papers", new) % {
            "source": name,
            "n": number(new),
        } + (_(", read on %(moment)s UTC.") % {"moment": _moment(fetched_at)} if fetched_at else ".")
    elif notes[0].status == "empty" and notes[0].reason:
        yield _("%(source)s had nothing new: %(reason)s.") % {"source": name, "reason": notes[0].reason}
    elif notes[0].status in {"ok", "empty"} and fetched_at:
        yield _("%(source)s had nothing new, read on %(moment)s UTC.") % {"source": name, "moment": _moment(fetched_at)}
    elif notes[0].status == "missing":
        yield _("%(source)s was not read.") % {"source": name}
    if notes[0].status == "failed":
        yield _("%(source)s could not be read: the list of %(dates)s will come with a later digest.") % {
            "source": name,
            "dates": get_text_list(
                [date_format(dt.date.fromisoformat(day), "DAY_OF_YEAR") for day in notes[0].list_dates], _("and")
            ),
        }


def _moment(iso: str) -> str:
    return date_format(dt.datetime.fromisoformat(iso).astimezone(dt.UTC), "MOMENT")


def _read(edition: Edition) -> list[Checked]:
    return [Checked(**note) for note in edition.coverage]
