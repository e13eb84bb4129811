"""Plain functions that make valid rows; a test names only what it is about."""

import datetime as dt
import itertools
from typing import Any

from django.utils import timezone

from newsletter.models import Chunk, Delivery, DeliveryPicks, Edition, EditionPaper
from papers import archive
from papers.models import Listing, Paper
from papers.records import PaperRecord
from subscribers.models import Mail, Subscriber

_number = itertools.count(1)


def make_paper(*, list_date: dt.date | None = None, source: str = "huggingface", **fields: Any) -> Paper:
    """A paper with ten upvotes, listed on ``list_date`` if one is given."""
    n = next(_number)
    now = timezone.now()
    values = {
        "arxiv_id": f"2401.{n:05d}",
        "title": f"A made-up paper, number {n}",
        "abstract": "We made this paper up for a test. It claims nothing.",
        "authors": ["Ada Example", "Ben Example"],
        "categories": ["cs.CL"],
        "submitted_on": dt.date(2024, 1, 1),
        "upvotes": 10,
        "counted_at": now,
    }
    paper = Paper.objects.create(**(values | fields))
    archive.index([paper])
    if list_date:
        Listing.objects.create(paper=paper, source=source, list_date=list_date, stored_at=now)
    return paper


def make_record(**fields: Any) -> PaperRecord:
    """What a source may say of a paper with ten upvotes."""
    n = next(_number)
    values: dict[str, Any] = {
        "arxiv_id": f"2401.{n:05d}",
        "title": f"A made-up record, number {n}",
        "abstract": "We made this record up for a test. It claims nothing.",
        "authors": ("Ada Example", "Ben Example"),
        "upvotes": 10,
    }
    return PaperRecord(**(values | fields))


def make_daily_item(arxiv_id: str = "2607.00001", list_date: str = "2026-07-01", **paper: Any) -> dict[str, Any]:
    """One element of a Daily Papers list, with the keys that all of them have; ``paper`` changes the inner ones."""
    inner = {
        "id": arxiv_id,
        "authors": [{"_id": "a1", "name": "Ada Example", "hidden": False}],
        "publishedAt": "2026-06-29T00:00:00.000Z",
        "submittedOnDailyAt": f"{list_date}T00:00:00.000Z",
        "title": f"The paper {arxiv_id}",
        "summary": "An abstract. It has two sentences.",
        "upvotes": 7,
    }
    return {"paper": inner | paper, "publishedAt": "2026-06-28T20:00:00.000Z", "title": "Outer", "numComments": 1}


def make_subscriber(*, interests: tuple[str, ...] = (), mutes: tuple[str, ...] = (), **fields: Any) -> Subscriber:
    """An active, confirmed reader in UTC, a daily digest at 7."""
    from subscribers.interests import follow  # noqa: PLC0415 - only readers with interests need it

    values = {"email": f"reader{next(_number)}@example.org", "state": "active", "confirmed_at": timezone.now()}
    values |= fields
    if values["state"] == "unsubscribed":
        values.setdefault("unsubscribed_at", timezone.now())
    subscriber = Subscriber.objects.create(**values)
    for wording in interests:
        follow(subscriber, wording)
    for wording in mutes:
        follow(subscriber, wording, is_muted=True)
    return subscriber


def make_edition(date: dt.date | None = None, *, papers: tuple[Paper, ...] = (), **fields: Any) -> Edition:
    """A closed edition in which ``papers`` are new, in their order."""
    date = date or dt.date(2026, 7, 1)
    at = dt.datetime.combine(date, dt.time(4, 30), tzinfo=dt.UTC)
    values = {"date": date, "state": "closed", "scheduled_at": at, "closed_at": at, "new_count": len(papers)}
    edition = Edition.objects.create(**(values | fields))
    for rank, paper in enumerate(papers, start=1):
        EditionPaper.objects.create(
            edition=edition,
            paper=paper,
            role="new",
            new_by=["huggingface"],
            new_on=date,
            score=float(len(papers) - rank + 1),
            upvotes=paper.upvotes,
            rank=rank,
        )
    return edition


def make_delivery(edition: Edition | None = None, subscriber: Subscriber | None = None, **fields: Any) -> Delivery:
    """A pending delivery in a chunk of its own."""
    edition = edition or make_edition()
    chunk, _ = Chunk.objects.get_or_create(edition=edition, number=1)
    values = {"covers_from": edition.date, "local_date": edition.date, "chunk": chunk}
    return Delivery.objects.create(edition=edition, subscriber=subscriber or make_subscriber(), **(values | fields))


def make_mail(subscriber: Subscriber | None = None, **fields: Any) -> Mail:
    """A welcome mail to an active reader, due since 2026-07-01 12:00 UTC."""
    values = {"kind": "welcome", "next_attempt_at": dt.datetime(2026, 7, 1, 12, tzinfo=dt.UTC)}
    return Mail.objects.create(subscriber=subscriber or make_subscriber(), **(values | fields))


def make_digest(
    edition: Edition | None = None, subscriber: Subscriber | None = None, *, count: int = 2, **fields: Any
) -> Delivery:
    """A pending delivery with picks: the first ``count`` papers of its edition, as trending ones."""
    edition = edition or make_edition(papers=tuple(make_paper() for _ in range(count)))
    delivery = make_delivery(edition, subscriber, **fields)
    papers = list(EditionPaper.objects.filter(edition=edition).order_by("rank")[:count])
    DeliveryPicks.objects.create(
        delivery=delivery,
        paper_ids=[row.paper_id for row in papers],
        details=[{"paper": row.paper_id, "section": "trending", "score": row.score, "why": []} for row in papers],
        counts={"considered": len(papers), "matched": 0, "muted": 0, "sent_before": 0},
    )
    return delivery
