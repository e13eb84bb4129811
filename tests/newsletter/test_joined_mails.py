"""A mail joined out of parts says the same as one whose templates are rendered for it alone."""

import datetime as dt
import random
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from html.parser import HTMLParser
from typing import Any

import pytest
from django.core.mail import EmailMultiAlternatives
from django.utils import timezone
from django.utils.translation import get_language

from newsletter import bodies, messages, rendering, slots
from newsletter.models import Delivery, DeliveryPicks, Edition
from papers.models import Paper
from subscribers import emails
from subscribers.models import Subscriber
from tests.factories import make_delivery, make_edition, make_paper, make_subscriber
from tests.message_checks import check_message

pytestmark = pytest.mark.django_db

D = dt.date(2026, 7, 8)
URL = "https://papers.example.org"
ROUNDS, READERS = range(10), 100  # of each round's papers, for which all is drawn anew
# What a source, or a reader in their interests, may write.
HOSTILE = [
    "Robots that fold laundry",
    "<script>alert(1)</script> & 'quotes' \"double\"",
    "{{ settings.SECRET_KEY }} {% include 'x' %} %s %(n)d",
    "<think>so</think> </td></table> <!-- comment",
    "=3D=_boundary== --=_x --",
    ".\u00a0a dot first",
    "Ü" * 40,
    "永" * 500,
    "\u202ertl \u05e9\u05dc\u05d5\u05dd \u0627\u0644\u0633\u0644\u0627\u0645",
    "👩‍🔬🇪🇺 é",
    "x" * 2000,
    "a very long title of many words " * 60,
    "$O(n^2)$ \\mathcal{L}",
    "A\r\nBcc: other@example.org",
    slots.MARK[:6] + "0x" + " sz0xzh",
    " ",
]


@pytest.fixture(autouse=True)
def _public(settings):
    settings.PUBLIC_URL = URL
    settings.DEFAULT_FROM_EMAIL = "Paperboy <digest@papers.example.org>"
    settings.REPLY_TO = "desk@example.org"


def text(draw: random.Random) -> str:
    return " ".join(draw.sample(HOSTILE, draw.choice([1, 1, 1, 2])))


def some_paper(draw: random.Random) -> Paper:
    fields: dict[str, Any] = {
        "title": text(draw).strip() or "T",
        "abstract": text(draw) * draw.randrange(3),
        "tldr": draw.choice(["", text(draw)]),
        "authors": [text(draw)[:200] for _ in range(draw.choice([0, 1, 3, 4, 500]))],
        "organisation": draw.choice(["", text(draw)[:200]]),
        "code_url": draw.choice(["", "https://github.com/a/b?x=1&y='2'", "javascript:alert(1)"]),
        "is_sample": draw.random() < 0.05,
    }
    return make_paper(**fields)


def some_pick(draw: random.Random, paper: Paper, section: str) -> dict[str, object]:
    def evidence() -> dict[str, object]:
        sentence = text(draw)
        ends = sorted(draw.randrange(len(sentence) + 1) for _ in range(2 * draw.randrange(4)))
        marks = [list(pair) for pair in zip(ends[::2], ends[1::2], strict=True)]
        return {"interest": text(draw)[:200], "field": "title", "text": sentence, "marks": marks}

    why = [evidence() for _ in range(draw.randrange(3))] if section == "for_you" else []
    return {"paper": paper.pk, "section": section, "score": 1.0, "why": why}


def some_delivery(draw: random.Random, edition: Edition, papers: list[Paper], reader: Subscriber) -> Delivery:
    """A delivery that was never stored: what it holds is what its rows would."""
    chosen = draw.sample(papers, draw.choice([0, 1, 1, 1, 2, 2, 3, 3, 5, 9]))
    matched = draw.randrange(len(chosen) + 1)
    reader.unsubscribe_token, reader.hour = f"{draw.getrandbits(131):022x}"[:22], draw.randrange(24)
    reader.frequency = draw.choice(["daily", "weekdays", "weekly"])
    delivery = Delivery(
        edition=edition,
        subscriber=reader,
        covers_from=draw.choice([D, D - dt.timedelta(days=3)]),
        local_date=D,
        created_at=timezone.now(),
        token=f"{draw.getrandbits(131):022x}"[:22],
    )
    DeliveryPicks(
        delivery=delivery,
        form="digest" if chosen else "source_late",
        paper_ids=[paper.pk for paper in chosen],
        details=[
            some_pick(draw, paper, "for_you" if number < matched else "trending") for number, paper in enumerate(chosen)
        ],
        counts={"considered": 23, "matched": matched, "muted": draw.randrange(2), "sent_before": draw.randrange(2)},
    )
    return delivery


