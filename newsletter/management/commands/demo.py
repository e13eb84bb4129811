"""What ``make demo`` runs: one day's papers, three made-up readers, one edition, their mails as files."""

import datetime as dt
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from django.utils import timezone

from newsletter import editions
from newsletter.models import Delivery, Edition
from newsletter.tick import send_edition
from papers import archive
from papers.ingest import ingest, store
from papers.management.base import PaperboyCommand, Result
from papers.models import IngestRun, Listing
from papers.sample import sample_pages
from papers.sources import SOURCES
from subscribers.interests import replace_follows
from subscribers.models import Consent, Subscriber

SOURCE = SOURCES["huggingface"]
DAYS_BACK = 5
PATIENCE_S = 15.0
DAY = dt.timedelta(days=1)
ADMIN = "demo"


@dataclass(frozen=True, slots=True)
class Reader:
    """A made-up reader; their address says what there is to see in their mail."""

    email: str
    interests: Sequence[str]
    mutes: Sequence[str] = ()
    starred: Sequence[str] = ()


READERS = (
    Reader(
        "several-interests@example.org",
        interests=["diffusion models", "language models", "graph neural networks", '"chain of thought"', "robot"],
        mutes=["mixture of experts"],
    ),
    Reader("one-star@example.org", interests=["reinforcement learning", "speech"], starred=["speech"]),
    Reader("no-match@example.org", interests=["medieval falconry"]),
)


class Command(PaperboyCommand):
    help = (
        "Takes one day of papers all the way to three made-up readers' mails in the outbox folder: live papers"
        " where the source answers within 15 seconds, else the bundled sample. Run again, it sends nobody anything."
    )

    def check_migrations(self) -> None:
        """Make the database, where the other commands ask for it."""
        refuse_where_people_read()
        call_command("migrate", verbosity=0, interactive=False)

    def run(self, options: Mapping[str, Any]) -> Result:  # noqa: ARG002 - it has none of its own
        now = timezone.now()
        self.stderr.write(f"Asking {SOURCE.TITLE} for its newest list ...", style_func=str)
        papers = live_papers(now) or papers_at_hand(now) or sample_papers(now)
        readers = [subscribe(reader, now) for reader in READERS]
        edition = editions.close(now.date(), timezone.now())
        already_there = outbox()
        report = send_edition(edition, end_of_last_day(readers, now))
        mails = sorted(outbox() - already_there)
        password = open_the_admin()
        data = {"papers": papers, **report.as_json(), "mails": [str(mail) for mail in mails], "password": password}
        problem = "" if report.is_complete else "Some readers have no outcome yet: look at the log above."
        return Result(data, story(papers, edition, readers, mails, password), problem)


def refuse_where_people_read() -> None:
    """Raise ``CommandError`` where made-up readers, sample papers and a log-in that is printed do not belong."""
    if settings.PRODUCTION:
        raise CommandError("The demo makes up readers and an admin log-in: it does not run with PRODUCTION=true.")
    if settings.EMAIL_PROVIDER != "file":
        raise CommandError("The demo writes its mails into files: unset EMAIL_PROVIDER, or set it to “file”.")


# Papers -----------------------------------------------------------------------------------------


def live_papers(now: dt.datetime) -> str:
    """Store the newest list that holds papers, yesterday's to that of five days ago; return what it is, or ''."""
    with SOURCE.client(now, attempts=1, budget_s=PATIENCE_S) as client:
        for days in range(1, DAYS_BACK + 1):
            run = ingest(SOURCE.NAME, now.date() - days * DAY, now=now, client=client)
            if run.status == IngestRun.Status.OK:
                return f"{run.fetched} papers, the {SOURCE.TITLE} list of {run.list_date}"
            if run.status == IngestRun.Status.FAILED:
                break
    return ""


def papers_at_hand(now: dt.datetime) -> str:
    """Return which real papers an earlier run left, or '': the sample must not stand beside them."""
    lately = Listing.objects.filter(list_date__gte=now.date() - DAYS_BACK * DAY, paper__is_sample=False)
    if count := lately.values("paper").distinct().count():
        return f"{count} papers that are here already ({SOURCE.TITLE} could not be read now)"
    return ""


