"""What Paperboy's commands share: JSON on standard output, a database that is ready, errors that say what to do."""

import argparse
import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, connection
from django.db.migrations.executor import MigrationExecutor

from papers.records import read_date

WRONG_USAGE = 2


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did: ``data`` for ``--json``, ``lines`` for people, ``problem`` when it failed."""

    data: Mapping[str, object]
    lines: Sequence[str] = ()
    problem: str = ""


class PaperboyCommand(BaseCommand):
    """A command that implements ``run``, returns a ``Result`` and refuses a database it cannot use.

    Exit status 0: done; 1: failed (``Result.problem`` or a ``CommandError``, on standard error);
    2: wrong usage. Nothing but the result is written to standard output.
    """

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

    def handle(self, *_args: Any, **options: Any) -> None:
        result = self.run(options)
        self.stdout.write(json.dumps(result.data) if options["json"] else "\n".join(result.lines))
        if result.problem:
            raise CommandError(result.problem)

    def run(self, options: Mapping[str, Any]) -> Result:
        raise NotImplementedError


def iso_date(text: str) -> dt.date:
    """Return the date that an argument names; for ``add_argument(type=iso_date)``."""
    try:
        return read_date(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def past_date(text: str) -> dt.date:
    """Return the date that an argument names, if it is not in the future."""
    date = iso_date(text)
    if date > dt.datetime.now(dt.UTC).date():
        raise argparse.ArgumentTypeError(f"{date} is in the future; write today's date (UTC) or an earlier one")
    return date


def iso_moment(text: str) -> dt.datetime:
    """Return the moment that an argument names, in UTC where it names no offset."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"“{text}” is no moment; write one such as 2026-07-01T07:00 (UTC) or 2026-07-01T07:00+02:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
