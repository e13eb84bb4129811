"""A morning's rows in bulk: an edition with papers, readers, and their digests with picks, ready to be sent."""

import datetime as dt
import random
import re
from collections.abc import Sequence

from django.utils import timezone

from newsletter.models import Chunk, Delivery, DeliveryPicks, Edition, EditionPaper
from papers.models import Paper
from subscribers.models import Subscriber

PAPERS, PICKS, FOR_YOU = 60, 10, 7
INTERESTS = 2000  # distinct; readers share the popular ones, as they do topics
DATE, DAY = dt.date(2026, 7, 8), dt.timedelta(days=1)
CHUNK = 500
BATCH = 10_000
WORDS = re.findall(
    r"\w+",
    "a model of language learns from few examples what larger ones need data for we show that attention over long "
    "contexts costs less than it seems when memory is shared and that robots agents and graphs gain from it in the end",
)


def words(draw: random.Random, number: int) -> str:
    return " ".join(draw.choices(WORDS, k=number)).capitalize()


def make_papers(draw: random.Random) -> list[Paper]:
    """Store papers of the usual length: title 75 characters, summary 300, five authors, code for half of them."""
    return Paper.objects.bulk_create(
        Paper(
            arxiv_id=f"2607.{n:05d}",
            title=words(draw, 14),
            abstract=". ".join(words(draw, 22) for _ in range(10)),
            authors=[f"{words(draw, 1)} Example" for _ in range(5)],
            organisation=words(draw, 3),
            categories=["cs.CL"],
            submitted_on=DATE,
            upvotes=n,
            counted_at=timezone.now(),
            code_url=f"https://github.com/example/{n}" if n % 2 else "",
        )
        for n in range(PAPERS)
    )


def make_edition(papers: Sequence[Paper], date: dt.date = DATE) -> Edition:
    at = dt.datetime.combine(date, dt.time(4, 30), tzinfo=dt.UTC)
    note = {"source": "huggingface", "status": "ok", "new": PAPERS, "list_dates": [f"{DATE}"], "reason": ""}
    edition = Edition.objects.create(
        date=date,
        state="closed",
        scheduled_at=at,
        closed_at=at,
        new_count=len(papers),
        coverage=[note | {"fetched_at": at.isoformat()}],
    )
    EditionPaper.objects.bulk_create(
        EditionPaper(
            edition=edition,
            paper=paper,
            role="new",
            new_by=["huggingface"],
            new_on=date,
            score=1,
            upvotes=n,
            rank=n + 1,
        )
        for n, paper in enumerate(papers)
    )
    return edition


def make_readers(number: int, name: str = "reader") -> list[Subscriber]:
    now = timezone.now()
    return Subscriber.objects.bulk_create(
        (Subscriber(email=f"{name}{n}@example.org", state="active", confirmed_at=now) for n in range(number)),
        batch_size=BATCH,
    )


class Picker:
    """Draws picks: papers by their popularity, and the sentences that say why."""

    def __init__(self, draw: random.Random, papers: Sequence[Paper]) -> None:
        self.draw, self.ids = draw, [paper.pk for paper in papers]
        self.interests = [words(draw, 2) for _ in range(INTERESTS)]
        self.sentences = {paper.pk: paper.abstract.split(". ") for paper in papers}

    def picks(self, delivery: Delivery) -> DeliveryPicks:
        chosen = self.draw.sample(self.ids, PICKS)
        details = [
            {
                "paper": pk,
                "section": "for_you" if number < FOR_YOU else "trending",
                "score": 0.5,
                "why": [self.why(pk) for _ in range(self.draw.choice([1, 1, 2]))] if number < FOR_YOU else [],
            }
            for number, pk in enumerate(chosen)
        ]
        counts = {"considered": PAPERS, "matched": FOR_YOU + self.draw.randrange(5), "muted": 0, "sent_before": 0}
        return DeliveryPicks(delivery=delivery, paper_ids=chosen, details=details, counts=counts)

    def why(self, pk: int) -> dict[str, object]:
        text = self.draw.choice(self.sentences[pk])
        start = self.draw.randrange(len(text) - 20)
        interest = self.interests[int(INTERESTS * self.draw.random() ** 3)]
        return {"interest": interest, "field": "abstract", "text": text, "marks": [[start, start + 12]]}


def make_deliveries(edition: Edition, readers: Sequence[Subscriber], picker: Picker) -> list[int]:
    """Store a delivery with picks for each reader, in chunks; return the chunks' ids."""
    chunks = Chunk.objects.bulk_create(
        Chunk(edition=edition, number=number) for number in range(1, (len(readers) - 1) // CHUNK + 2)
    )
    for start in range(0, len(readers), BATCH):
        deliveries = Delivery.objects.bulk_create(
            Delivery(
                edition=edition,
                subscriber=reader,
                covers_from=DATE,
                local_date=DATE,
                chunk=chunks[(start + n) // CHUNK],
            )
            for n, reader in enumerate(readers[start : start + BATCH])
        )
        DeliveryPicks.objects.bulk_create(picker.picks(delivery) for delivery in deliveries)
    return [chunk.pk for chunk in chunks]
