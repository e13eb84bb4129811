"""One of every mail, made the way the product makes it and written by the backend that it ships."""

import datetime as dt
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from django.conf import settings
from django.core.management import call_command
from django.utils import timezone

from newsletter.providers import Provider
from newsletter.tick import send_edition
from subscribers import emails
from subscribers.models import Mail, Subscriber
from tests.factories import make_edition, make_subscriber

DAY = dt.timedelta(days=1)
# What the demo's readers get, by the part of their address that says what there is to see.
DIGESTS = {"several-interests": "digest", "one-star": "digest-starred", "no-match": "digest-no-match"}
STATES = {
    Mail.Kind.CONFIRMATION: Subscriber.State.PENDING,
    Mail.Kind.GOODBYE: Subscriber.State.UNSUBSCRIBED,
}


def every_mail() -> dict[str, bytes]:
    """Return ``{name: raw bytes}``; needs the outbox backend and an empty folder for it."""
    folder = Path(settings.EMAIL_FILE_PATH)
    call_command("demo", "--json")
    mails = {name: raw for part, name in DIGESTS.items() for raw in _written(folder, part)}
    mails["source-late"] = _source_late(folder)
    for kind in Mail.Kind:
        mails[kind.value] = _service_mail(folder, kind)
    return mails


def _written(folder: Path, mailbox: str) -> list[bytes]:
    return [path.read_bytes() for path in sorted(folder.glob(f"*{mailbox}@*.eml"))]


def _source_late(folder: Path) -> bytes:
    """Return the short mail of a day whose list could not be read, to a reader who had the day before's."""
    tomorrow = timezone.now() + DAY
    note = {"source": "huggingface", "list_dates": [f"{tomorrow.date() - DAY}"], "status": "failed", "new": 0}
    edition = make_edition(tomorrow.date(), coverage=[note | {"fetched_at": ""}])
    send_edition(edition, tomorrow.replace(hour=23, minute=59))
    return _written(folder, "one-star")[-1]


def _service_mail(folder: Path, kind: Mail.Kind) -> bytes:
    reader = make_subscriber(email=f"{kind}@example.org", state=STATES.get(kind, Subscriber.State.ACTIVE))
    now = timezone.now()
    emails.queue(reader, kind, now)
    with Provider() as provider:
        emails.send_due(now, provider.send)
    return _written(folder, kind)[-1]


def html_of(raw: bytes) -> str:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    part = message.get_body(("html",))
    assert part is not None
    return str(part.get_content())
