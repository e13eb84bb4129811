"""One story, from a source's answer to a suppression, on the embedded default."""

import datetime as dt
import email
import email.message
import email.policy
import json
import re
from pathlib import Path

import pytest
import time_machine
from django.test import Client
from pytest_httpserver import HTTPServer
from werkzeug import Request, Response

from newsletter import tick
from newsletter.models import Delivery
from subscribers.forms import stamp
from subscribers.models import Subscriber, Suppression
from tests.factories import make_daily_item
from tests.message_checks import check_message

pytestmark = pytest.mark.django_db(transaction=True)

URL = "https://papers.example.org"
WEDNESDAY = dt.datetime(2026, 7, 8, 9, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
LISTS = {
    "2026-07-07": [
        make_daily_item("2607.00001", "2026-07-07", title="Robots that fold towels", upvotes=40),
        make_daily_item("2607.00002", "2026-07-07", title="A survey of the weather", upvotes=90),
        make_daily_item("2607.00003", "2026-07-07", title="Robots in surgery", upvotes=70),
    ],
    "2026-07-08": [make_daily_item("2607.00004", "2026-07-08", title="Robots that iron", upvotes=5)],
    "2026-07-09": [make_daily_item("2607.00005", "2026-07-09", title="Robots that cook", upvotes=5)],
}


@pytest.fixture(autouse=True)
def instance(settings, tmp_path: Path, httpserver: HTTPServer):
    settings.PUBLIC_URL = URL
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"
    settings.SERVICE_FROM_EMAIL = "Paperboy <hello@papers.example.org>"
    settings.EMAIL_BACKEND = "newsletter.providers.OutboxBackend"
    settings.EMAIL_FILE_PATH = tmp_path
    settings.ANYMAIL = {"WEBHOOK_SECRET": "user:secret"}
    settings.HUGGINGFACE_URL = httpserver.url_for("").rstrip("/")

    def answer(request: Request) -> Response:
        items = LISTS.get(request.args["date"], []) if request.args.get("p", "0") == "0" else []
        return Response(json.dumps(items), content_type="application/json")

    httpserver.expect_request("/api/daily_papers").respond_with_handler(answer)


class Outbox:
    """The mails that were written since it was last read."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.read = folder, set[Path]()

    def new(self) -> list[bytes]:
        files = set(self.folder.glob("*.eml")) - self.read
        self.read |= files
        return [file.read_bytes() for file in sorted(files)]


def text_of(raw: bytes) -> str:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    body = message.get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def path_in(raw: bytes, page: str) -> str:
    """Return the address of one of our pages that a mail links to, without the host."""
    found = re.search(rf"{URL}(/{page})", text_of(raw))
    assert found is not None
    return found[1]


def test_from_a_sources_answer_to_a_suppression(client: Client, tmp_path: Path) -> None:
    outbox = Outbox(tmp_path)
    with time_machine.travel(WEDNESDAY, tick=False) as clock:
        # A reader signs up and confirms; the confirmation is a row until the next tick.
        form = {"email": "ada@example.org", "interests": "robots -surgery", "timezone": "Europe/Berlin"}
        form["started"] = stamp(WEDNESDAY - dt.timedelta(minutes=1))
        assert client.post("/subscribe", form).status_code == 303
        tick.tick(WEDNESDAY)
        [confirmation] = outbox.new()
        assert "robots" not in text_of(confirmation)
        link = path_in(confirmation, r"c/[\w-]+")
        assert client.get(link).status_code == 200
        assert Subscriber.objects.get().state == "pending"
        assert client.post(link).status_code in {200, 303}
        assert Subscriber.objects.get().state == "active"

        # The edition of the day is closed already; the first digest is due at once.
        report = tick.tick(WEDNESDAY)
        assert report["deliver"] == [sent(edition="2026-07-08")]
        digest, welcome = sorted(outbox.new(), key=lambda raw: b"Feedback-ID: service" in raw)
        assert b"service" in welcome
        assert check_message(digest, URL) == []
        text = text_of(digest)
        assert 'You follow "robots -surgery", in the title: *Robots*' in text
        for_you, trending = text.split("FOR YOU")[1].split("TRENDING TODAY")
        assert "fold towels" in for_you
        assert "surgery" not in for_you.replace("robots -surgery", "")
        assert "weather" in trending

        # Nothing goes twice. The link in the mail opens the preferences; looking at the way out changes nothing.
        tick.tick(WEDNESDAY)
        assert outbox.new() == []
        assert "robots -surgery" in client.get(path_in(digest, r"m/[\w-]+/preferences")).text
        assert client.get(path_in(digest, r"u/[\w-]+")).status_code == 200
        assert Subscriber.objects.get().state == "active"

        # Next morning there is one new paper, and at seven in Berlin one mail.
        thursday = WEDNESDAY + DAY
        clock.move_to(thursday.replace(hour=4, minute=40))
        assert tick.tick(thursday.replace(hour=4, minute=40))["deliver"] == [sent("2026-07-09", due=0)]
        clock.move_to(thursday.replace(hour=5, minute=0))
        assert tick.tick(thursday.replace(hour=5, minute=0))["deliver"] == [sent("2026-07-09")]
        [second] = outbox.new()
        assert "Robots that iron" in text_of(second)
        assert "fold towels" not in text_of(second)

        # The provider reports a complaint; nothing is sent any more, and it says why.
        complaint = {
            "RecordType": "SpamComplaint",
            "Type": "SpamComplaint",
            "ID": 1,
            "Email": "ada@example.org",
            "BouncedAt": thursday.isoformat(),
            "Metadata": {"id": Delivery.objects.get(edition__date=thursday.date()).message_id[1:33]},
        }
        headers = {"Authorization": "Basic dXNlcjpzZWNyZXQ="}
        for _ in range(2):
            answer = client.post(
                "/anymail/postmark/tracking/", complaint, content_type="application/json", headers=headers
            )
            assert answer.status_code == 200
        assert Suppression.objects.get().reason == "complaint"
        clock.move_to(thursday + DAY)
        report = tick.tick(thursday + DAY)
        assert report["deliver"] == [sent("2026-07-10") | {"sent": 0, "skipped": {"suppressed": 1}}]
        assert outbox.new() == []
        states = Delivery.objects.order_by("edition__date").values_list("state", "reason")
        assert list(states) == [("accepted", ""), ("complained", ""), ("skipped", "suppressed")]


def sent(edition: str, due: int = 1) -> dict[str, object]:
    nothing = {"skipped": {}, "failed": 0, "unknown": 0, "retry": 0, "pending": 0}
    return {"edition": edition, "due": due, "sent": due} | nothing
