"""What every command shares: dates read kindly, one JSON object on standard output, exit statuses."""

import argparse
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection
from django.db.migrations.executor import MigrationExecutor
from django.db.utils import OperationalError


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did: ``data`` for ``--json``, ``lines`` for people, ``problem`` when it failed."""

    data: Mapping[str, object]
    lines: Sequence[str] = ()
    problem: str = ""


class PaperboyCommand(BaseCommand):
    """A command that implements ``run`` and returns a ``Result``.

    Exit status 0: done; 1: failed (``Result.problem`` or a ``CommandError``, on standard error);
    2: wrong usage. Nothing but the result is written to standard output.
    """

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object")

    def handle(self, *_args: Any, **options: Any) -> None:
        require_migrated_database()
        result = self.run(options)
        text = json.dumps(result.data, default=str) if options["json"] else "\n".join(result.lines)
        if text:
            self.stdout.write(text)
        if result.problem:
            raise CommandError(result.problem)

    def run(self, options: Mapping[str, Any]) -> Result:
        raise NotImplementedError


def require_migrated_database() -> None:
    """Raise ``CommandError`` that says what to do when the database is missing or behind its migrations."""
    try:
        executor = MigrationExecutor(connection)
    except OperationalError as error:
        raise CommandError(
            f"The database does not answer: {str(error).strip()}\n"
            "Check DATABASE_URL, then run `python manage.py migrate`."
        ) from error
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        raise CommandError("The database is missing or behind its migrations: run `python manage.py migrate`.")


def iso_date(text: str) -> dt.date:
    """Return the date that an argument names; for ``add_argument(type=iso_date)``."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"“{text}” is no date; write one such as 2026-07-01") from None


def iso_moment(text: str) -> dt.datetime:
    """Return the moment that an argument names, in UTC where it names no offset."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"“{text}” is no moment; write one such as 2026-07-01T07:00 (UTC) or 2026-07-01T07:00+02:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
