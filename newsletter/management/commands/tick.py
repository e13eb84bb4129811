"""Do whatever is due now: enough for cron, without a broker."""

from collections.abc import Mapping
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from newsletter.tick import tick
from papers.management.base import PaperboyCommand, Result, iso_moment


class Command(PaperboyCommand):
    help = "Ingests, closes, delivers, sends service mails, sweeps and forgets: whatever is due. Run it every minute."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--now", type=iso_moment, help="what is due as of this moment, in UTC unless it says so")

    def run(self, options: Mapping[str, Any]) -> Result:
        report = tick(options["now"] or timezone.now())
        failed = [name for name, said in report.items() if isinstance(said, dict) and "error" in said]
        problem = f"These stages failed, the others were run: {', '.join(failed)}. The log says why." if failed else ""
        return Result(report, [f"{name}: {said}" for name, said in report.items()], problem)
