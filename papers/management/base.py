"""A command that computes a result and leaves printing it, and the exit status, to one place."""

import argparse
import datetime as dt
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.core.management.base import CommandError

from papers.management.command import ReportingCommand
from papers.records import read_date


@dataclass(frozen=True, slots=True)
class Result:
    """What a command did: ``data`` for ``--json``, ``lines`` for people, ``problem`` when it failed."""

    data: Mapping[str, object]
    lines: Sequence[str] = ()
    problem: str = ""


class PaperboyCommand(ReportingCommand):
    """A command that implements ``run`` and returns a ``Result``.

    Exit status 0: done; 1: failed (``Result.problem`` or a ``CommandError``, on standard error);
    2: wrong usage. Nothing but the result is written to standard output.
    """

    def handle(self, *_args: Any, **options: Any) -> None:
        result = self.run(options)
        self.report(options["json"], result.data, result.lines)
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


def iso_moment(text: str) -> dt.datetime:
    """Return the moment that an argument names, in UTC where it names no offset."""
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"“{text}” is no moment; write one such as 2026-07-01T07:00 (UTC) or 2026-07-01T07:00+02:00"
        ) from None
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)
