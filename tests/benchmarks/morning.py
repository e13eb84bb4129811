"""A morning's rows in bulk: an edition with papers, readers, and their digests with picks, ready to be sent."""

import datetime as dt
import random
import re
from collections import defaultdict
from collections.abc import Sequence
from itertools import accumulate, chain

from django.utils import timezone

from newsletter.models import Chunk, Delivery, DeliveryPicks, Edition, EditionPaper
from papers.models import Paper
from subscribers.models import Subscriber

PAPERS, PICKS, FOR_YOU = 60, 10, 7
INTERESTS, FOLLOWS, ANSWERS = 2000, 5, 5  # distinct interests, each reader's, and papers that answer one
DATE, DAY = dt.date(2026, 7, 8), dt.timedelta(days=1)
CHUNK = 500
BATCH = 10_000
WORDS = re.findall(
    r"\w+",
    "a model of language learns from few examples what larger ones need data for we show that attention over long "
    "contexts costs less than it seems when memory is shared and that robots agents and graphs gain from it in the end",
)

Why = dict[str, object]


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
    """Draws what the planner would choose: the papers that answer most of a reader's interests, then the edition's top.

    Readers have five interests each, by Zipf's law, and evidence is a matter of the interest and the
    paper, so that readers share it: 1,000 mails hold 10,600 lines of it, 2,500 distinct. The planner gives
    1,000 readers of ``crowd.Crowd`` with as many interests 10,500 and 930 out of 60 recorded papers, 13,600
    and 2,700 out of 300.
    """

    def __init__(self, draw: random.Random, papers: Sequence[Paper]) -> None:
        self.draw, self.ids = draw, [paper.pk for paper in papers]
        self.shares = list(accumulate(1 / number for number in range(1, INTERESTS + 1)))
        self.answers = [self._answers(words(draw, 2), papers) for _ in range(INTERESTS)]

    def _answers(self, interest: str, papers: Sequence[Paper]) -> dict[int, Why]:
        return {paper.pk: self._why(interest, paper) for paper in self.draw.sample(papers, ANSWERS)}

    def _why(self, interest: str, paper: Paper) -> Why:
        field = self.draw.choice(["title", "abstract"])
        text = paper.title if field == "title" else self.draw.choice(paper.abstract.split(". "))
        start = self.draw.randrange(len(text) - 20)
        return {"interest": interest, "field": field, "text": text, "marks": [[start, start + 12]]}

    def picks(self, delivery: Delivery) -> DeliveryPicks:
        asked = set(self.draw.choices(range(INTERESTS), cum_weights=self.shares, k=FOLLOWS))
        found: defaultdict[int, list[Why]] = defaultdict(list)
        for pk, why in chain.from_iterable(self.answers[number].items() for number in sorted(asked)):
            found[pk].append(why)
        for_you = sorted(found, key=lambda pk: -len(found[pk]))[:FOR_YOU]
        trending = [pk for pk in self.ids if pk not in for_you][: PICKS - len(for_you)]
        details = [
            *({"paper": pk, "section": "for_you", "score": 0.5, "why": found[pk]} for pk in for_you),
            *({"paper": pk, "section": "trending", "score": 0.5, "why": []} for pk in trending),
        ]
        counts = {"considered": PAPERS, "matched": len(found), "muted": 0, "sent_before": 0}
        return DeliveryPicks(delivery=delivery, paper_ids=[*for_you, *trending], details=details, counts=counts)


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