def sample_papers(now: dt.datetime) -> str:
    pages = sample_pages(now.date())
    with transaction.atomic():
        for list_date, records in pages.items():
            store("sample", records, list_date, now)
        archive.index_missing()
    count = sum(map(len, pages.values()))
    return f"{count} made-up papers, the bundled sample ({SOURCE.TITLE} could not be read or listed nothing)"


# Readers ----------------------------------------------------------------------------------------


@transaction.atomic
def subscribe(reader: Reader, now: dt.datetime) -> Subscriber:
    """Return the reader's row; one that is there already is left as it is."""
    wanted = {"state": Subscriber.State.ACTIVE, "confirmed_at": now}
    subscriber, is_new = Subscriber.objects.get_or_create(email=reader.email, defaults=wanted)
    if is_new:
        replace_follows(subscriber, list(reader.interests), list(reader.mutes), set(reader.starred))
        subscriber.consents.create(kind=Consent.Kind.IMPORTED, wording="Made up by the demo.")
    return subscriber


def end_of_last_day(readers: Sequence[Subscriber], now: dt.datetime) -> dt.datetime:
    """Return the last second of the readers' local day that ends last: everybody's hour has come by then."""
    midnights = [
        dt.datetime.combine(now.astimezone(reader.zone).date() + DAY, dt.time(), tzinfo=reader.zone)
        for reader in readers
    ]
    return (max(midnights) - dt.timedelta(seconds=1)).astimezone(dt.UTC)


def outbox() -> set[Path]:
    return set(settings.EMAIL_FILE_PATH.glob("*.eml"))


def open_the_admin() -> str:
    """Give the demo's admin a new random password and return it."""
    user, _ = get_user_model().objects.get_or_create(
        username=ADMIN, defaults={"is_staff": True, "is_superuser": True, "email": "demo@example.org"}
    )
    password = secrets.token_urlsafe(9)
    user.set_password(password)
    user.save()
    return password


# What happened ----------------------------------------------------------------------------------


def story(
    papers: str, edition: Edition, readers: Sequence[Subscriber], mails: Sequence[Path], password: str
) -> list[str]:
    """Return what happened and where to look, a line each."""
    return [
        f"Papers:   {papers}.",
        f"Edition:  {edition.date}, with {edition.new_count} new papers.",
        *(line for reader in readers for line in _reader_lines(reader, edition)),
        *_mail_lines(mails),
        "Site:     `make serve`, then http://127.0.0.1:8000",
        f"Admin:    http://127.0.0.1:8000/admin/ with the name {ADMIN} and the password {password}",
    ]


def _reader_lines(reader: Subscriber, edition: Edition) -> list[str]:
    follows = ", ".join(
        f"{'not ' if follow.is_muted else ''}{follow.wording}{' (starred)' if follow.is_starred else ''}"
        for follow in reader.follows.all()
    )
    delivery = Delivery.objects.filter(edition=edition, subscriber=reader).select_related("picks").first()
    return [f"Reader:   {reader.email} follows {follows}", f"          {_outcome(delivery)}"]


def _outcome(delivery: Delivery | None) -> str:
    if delivery is None:
        return "was not due for this edition"
    if delivery.state == Delivery.State.SKIPPED:
        return f"got no mail: {delivery.get_reason_display()}"
    of, papers = delivery.picks.counts, len(delivery.picks.paper_ids)
    return f"{papers} papers, {of['matched']} of {of['considered']} matched: {delivery.get_state_display()}"


def _mail_lines(mails: Sequence[Path]) -> list[str]:
    if not mails:
        return ["Mails:    none were sent now: whoever was due for this edition has it already."]
    return ["Mails:    open them with any mail program", *(f"          {_short(mail)}" for mail in mails)]


def _short(path: Path) -> str:
    """Return the path as it is typed where the project is."""
    return str(path.relative_to(settings.BASE_DIR) if path.is_relative_to(settings.BASE_DIR) else path)
