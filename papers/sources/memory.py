"""What a source last sent from an address, so that "not modified" has something to stand for."""

import datetime as dt
import zlib

from papers.models import Answer
from papers.sources.client import Kept

KEPT_FOR = dt.timedelta(days=3)  # today's and yesterday's lists are the ones polled again
MOST_KEPT = 40  # a backfill passes thousands of lists that nobody asks for again


class Memory:
    """Keeps the newest answer of each address of one source in the database.

    The whole answer is kept, not only its ETag: a 304 then is read and stored like any other
    answer, whatever happened to the list when it was sent in full. Unchanged votes become a
    snapshot like changed ones, since the source has just said that they still hold.
    """

    def __init__(self, source: str, now: dt.datetime) -> None:
        self.source = source
        self.now = now

    def recall(self, url: str) -> Kept | None:
        answer = Answer.objects.filter(source=self.source, url=url).first()
        return Kept(answer.etag, answer.last_modified, zlib.decompress(answer.body)) if answer else None

    def keep(self, url: str, kept: Kept) -> None:
        newest = Answer.objects.filter(source=self.source, kept_at__gte=self.now - KEPT_FOR).order_by("-kept_at", "-pk")
        kept_on = list(newest.values_list("pk", flat=True)[:MOST_KEPT])
        Answer.objects.filter(source=self.source).exclude(pk__in=kept_on).delete()
        values = {"etag": kept.etag, "last_modified": kept.last_modified, "body": zlib.compress(kept.body)}
        Answer.objects.update_or_create(source=self.source, url=url, defaults={**values, "kept_at": self.now})
