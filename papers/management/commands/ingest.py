"""Fetch and store a source's lists."""

import argparse
import datetime as dt
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from papers.ingest import ingest
from papers.management.base import WRONG_USAGE, PaperboyCommand, Result, past_date
from papers.models import IngestRun
from papers.sources import SOURCES
from papers.sources.client import Client

ARXIV_BEGAN_ON = dt.date(1991, 8, 14)
REPORTED = ("status", "fetched", "new", "updated", "listed", "rejected", "error")


class Command(PaperboyCommand):
    help = (
        "Fetches and stores a source's list of a date. Running it twice adds nothing but a snapshot and a run, and"
        " it never mails anyone."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--source", required=True, choices=sorted(SOURCES), help="where the list is from")
        parser.add_argument("--date", type=past_date, help="the list date, such as 2026-07-01; default: today (UTC)")
        parser.add_argument("--days", type=_number_of_days, default=1, help="that many list dates, ending at --date")
        parser.add_argument("--from-file", type=Path, help="read one page of the source's JSON instead of fetching")

    def run(self, options: Mapping[str, Any]) -> Result:
        runs = _runs(options)
        failed = [run for run in runs if run.status == IngestRun.Status.FAILED]
        return Result(
            data={"source": options["source"], "runs": [_as_json(run) for run in runs]},
            lines=[_as_line(run) for run in runs],
            problem=f"{len(failed)} of {len(runs)} lists failed; {failed[0].list_date}: {failed[0].error}"
            if failed
            else "",
        )


def _runs(options: Mapping[str, Any]) -> list[IngestRun]:
    source, date, days = options["source"], options["date"], options["days"]
    if options["from_file"]:
        return [_ingest_file(source, options["from_file"], date, days)]
    dates = _dates(date or timezone.now().date(), days)
    with Client(SOURCES[source].base_url()) as client:
        return [ingest(source, each, now=timezone.now(), client=client) for each in dates]


def _number_of_days(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is no number of days; write one from 1 to 9999")
    return int(text)


def _dates(last: dt.date, days: int) -> list[dt.date]:
    """Return ``days`` dates, the oldest first, the last of them ``last``."""
    if (last - ARXIV_BEGAN_ON).days < days - 1:
        raise CommandError(f"no list is older than {ARXIV_BEGAN_ON}: give fewer --days", returncode=WRONG_USAGE)
    return [last - dt.timedelta(days=back) for back in reversed(range(days))]


def _ingest_file(source: str, path: Path, date: dt.date | None, days: int) -> IngestRun:
    if date is None or days != 1:
        raise CommandError("--from-file holds one list: give its --date, and no --days", returncode=WRONG_USAGE)
    try:
        page = path.read_bytes()
    except OSError as error:
        raise CommandError(
            f"{path} could not be read ({error.strerror}): give a file that holds one page of the list's JSON",
            returncode=WRONG_USAGE,
        ) from error
    return ingest(source, date, now=timezone.now(), pages=[page])


def _as_json(run: IngestRun) -> dict[str, object]:
    return {"date": f"{run.list_date}", **{name: getattr(run, name) for name in REPORTED}}


def _as_line(run: IngestRun) -> str:
    if run.status == IngestRun.Status.FAILED:
        return f"{run.source} {run.list_date} failed: {run.error}"
    counts = ", ".join(f"{getattr(run, name)} {name}" for name in ("fetched", "new", "updated", "listed", "rejected"))
    return f"{run.source} {run.list_date} {run.status}: {counts}"
