"""What a reader's digest holds: the papers that fit them, or why there is none."""

import datetime as dt
import logging
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain

from django.db.models import Max

from newsletter import editions
from newsletter.coverage import failed_sources
from newsletter.indexes import candidates
from newsletter.models import Delivery, DeliveryPicks, Edition, EditionPaper
from newsletter.schedule import COVERED, Due
from papers import bulk
from papers.archive import document
from papers.index import Document
from papers.models import Paper
from subscribers import chances
from subscribers.candidates import Candidates
from subscribers.interests import wishes_of
from subscribers.models import Subscriber
from subscribers.selection import Preferences, Reader, Selection, Then, select_all
from subscribers.votes import opinions

logger = logging.getLogger(__name__)

Reason, Form = Delivery.Reason, DeliveryPicks.Form

# The reader has it, or may have it by the end of the call that is under way.
MAY_BE_SENT = [*Delivery.SENT, Delivery.State.SENDING]
NOTHING = Selection(picks=(), considered=0, matched=0, muted=0)


@dataclass(frozen=True, slots=True)
class Covered:
    """The papers of the editions that a digest covers, ready to be matched.

    ``chances`` are those of before that take off now, and ``then`` how they stood when they were new.
    ``failed_since`` is set where none of them holds a new paper because a source failed: the date
    of the edition with which that failure began.
    """

    candidates: Candidates
    chances: Candidates | None
    then: Mapping[int, Then]
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
    """An edition as one call of planning reads it; what digests cover is indexed once for each span of editions."""

    def __init__(self, edition: Edition) -> None:
        self.edition = edition
        self.editions = list(editions.closed().filter(date__lte=edition.date)[: 2 * COVERED])[::-1]
        self._covered: dict[dt.date, Covered] = {}
        self.documents: dict[int, Document] = {}

    @cached_property
    def rows(self) -> list[EditionPaper]:
        """The candidates; read when the first reader is due, for planning looks every minute."""
        of_edition = EditionPaper.objects.filter(edition=self.edition).select_related("paper").order_by("rank")
        visible = of_edition.filter(paper__is_hidden=False, paper__is_withdrawn=False)
        return list(visible.only("edition", "new_on", "takes_off", "score", "rank", "paper__changed_at"))

    @cached_property
    def shared_editions(self) -> list[int]:
        """The editions before that hold one of the candidates: only there can a reader have been sent one."""
        before = EditionPaper.objects.filter(edition__date__lt=self.edition.date)
        shared = before.filter(paper__in=[row.paper_id for row in self.rows])
        return list(shared.order_by().values_list("edition_id", flat=True).distinct())

    def read(self, papers: Collection[int]) -> None:
        """Read those papers that readers voted on and that were not read before into ``documents``."""
        if new := set(papers) - self.documents.keys():
            self.documents |= {paper.pk: document(paper) for paper in Paper.objects.filter(pk__in=new)}

    def covered(self, since: dt.date) -> Covered:
        if since not in self._covered:
            rows = [row for row in self.rows if row.new_on >= since]
            again = [row for row in self.rows if row.new_on < since and row.takes_off]
            span = [edition for edition in self.editions if edition.date >= since]
            self._covered[since] = Covered(
                candidates=candidates(self.edition.pk, rows),
                chances=candidates(self.edition.pk, again) if again else None,
                then=self._then(again),
                has_new=any(edition.new_count for edition in span),
                failed_since=self._failed_since(span),
            )
        return self._covered[since]

    def _then(self, rows: Collection[EditionPaper]) -> Mapping[int, Then]:
        """Return how these papers stood in the edition in which they were new."""
        new_on = {row.paper_id: row.new_on for row in rows}
        before = EditionPaper.objects.filter(paper__in=new_on, edition__date__in=set(new_on.values()))
        return {
            paper: Then(upvotes or 0, (self.edition.date - date).days)
            for paper, date, upvotes in before.values_list("paper", "edition__date", "upvotes")
            if date == new_on[paper]
        }

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
    batch = list(batch)
    readers = [reader for reader, _ in batch]
    if book.edition.state == Edition.State.CANCELLED:
        return {reader.pk: Content(reason=Reason.CANCELLED) for reader in readers}
    told = _told(book, readers)
    found: dict[int, Content] = {}
    wanted = _wanted(book, readers)
    for since in sorted({due.covers_from for _, due in batch}):
        covered, group = book.covered(since), [reader for reader, due in batch if due.covers_from == since]
        if covered.has_new:
            found |= _selected(covered, {reader.pk: wanted[reader.pk] for reader in group})
        else:
            found |= {reader.pk: _without_papers(reader, covered, told.get(reader.pk)) for reader in group}
    return found


def _without_papers(reader: Subscriber, covered: Covered, told_on: dt.date | None) -> Content:
    """Decide on a digest without a new paper; ``told_on`` is the edition of the last mail about a failed source."""
    is_told = covered.failed_since and told_on and told_on >= covered.failed_since
    if covered.failed_since and reader.wants_late_notice and not is_told:
        return Content(Form.SOURCE_LATE)
    return Content(reason=Reason.NOTHING_NEW)


def _selected(covered: Covered, readers: Mapping[int, Reader]) -> dict[int, Content]:
    """Choose the papers of all these readers at once, and one by one if that fails for any of them."""
    try:
        chosen = _chosen(covered, list(readers.values()))
    except Exception as error:  # the boundary: one reader's broken interest stops nobody else's digest
        if len(readers) > 1:
            return {
                pk: content for pk, reader in readers.items() for content in _selected(covered, {pk: reader}).values()
            }
        logger.exception("reader %s: no digest could be chosen", *readers)
        failure = Content(error=f"no digest could be chosen: {type(error).__name__}: {error}"[:500])
        return dict.fromkeys(readers, failure)
    return {
        pk: Content(selection=selection, reason="" if selection.picks else Reason.NO_MATCH)
        for pk, selection in zip(readers, chosen, strict=True)
    }


def _chosen(covered: Covered, readers: Sequence[Reader]) -> list[Selection]:
    chosen = select_all(covered.candidates, readers)
    if covered.chances is None:
        return chosen
    asked = [replace(reader, preferences=chances.WANTED) for reader in readers]
    return [
        chances.with_chances(one, [pick._replace(then=covered.then[pick.paper_id]) for pick in more.picks], reader)
        for one, more, reader in zip(chosen, select_all(covered.chances, asked), readers, strict=True)
    ]


def _wanted(book: Book, readers: Collection[Subscriber]) -> Mapping[int, Reader]:
    """Return what each reader asked for and had."""
    ids = [reader.pk for reader in readers]
    wishes, sent, thoughts = wishes_of(ids), _sent_before(book, readers), opinions(ids)
    book.read({paper for opinion in thoughts.values() for paper in chain(*opinion)})
    return {
        reader.pk: Reader(
            wishes[reader.pk],
            Preferences(
                reader.paper_count, reader.trending_weight, reader.wants_trending, reader.wants_trending_if_no_match
            ),
            sent[reader.pk],
            liked=[book.documents[paper] for paper in thoughts[reader.pk].liked],
            disliked=[book.documents[paper] for paper in thoughts[reader.pk].disliked],
        )
        for reader in readers
    }


def _sent_before(book: Book, readers: Collection[Subscriber]) -> Mapping[int, set[int]]:
    """Return the papers that each reader has had, among the editions that share one with this."""
    sent: defaultdict[int, set[int]] = defaultdict(set)
    had = DeliveryPicks.objects.filter(
        delivery__subscriber__in=bulk.among(reader.pk for reader in readers),
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
