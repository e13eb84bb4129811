"""One list of a source, read as a whole: what its pages hold together, and whether that can be all."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from papers.models import Listing
from papers.records import Page, PaperRecord, Reject
from papers.sources import Source
from papers.sources.client import Client, SourceError

ALARM_DAYS = 7  # an older list that is empty is no news: few papers were announced in some fields then
FIELD_IS_OLD = 5  # papers; a field with fewer may just have been announced before, in another one


@dataclass(slots=True)
class ListReading:
    """Reads the list of ``date``; ``note`` is what the operator may want to know of it afterwards."""

    source: Source
    date: dt.date
    now: dt.datetime
    note: str = ""

    def of_pages(self, pages: Iterable[bytes]) -> Page:
        """Return what pages hold that are at hand; raise ``SourceError``."""
        return self._or_alarm(read_pages(self.source, pages, self.now))

    def of_source(self, client: Client) -> Page:
        """Fetch the list, and by its other way what the first one lacks; raise ``SourceError``."""
        page = read_pages(self.source, self.source.fetch(client, self.date), self.now)
        fetch_instead = self.source.fetch_instead
        if fetch_instead and self._is_of_today() and self._is_expected() and (fault := self._fault(page)):
            page = self._filled(page, fault, fetch_instead, client)
        return self._or_alarm(page)

    def _is_of_today(self) -> bool:
        return self.now < self.source.opens_at(self.date) + dt.timedelta(days=1)

    def _is_expected(self) -> bool:
        """Whether a list of that date without a single paper is a fault."""
        return self.source.why_no_list is not None and not self.source.why_no_list(self.date)

    def _or_alarm(self, page: Page) -> Page:
        """Return ``page``; raise ``SourceError`` if it is empty on a day of the last week that must have a list."""
        if self.source.why_no_list and not page.records:
            self.note = self.source.why_no_list(self.date)
            if not self.note and (self.now.date() - self.date).days <= ALARM_DAYS:
                raise SourceError(
                    f"nothing came for {self.date:%A %d %B %Y}, which is no weekend and no holiday that is known: the"
                    " list is late, or was put off without notice"
                )
        return page

    def _fault(self, page: Page) -> str:
        """Return what is wrong with a list by its papers, which do not lie as its date may; '' if nothing is.

        A feed may show yesterday's papers, all of them or those of one field, under today's date.
        """
        ours = [r for r in page.records if r.is_listed and (r.list_date or self.date) == self.date]
        old = self._listed_before([record.arxiv_id for record in ours])
        if len(old) == len(ours):
            return "the feed was still without the papers of the day"
        if self.source.LONGEST_LIST and page.sent >= self.source.LONGEST_LIST:
            return "the feed was cut off"
        fields = Counter(record.categories[:1] for record in ours)
        old_fields = Counter(record.categories[:1] for record in ours if record.arxiv_id in old)
        stale = sorted("".join(field) for field, n in old_fields.items() if n >= FIELD_IS_OLD and 2 * n > fields[field])
        return f"the feed held old papers of {', '.join(stale)}" if stale else ""

    def _listed_before(self, arxiv_ids: Sequence[str]) -> set[str]:
        before = Listing.objects.filter(source=self.source.NAME, list_date__lt=self.date)
        return set(before.filter(paper__arxiv_id__in=arxiv_ids).values_list("paper__arxiv_id", flat=True))

    def _filled(
        self, page: Page, fault: str, fetch: Callable[[Client, dt.date], Iterator[bytes]], client: Client
    ) -> Page:
        """Return the list with what its other way adds; raise ``SourceError`` if that way has nothing either."""
        try:
            more = read_pages(self.source, fetch(client, self.date), self.now)
        except SourceError as error:
            raise SourceError(f"{fault}, and {error}", retry_after_s=error.retry_after_s) from error
        if not more.records:
            raise SourceError(f"{fault}, and a search found nothing either")
        self.note = f"{fault}; a search found {len(more.records)} papers"
        return _joined([page, more], self.now)


def read_pages(source: Source, pages: Iterable[bytes], now: dt.datetime) -> Page:
    """Return what all pages hold together, each paper once.

    Raises ``SourceError`` for a page that is none, and where not one record of many is good.
    """
    return _joined(map(source.parse, pages), now)


def _joined(pages: Iterable[Page], now: dt.datetime) -> Page:
    records: dict[str, PaperRecord] = {}
    rejects: list[Reject] = []
    sent = 0
    for page in pages:
        sent += page.sent
        rejects += page.rejects
        for record in page.records:
            if record.list_date and record.list_date > now.astimezone(dt.UTC).date():
                rejects.append(Reject(record.arxiv_id, f"its list date {record.list_date} is in the future"))
            else:
                records.setdefault(record.arxiv_id, record)
    if rejects and not records:
        raise SourceError(f"none of {len(rejects)} records could be read; the first: {rejects[0].reason}")
    return Page(tuple(records.values()), tuple(rejects), repeats=sent - len(records) - len(rejects))
