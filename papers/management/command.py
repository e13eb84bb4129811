"""What Paperboy's commands share: JSON on standard output, a database that is ready, errors that say what to do."""

import argparse
import datetime as dt
import json
from collections.abc import Iterable, Mapping

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from papers.records import read_date

WRONG_USAGE = 2


class ReportingCommand(BaseCommand):
    """A command with ``--json`` that refuses to start on a database it cannot use."""

    requires_migrations_checks = True

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object on standard output")

    def check_migrations(self) -> None:
        """Refuse a database that is missing or behind, where Django only prints a notice."""
        try:
            executor = MigrationExecutor(connection)
            behind = executor.migration_plan(executor.loader.graph.leaf_nodes())
        except DatabaseError as error:
            raise CommandError(f"the database does not answer: look at DATABASE_URL ({error})".strip()) from error
        if behind:
            raise CommandError(
                f"the database is missing or {len(behind)} migrations behind: run `python manage.py migrate`"
            )

    def report(self, as_json: bool, data: Mapping[str, object], lines: Iterable[str]) -> None:
        """Print the outcome, for a script or for a person."""
        self.stdout.write(json.dumps(data) if as_json else "\n".join(lines))


def past_date(text: str) -> dt.date:
    """Read a ``--date`` that is not in the future, for argparse."""
    try:
        date = read_date(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if date > dt.datetime.now(dt.UTC).date():
        raise argparse.ArgumentTypeError(f"{date} is in the future; write today's date (UTC) or an earlier one")
    return date
