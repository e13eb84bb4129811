"""Fetch and store a source's lists."""

import argparse
import datetime as dt
import re
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from papers.backfill import backfill, missing, was_interrupted
from papers.ingest import ingest
from papers.management.base import WRONG_USAGE, PaperboyCommand, Result, past_date
from papers.models import IngestRun
from papers.sources import SOURCES
from papers.upkeep import look_after

ARXIV_BEGAN_ON = dt.date(1991, 8, 14)
REPORTED = ("status", "fetched", "new", "updated", "listed", "rejected", "error")
GO_ON = "run the same command with --missing to go on"


class Command(PaperboyCommand):
    help = (
        "Fetches and stores a source's list of a date. Running it twice adds nothing but a snapshot and a run, and"
        " it never mails anyone. Many --days show their progress on standard error; they can be stopped with Ctrl-C"
        " and taken up again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--source", required=True, choices=sorted(SOURCES), help="where the list is from")
        parser.add_argument("--date", type=past_date, help="the list date, such as 2026-07-01; default: the newest")
        parser.add_argument("--days", type=_number_of_days, default=1, help="that many list dates, ending at --date")
        parser.add_argument("--missing", action="store_true", help="of these, only lists that were not read to the end")
        parser.add_argument("--from-file", type=Path, help="read one page as the source sends it instead of fetching")
        parser.add_argument("--revisions", action="store_true", help="instead: new versions and withdrawals of a week")
        parser.add_argument(
            "--details", action="store_true", help="instead: what it knows of papers from other sources"
        )

    def run(self, options: Mapping[str, Any]) -> Result:
        runs = self._runs(options)
        return Result(
            data={"source": options["source"], "runs": [_as_json(run) for run in runs]},
            lines=[_as_line(run) for run in runs],
            problem=self.stopped or _problem(runs),
        )

    stopped = ""

    def _runs(self, options: Mapping[str, Any]) -> list[IngestRun]:
        source, date, days = options["source"], options["date"], options["days"]
        if kind := _kind(options):
            return [look_after(source, kind, timezone.now())]
        if options["from_file"]:
            return [_ingest_file(source, options["from_file"], date, days)]
        dates = _dates(date or _newest(source), days)
        if days == 1 and not options["missing"]:
            return [ingest(source, each, now=timezone.now()) for each in dates]
        if options["missing"] or was_interrupted(source, dates):
            dates = missing(source, dates)
            self._say(f"{source}: {days - len(dates)} of {days} lists are there already")
        return self._backfill(source, dates)

    def _backfill(self, source: str, dates: Sequence[dt.date]) -> list[IngestRun]:
        """Fetch list after list, telling how far it is; what was done until Ctrl-C or SIGTERM is kept."""
        runs: list[IngestRun] = []
        started = time.monotonic()
        restore = _end_as_by_ctrl_c()
        try:
            for run in backfill(source, dates):
                runs.append(run)
                self._say(f"{_as_line(run)} ({_how_far(len(runs), len(dates), time.monotonic() - started)})")
        except KeyboardInterrupt:
            self.stopped = f"stopped after {len(runs)} of {len(dates)} lists; {GO_ON}"
        finally:
            restore()
        if not self.stopped and len(runs) < len(dates):
            self.stopped = f"{_problem(runs)}. Gave up after {len(runs)} of {len(dates)} lists; {GO_ON}"
        return runs

    def _say(self, line: str) -> None:
        self.stderr.write(line, style_func=str)


def _kind(options: Mapping[str, Any]) -> IngestRun.Kind | None:
    """Return what is asked for instead of a list, None for a list."""
    source, revisions, details = SOURCES[options["source"]], options["revisions"], options["details"]
    if not revisions and not details:
        return None
    if revisions and details:
        raise CommandError("give --revisions or --details, one at a time", returncode=WRONG_USAGE)
    if (revisions and not source.fetch_revisions) or (details and not source.fetch_details):
        raise CommandError(f"{source.TITLE} has nothing but lists", returncode=WRONG_USAGE)
    return IngestRun.Kind.REVISIONS if revisions else IngestRun.Kind.DETAILS


def _end_as_by_ctrl_c() -> Callable[[], object]:
    """Let SIGTERM, which a service manager sends, end a backfill as Ctrl-C does; return what undoes it."""
    try:
        before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    except ValueError:  # not in the main thread, where no signal arrives
        return lambda: None
    return lambda: signal.signal(signal.SIGTERM, before)


def _how_far(done: int, of: int, elapsed_s: float) -> str:
    minutes = elapsed_s / done * (of - done) / 60
    return f"{done} of {of}, " + ("less than a minute left" if minutes < 1 else f"about {minutes:.0f} min left")


def _problem(runs: Sequence[IngestRun]) -> str:
    failed = [run for run in runs if run.status == IngestRun.Status.FAILED]
    return f"{len(failed)} of {len(runs)} lists failed; {failed[0].list_date}: {failed[0].error}" if failed else ""


def _number_of_days(text: str) -> int:
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text):
        raise argparse.ArgumentTypeError(f"“{text[:40]}” is no number of days; write one from 1 to 9999")
    return int(text)


def _newest(source: str) -> dt.date:
    """Return the newest date of which there can be a list: arXiv's day begins hours after ours."""
    now = timezone.now()
    opens_at = SOURCES[source].opens_at
    return max(date for date in (now.date(), now.date() - dt.timedelta(days=1)) if opens_at(date) <= now)


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
            f"{path} could not be read ({error.strerror}): give a file that holds one page of the list as it is sent",
            returncode=WRONG_USAGE,
        ) from error
    return ingest(source, date, now=timezone.now(), pages=[page])


def _as_json(run: IngestRun) -> dict[str, object]:
    return {"date": f"{run.list_date}", **{name: getattr(run, name) for name in REPORTED}}


def _as_line(run: IngestRun) -> str:
    what = run.source if run.kind == IngestRun.Kind.LIST else f"{run.source} {run.kind}"
    if run.status == IngestRun.Status.FAILED:
        return f"{what} {run.list_date} failed: {run.error}"
    counts = ", ".join(f"{getattr(run, name)} {name}" for name in ("fetched", "new", "updated", "listed", "rejected"))
    return f"{what} {run.list_date} {run.status}: {counts}" + (f" ({run.note})" if run.note else "")
