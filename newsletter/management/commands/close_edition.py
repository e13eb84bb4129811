"""Close an edition by hand."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from newsletter import editions
from papers.management.base import PaperboyCommand, Result, iso_date


class Command(PaperboyCommand):
    help = "Scores the papers of an edition and freezes it. Closing twice is harmless, and today's may be closed early."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--date", type=iso_date, help="the edition's UTC date, such as 2026-07-01; default: today")

    def run(self, options: Mapping[str, Any]) -> Result:
        now = timezone.now()
        try:
            edition = editions.close(options["date"] or now.date(), now)
        except editions.EditionError as error:
            raise CommandError(str(error)) from error
        line = f"The edition of {edition.date} is closed; {edition.new_count} papers are new in it."
        return Result({"edition": f"{edition.date}", "papers": edition.new_count}, [line])