def rendered_whole(delivery: Delivery, of: rendering.Material) -> EmailMultiAlternatives:
    """The same mail by Django alone: its templates, and its serialisation."""
    ours = messages.message(delivery, of)
    digest = bodies.fitted(rendering.digest(delivery, of), bodies.Look(get_language() or "", of.version))
    context = emails.frame(
        digest.subject, digest.preheader, links=digest.links, footer=(*digest.checked, digest.why_you_get_this)
    )
    text, html = emails.render("emails/digest", context | {"digest": digest, "is_sample": digest.is_sample})
    message = EmailMultiAlternatives(
        subject=ours.subject,
        body=text,
        from_email=ours.from_email,
        to=ours.to,
        reply_to=ours.reply_to,
        headers=ours.extra_headers,
    )
    message.attach_alternative(html, "text/html")
    return message


def serialised(message):
    return message.message().as_bytes(linesep="\r\n")


class Events(HTMLParser):
    """What a page says: its tags with their attributes, and the text between them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[object] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, sorted(attrs)))

    def handle_endtag(self, tag):
        self.seen.append(tag)

    def handle_data(self, data):
        self.seen.append(data)


def parsed(raw: bytes) -> tuple[list[tuple[str, str]], list[tuple[str, str]], str, list[object]]:
    """Return the headers, the parts' kinds and charsets, the text, and what the HTML says."""
    message = BytesParser(policy=policy.default.clone(raise_on_defect=True)).parsebytes(raw)
    assert isinstance(message, EmailMessage)
    plain, html = message.iter_parts()
    # Django folds a long encoded subject right after the colon, which leaves a space.
    headers = sorted((name, str(value).strip()) for name, value in message.items() if name != "Content-Type")
    kinds = [(part.get_content_type(), str(part.get_content_charset())) for part in (message, plain, html)]
    return headers, kinds, plain.get_content(), Events(html.get_content()).seen


@pytest.mark.parametrize("seed", ROUNDS)
def test_joined_mails_equal_those_rendered_whole_and_serialised_by_django(seed):
    draw = random.Random(seed)
    reader = make_subscriber()
    note = {"source": "huggingface", "status": "ok", "new": 3, "list_dates": [], "fetched_at": "2026-07-08T03:10:00Z"}
    papers = [some_paper(draw) for _ in range(25)]
    edition = make_edition(D, papers=tuple(papers), coverage=[note])
    deliveries = [some_delivery(draw, edition, papers, reader) for _ in range(READERS)]
    of = rendering.material(deliveries)
    for delivery in deliveries:
        ours = messages.message(delivery, of).as_bytes()
        theirs = serialised(rendered_whole(delivery, of))
        for said, expected in zip(parsed(ours), parsed(theirs), strict=True):
            assert said == expected


@pytest.mark.parametrize("title", HOSTILE, ids=range(len(HOSTILE)))
def test_a_digest_of_25_hostile_papers_is_small_and_well_formed(title):
    papers = [make_paper(title=f"{title} {n}", abstract=title * 9, authors=[title[:200]] * 9) for n in range(25)]
    evidence = {"interest": title[:200], "field": "title", "text": title, "marks": [[0, 3], [5, 9]]}
    delivery = make_delivery(make_edition(D, papers=tuple(papers)))
    DeliveryPicks(
        delivery=delivery,
        paper_ids=[paper.pk for paper in papers],
        details=[{"paper": paper.pk, "section": "for_you", "score": 1.0, "why": [evidence] * 3} for paper in papers],
        counts={"considered": 25, "matched": 25, "muted": 0, "sent_before": 0},
    )
    message = messages.message(delivery)

    assert check_message(message.as_bytes(), URL) == []
    assert str(message.body).count("https://arxiv.org/abs/") == 25


def test_a_mail_is_the_same_bytes_however_often_it_is_made():
    draw = random.Random(1)
    papers = [some_paper(draw) for _ in range(25)]
    delivery = some_delivery(draw, make_edition(D, papers=tuple(papers)), papers, make_subscriber())

    assert messages.message(delivery).as_bytes() == messages.message(delivery).as_bytes()
    assert serialised(messages.message(delivery)) == messages.message(delivery).as_bytes()
