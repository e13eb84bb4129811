"""One of every mail, made the way the product makes it and written by the backend that it ships."""

import datetime as dt
from dataclasses import asdict
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from newsletter.models import Edition, EditionPaper
from newsletter.providers import Provider
from newsletter.tick import send_edition
from papers.models import Paper
from papers.sample import sample_pages
from subscribers import emails
from subscribers.models import Mail, Subscriber
from tests import hostile
from tests.factories import make_delivery, make_edition, make_paper, make_subscriber

PUBLIC_URL = "https://papers.example.org"
DAY = dt.timedelta(days=1)
# What the demo's readers get, by the part of their address that says what there is to see.
DIGESTS = {"several-interests": "digest", "one-star": "digest-starred", "no-match": "digest-no-match"}
STATES = {
    Mail.Kind.CONFIRMATION: Subscriber.State.PENDING,
    Mail.Kind.GOODBYE: Subscriber.State.UNSUBSCRIBED,
}
INTERESTS = ("diffusion models", "language models", "robot")


def every_mail() -> dict[str, bytes]:
    """Return ``{name: raw bytes}``; needs the outbox backend and an empty folder for it."""
    folder = Path(settings.EMAIL_FILE_PATH)
    call_command("demo", "--json")
    mails = {name: _newest(folder, part) for part, name in DIGESTS.items()}
    mails |= _next_day(folder)
    mails |= {"digest-hostile": _hostile(folder), "source-late": _source_late(folder)}
    for kind in Mail.Kind:
        mails[kind.value] = _service_mail(folder, kind, "en")
        mails[f"{kind}-de"] = _service_mail(folder, kind, "de")
    return mails


def write(folder: str) -> None:
    """Write one of every mail into the folder, as ``<name>.eml``."""
    for name, raw in every_mail().items():
        Path(folder, f"{name}.eml").write_bytes(raw)


def _newest(folder: Path, mailbox: str) -> bytes:
    return max(folder.glob(f"*{mailbox}@*.eml")).read_bytes()


def _send(edition: Edition) -> None:
    end_of_day = dt.datetime.combine(edition.date, dt.time(23, 59), tzinfo=dt.UTC)
    send_edition(edition, end_of_day)


# Digests ----------------------------------------------------------------------------------------


def _next_day(folder: Path) -> dict[str, bytes]:
    """Return the digests of tomorrow, in which a paper of three days ago takes off, to readers of all sorts."""
    tomorrow = timezone.now().date() + DAY
    new, late = _real_papers(tomorrow)
    before = make_edition(tomorrow - 4 * DAY, papers=(late,))
    EditionPaper.objects.filter(edition=before).update(upvotes=6)
    today = Edition.objects.get(date=tomorrow - DAY)
    edition = make_edition(tomorrow, papers=new, coverage=_coverage(tomorrow, new=len(new)))
    EditionPaper.objects.filter(edition=edition, upvotes__gt=12).update(gained=12)
    EditionPaper.objects.create(
        edition=edition, paper=late, role="earlier", new_on=before.date, takes_off=True, score=9, upvotes=94, rank=99
    )
    _reader("second-chance", had=today)
    _reader("second-chance-de", had=today, language="de")
    _reader("first-de", language="de")
    _reader("weekly", had=before, frequency="weekly", weekday=tomorrow.weekday())
    _send(edition)
    return {
        f"digest-{name}": _newest(folder, name) for name in ("second-chance", "second-chance-de", "first-de", "weekly")
    }


def _real_papers(date: dt.date) -> tuple[tuple[Paper, ...], Paper]:
    """Return papers that are not called a sample, with all links, and one more that came earlier."""
    found = []
    for number, record in enumerate(sample_pages(date)[date - DAY], start=1):
        fields = {name: value for name, value in asdict(record).items() if hasattr(Paper, name) and value}
        links = {"code_url": f"https://github.com/example/{number}", "project_url": f"https://example.org/{number}"}
        fields |= {"arxiv_id": f"2607.{number:05d}", "is_sample": False, **links}
        found.append(
            make_paper(
                **fields
                | {"list_date": date - (5 if number == 1 else 1) * DAY}
                | {name: list(v) for name, v in fields.items() if isinstance(v, tuple)}
            )
        )
    return tuple(found[1:]), found[0]


def _coverage(date: dt.date, *, new: int = 0) -> list[dict[str, object]]:
    note = {"source": "huggingface", "list_dates": [f"{date - DAY}"], "new": new}
    if new:
        return [note | {"status": "ok", "fetched_at": f"{date}T03:10:00+00:00"}]
    return [note | {"status": "failed", "fetched_at": ""}]


def _reader(name: str, *, had: Edition | None = None, interests: tuple[str, ...] = INTERESTS, **fields: Any) -> None:
    """Make a reader of this name, who was sent nothing but an empty digest of the edition they ``had``."""
    reader = make_subscriber(email=f"{name}@example.org", interests=interests, **fields)
    if had:
        make_delivery(had, reader, state="accepted", accepted_at=timezone.now())


def _hostile(folder: Path) -> bytes:
    """Return a digest of as many papers as fit into one, each as bad as the other."""
    date = timezone.now().date() + 2 * DAY
    found = [make_paper(**fields) for fields in hostile.papers()]
    edition = make_edition(date, papers=tuple(found), coverage=_coverage(date, new=len(found)))
    _reader("hostile", interests=hostile.INTERESTS, paper_count=25, wants_trending=False)
    _send(edition)
    return _newest(folder, "hostile")


def _source_late(folder: Path) -> bytes:
    """Return the short mail of a day whose list could not be read, to a reader who had the day before's."""
    date = timezone.now().date() + 3 * DAY
    _send(make_edition(date, coverage=_coverage(date)))
    return _newest(folder, "one-star")


# Service mails ----------------------------------------------------------------------------------


def _service_mail(folder: Path, kind: Mail.Kind, language: str) -> bytes:
    state = STATES.get(kind, Subscriber.State.ACTIVE)
    name = f"{kind}-{language}"
    reader = make_subscriber(email=f"{name}@example.org", state=state, language=language)
    now = timezone.now()
    emails.queue(reader, kind, now)
    with Provider() as provider:
        emails.send_due(now, provider.send)
    return _newest(folder, name)


# Reading ----------------------------------------------------------------------------------------


def part_of(raw: bytes, kind: str) -> str:
    """Return the ``plain`` or the ``html`` part of a mail."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    part = message.get_body((kind,))
    assert part is not None
    return str(part.get_content())


def html_of(raw: bytes) -> str:
    return part_of(raw, "html")
