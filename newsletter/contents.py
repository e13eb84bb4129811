"""What a reader's digest holds: the papers that fit them, or why there is none."""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from django.db.models import Max, prefetch_related_objects

from newsletter import editions
from newsletter.coverage import failed_sources
from newsletter.models import Delivery, DeliveryPicks, Edition, EditionPaper
from newsletter.schedule import COVERED, Due
from papers.index import PaperIndex
from papers.search import build_index
from subscribers.interests import wishes
from subscribers.models import Subscriber
from subscribers.selection import Preferences, Selection, select

logger = logging.getLogger(__name__)

Reason, Form = Delivery.Reason, DeliveryPicks.Form

# The reader has it, or may have it by the end of the call that is under way.
MAY_BE_SENT = [*Delivery.SENT, Delivery.State.SENDING]
NOTHING = Selection(picks=(), considered=0, matched=0, muted=0)


@dataclass(frozen=True, slots=True)
class Covered:
    """The papers of the editions that a digest covers, ready to be matched.

    ``failed_since`` is set where none of them holds a new paper because a source failed: the date
    of the edition with which that failure began.
    """

    index: PaperIndex
    trending: Mapping[int, float]
    has_new: bool
    failed_since: dt.date | None


@dataclass(frozen=True, slots=True)
class Content:
    """What a reader's digest is: a form and picks, or the reason or the error why there is none."""

    form: str = Form.DIGEST
    selection: Selection = NOTHING
    reason: str = ""
    error: str = ""


class Book:
    """The papers of an edition, read once, and indexed once for each span of editions that digests cover."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.editions = list(editions.closed().filter(date__lte=edition.date)[: 2 * COVERED])[::-1]
        self._covered: dict[dt.date, Covered] = {}

    @cached_property
    def rows(self) -> list[EditionPaper]:
        """The candidates; read when the first reader is due, for planning looks every minute."""
        candidates = EditionPaper.objects.filter(edition=self.edition, role__in=["new", "earlier"])
        visible = candidates.filter(paper__is_hidden=False, paper__is_withdrawn=False)
        return list(visible.select_related("paper").order_by("rank"))

    @cached_property
    def shared_editions(self) -> list[int]:
        """The editions that hold one of the candidates: only there can a reader have been sent one before."""
        shared = EditionPaper.objects.filter(paper__in=[row.paper_id for row in self.rows])
        return list(shared.order_by().values_list("edition_id", flat=True).distinct())

    def covered(self, since: dt.date) -> Covered:
        if since not in self._covered:
            rows = [row for row in self.rows if row.new_on >= since]
            span = [edition for edition in self.editions if edition.date >= since]
            self._covered[since] = Covered(
                index=build_index(row.paper for row in rows),
                trending={row.paper_id: row.score for row in rows},
                has_new=any(edition.new_count for edition in span),
                failed_since=self._failed_since(span),
            )
        return self._covered[since]

    def _failed_since(self, span: Sequence[Edition]) -> dt.date | None:
        failed = next((sources for e in reversed(span) if (sources := failed_sources(e))), frozenset())
        began = None
        for edition in reversed(self.editions):
            if edition.new_count or (began and not failed & failed_sources(edition)):
                break
            if failed & failed_sources(edition):
                began = edition.date
        return began


def contents(book: Book, batch: Iterable[tuple[Subscriber, Due]]) -> dict[int, Content]:
    """Return what each reader's digest is, by the reader's id; the number of queries does not grow with them."""
    readers = [reader for reader, _ in batch]
    if book.edition.state == Edition.State.CANCELLED:
        return {reader.pk: Content(reason=Reason.CANCELLED) for reader in readers}
    prefetch_related_objects(readers, "follows")
    sent, told = _sent_before(book, readers), _told(book, readers)
    return {
        reader.pk: _content_or_error(reader, book.covered(due.covers_from), sent[reader.pk], told.get(reader.pk))
        for reader, due in batch
    }


def _content_or_error(reader: Subscriber, covered: Covered, sent: Collection[int], told_on: dt.date | None) -> Content:
    try:
        return _content(reader, covered, sent, told_on)
    except Exception as error:  # the boundary: one reader's broken interest stops nobody else's digest
        logger.exception("reader %s: no digest could be chosen", reader.pk)
        return Content(error=f"no digest could be chosen: {type(error).__name__}: {error}"[:500])


def _content(reader: Subscriber, covered: Covered, sent: Collection[int], told_on: dt.date | None) -> Content:
    """Decide on one reader's digest; ``told_on`` is the edition of their last mail about a failed source."""
    if not covered.has_new:
        is_told = covered.failed_since and told_on and told_on >= covered.failed_since
        if covered.failed_since and reader.wants_late_notice and not is_told:
            return Content(Form.SOURCE_LATE)
        return Content(reason=Reason.NOTHING_NEW)
    wanted = Preferences(
        reader.paper_count, reader.trending_weight, reader.wants_trending, reader.wants_trending_if_no_match
    )
    selection = select(covered.index, covered.trending, wishes(reader), wanted, sent_before=sent)
    return Content(selection=selection, reason="" if selection.picks else Reason.NO_MATCH)


def _sent_before(book: Book, readers: Collection[Subscriber]) -> Mapping[int, set[int]]:
    """Return the papers that each reader has had, among the editions that share one with this."""
    sent: defaultdict[int, set[int]] = defaultdict(set)
    had = DeliveryPicks.objects.filter(
        delivery__subscriber__in=readers,
        delivery__state__in=MAY_BE_SENT,
        delivery__edition__in=book.shared_editions,
    )
    for reader, paper_ids in had.values_list("delivery__subscriber", "paper_ids"):
        sent[reader].update(paper_ids)
    return sent


def _told(book: Book, readers: Collection[Subscriber]) -> Mapping[int, dt.date]:
    """Return the editions of the readers' last mails about a failed source; asked only in such a case."""
    if book.editions[-1].new_count or not any(failed_sources(edition) for edition in book.editions):
        return {}
    mails = Delivery.objects.filter(
        subscriber__in=readers, picks__form=Form.SOURCE_LATE, state__in=[*MAY_BE_SENT, *Delivery.OPEN]
    )
    return dict(mails.order_by().values_list("subscriber").annotate(Max("edition__date")))
