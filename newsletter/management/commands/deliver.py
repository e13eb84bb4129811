"""Send what is due, inline, without a broker."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from newsletter import editions
from newsletter.models import Delivery, Edition
from newsletter.tick import Report, send_edition
from papers.management.base import PaperboyCommand, Result, iso_date, iso_moment


class Command(PaperboyCommand):
    help = "Sends the newest edition to every reader who is due. Running it again sends nobody anything twice."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--date", type=iso_date, help="only if this edition is the newest that is closed")
        parser.add_argument("--now", type=iso_moment, help="who is due as of this moment, in UTC unless it says so")
        parser.add_argument("--dry-run", action="store_true", help="plan and count, but send and write nothing")

    def run(self, options: Mapping[str, Any]) -> Result:
        newest, date = editions.newest_closed(), options["date"]
        if date and not Edition.objects.filter(date=date, closed_at__isnull=False).exists():
            raise CommandError(f"No edition of {date} is closed: run `python manage.py close_edition --date {date}`.")
        if newest is None:
            return Result(Report().as_json(), ["No edition is closed: run `python manage.py close_edition` first."])
        if date and date < newest.date:
            said = f"Nothing is sent: the edition of {newest.date} is closed, and what {date} held goes with it."
            if options["json"]:
                self.stderr.write(said)
            return Result(Report(edition=date).as_json(), [said])
        report = send_edition(newest, options["now"] or timezone.now(), is_dry_run=options["dry_run"])
        problem = "" if options["dry_run"] or report.is_complete else _problem(newest, report)
        return Result(report.as_json(), _lines(report, is_dry_run=options["dry_run"]), problem)


def _lines(report: Report, *, is_dry_run: bool) -> list[str]:
    counts = {
        "sent": report.sent,
        **{f"skipped, {reason}": n for reason, n in sorted(report.skipped.items())},
        "failed": report.failed,
        "unknown": report.unknown,
        "to be tried again": report.retry,
        "would be sent" if is_dry_run else "pending": report.pending,
    }
    said = ", ".join(f"{n} {name}" for name, n in counts.items() if n)
    return [f"Edition of {report.edition}: {report.due} due" + (f": {said}." if said else ".")]


def _problem(edition: Edition, report: Report) -> str:
    said = f"{report.retry + report.pending} due readers have no outcome yet: run this again, or let `tick` do it."
    if edition.state == Edition.State.PAUSED:
        return f"{said} The edition is paused: resume it in admin."
    waiting = Delivery.objects.filter(edition=edition, state=Delivery.State.RETRY).exclude(error="")
    newest = waiting.order_by("-sending_at").first()
    return f"{said} The last error was: {newest.error}" if newest else said
