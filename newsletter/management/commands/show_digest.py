"""Show one reader's mail, and send nothing."""

import datetime as dt
from collections.abc import Mapping
from typing import Any

from django.core.mail import EmailMultiAlternatives
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from newsletter import editions, messages, planning
from newsletter.models import Delivery, Edition
from papers.management.base import PaperboyCommand, Result, iso_date
from subscribers.models import Subscriber


class Command(PaperboyCommand):
    help = "Shows a reader's digest of an edition: the one that was made, or the one they would get now."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("email", help="the reader's address")
        parser.add_argument("--date", type=iso_date, help="the edition's UTC date; default: the newest that is closed")
        parser.add_argument(
            "--format", choices=["text", "html", "eml"], default="text", help="which part; default: text"
        )

    def run(self, options: Mapping[str, Any]) -> Result:
        message = messages.message(_delivery(_reader(options["email"]), _edition(options["date"])))
        shown = _shown(message, options["format"])
        return Result({"subject": message.subject, options["format"]: shown}, [shown])


def _reader(email: str) -> Subscriber:
    reader = Subscriber.objects.by_address(email).first()
    if reader is None:
        raise CommandError(f"No reader has the address {email}: look for it in admin, or write it as they signed up.")
    return reader


def _edition(date: dt.date | None) -> Edition:
    closed = editions.closed()
    edition = closed.filter(date=date).first() if date else closed.first()
    if edition is None:
        raise CommandError(
            f"No edition of {date} is closed: run `python manage.py close_edition --date {date}`."
            if date
            else "No edition is closed: run `python manage.py close_edition` first."
        )
    return edition


def _delivery(reader: Subscriber, edition: Edition) -> Delivery:
    made = Delivery.objects.select_related("subscriber", "edition", "picks").filter(subscriber=reader, edition=edition)
    delivery = made.exclude(picks=None).first() or planning.draft(edition, reader, timezone.now())
    if delivery.reason or delivery.error:
        why = delivery.get_reason_display() or delivery.error
        raise CommandError(f"{reader.email} gets no mail of the edition of {edition.date}: {why}.")
    return delivery


def _shown(message: EmailMultiAlternatives, form: str) -> str:
    if form == "eml":
        return message.message().as_string()
    return str(message.body if form == "text" else message.alternatives[0][0])
