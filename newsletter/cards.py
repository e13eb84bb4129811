"""A paper as a mail shows it."""

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple, TypedDict
from urllib.parse import urlsplit

from django.conf import settings
from django.utils.translation import get_language, gettext_lazy, ngettext
from django.utils.translation import gettext as _

from newsletter.languages import number
from newsletter.shortening import short, size, within
from papers.models import Paper
from papers.text import readable
from subscribers import tokens
from subscribers.emails import Link

# Characters; a hostile feed may hold a title of any length.
TITLE_LENGTH, NAME_LENGTH, SUMMARY_LENGTH, EVIDENCE_LENGTH = 300, 80, 320, 300
NAMED_AUTHORS = 3
_INVISIBLE = dict.fromkeys(
    [
        *range(0x20),
        *range(0x7F, 0xA0),
        0x61C,
        0x2028,
        0x2029,
        0x200E,
        0x200F,
        *range(0x202A, 0x202F),
        *range(0x2066, 0x206A),
    ],
    " ",
)


class Evidence(TypedDict):
    """Why a paper was picked, as ``DeliveryPicks.details`` keeps it; ``marks`` are spans in ``text``."""

    interest: str
    field: str
    text: str
    marks: list[tuple[int, int]]


class Segment(NamedTuple):
    """A part of an evidence's sentence, marked where it is what the reader asked for."""

    text: str
    is_marked: bool


class WhyLine(NamedTuple):
    """Why a paper is there: the evidence as it is stored, and what a mail says of it, made when it is asked for.

    ``number`` is that of the interest in the mail, from 1: by it the mail's link mutes it. It is all in which
    the lines of two readers differ who follow the same.
    """

    wording: str
    field: str
    text: str
    marks: tuple[tuple[int, ...], ...]
    is_short: bool
    number: int

    @property
    def interest(self) -> str:
        """The interest in the reader's wording."""
        visible = _visible(self.wording)
        return within(visible, SHORT_INTEREST) if self.is_short else visible

    @property
    def place(self) -> str:
        """Where the words stand, in the current language."""
        return place(self.field, get_language())

    @property
    def segments(self) -> Sequence[Segment]:
        """The words that stand there.

        Of a long sentence it is what stands around its first mark; of the title, which stands above, the
        marked words alone.
        """
        text, marks = _visible(self.text), self.marks
        if len(text) > EVIDENCE_LENGTH:
            text, marks = _excerpt(text, marks)
        segments = _segments(text, marks)
        if self.field == "title":
            segments = _marked_alone(segments)
        return _shortened(segments) if self.is_short else segments


@dataclass(frozen=True, slots=True)
class Card:
    """A paper as every mail of an edition shows it; ``url`` and every link are http or https.

    Where clicks are counted, they go on from the mail's own address, and ``is_counted`` says so.
    ``chance`` says of a second chance how the paper took off.
    """

    arxiv_id: str
    title: str
    url: str
    authors: str
    organisation: str
    list_date: dt.date
    upvotes: int | None
    gained: int
    summary: str
    links: tuple[Link, ...]
    chance: str = ""
    is_counted: bool = False
    _hash: int = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # A card is looked up for each mail that it stands in, and a hash of all its texts takes 1 us.
        object.__setattr__(self, "_hash", hash((self.arxiv_id, self.title, self.upvotes, self.summary, self.chance)))

    def __hash__(self) -> int:
        return self._hash


class Entry(NamedTuple):
    """A paper in one reader's mail."""

    card: Card
    why: tuple[WhyLine, ...]


# Where an evidence stands, as a sentence says it.
PLACES = {
    "title": gettext_lazy("in the title:"),
    "abstract": gettext_lazy("in the abstract:"),
    "keywords": gettext_lazy("among its keywords:"),
    "authors": gettext_lazy("by"),
    "organisation": gettext_lazy("from"),
    "categories": gettext_lazy("filed under"),
    "likeness": gettext_lazy("much alike, as in:"),
    "meaning": gettext_lazy("close in meaning:"),
}


# Looking a translation up takes as long as cutting a sentence at its marks.
@lru_cache(maxsize=256)
def place(field: str, _language: str | None) -> str:
    """Return where an evidence stands, in the current language, which the caller names."""
    return _visible(str(PLACES.get(field, field)))


def card(paper: Paper, list_date: dt.date, upvotes: int | None, gained: int = 0) -> Card:
    """Return the card of a paper; what a source wrote is hostile, so text is cleaned and URLs are chosen.

    ``upvotes`` are those at the edition's closing, ``gained`` those of the 24 hours before it.
    """
    found = addresses(paper)
    if settings.TRACK_CLICKS:
        found = _counted(paper, found)
    return Card(
        arxiv_id=paper.arxiv_id,
        title=short(paper.title, TITLE_LENGTH),
        url=found["abstract"],
        authors=_authors(paper.authors),
        organisation=readable(paper.organisation),
        list_date=list_date,
        upvotes=upvotes,
        gained=gained,
        summary=_summary(paper),
        links=_links(found),
        is_counted=settings.TRACK_CLICKS,
    )


def took_off(votes_then: int, votes_now: int, days: int) -> str:
    """Return the line of a second chance."""
    growth = ngettext(
        "It takes off: from %(then)s to %(now)s upvotes in %(n)d day",
        "It takes off: from %(then)s to %(now)s upvotes in %(n)d days",
        days,
    )
    return growth % {"then": number(votes_then), "now": number(votes_now), "n": days}


def why_line(evidence: Evidence, number: int) -> WhyLine:
    """Return the line of one piece of evidence, for the interest with this number in the mail."""
    marks = tuple(map(tuple, evidence["marks"]))
    return WhyLine(evidence["interest"], evidence["field"], evidence["text"], marks, False, number)


def _marked_alone(segments: Sequence[Segment]) -> Sequence[Segment]:
    """Return the marked segments with a gap between two, or all where none is marked."""
    marked = [segment for segment in segments if segment.is_marked]
    gaps = [part for segment in marked for part in (Segment(" … ", is_marked=False), segment)]
    return gaps[1:] or segments


def _visible(text: str) -> str:
    """Return ``text`` of the same length, with a space for each control character and each that reorders text."""
    return text if text.isprintable() else text.translate(_INVISIBLE)


def _excerpt(text: str, marks: Sequence[Sequence[int]]) -> tuple[str, tuple[tuple[int, int], ...]]:
    """Return the words around the first mark, and the marks that fall into them."""
    first = min((start for start, _ in marks), default=0)
    start = text.find(" ", max(0, first - EVIDENCE_LENGTH // 3)) + 1 if first > EVIDENCE_LENGTH // 3 else 0
    start = min(start, first)
    cut = short(text[start:], EVIDENCE_LENGTH)
    before = "…" if start else ""
    shift, end = start - len(before), len(before) + len(cut)
    inside = [(max(a - shift, 0), min(b - shift, end)) for a, b in marks if start <= a < start + len(cut)]
    return before + cut, tuple(inside)


def _own_page(paper: Paper) -> str:
    return tokens.link("papers:paper", paper.arxiv_id)


def addresses(paper: Paper) -> dict[str, str]:
    """Return where a mail may lead to from a paper, by what the address of a counted click calls it."""
    found = {
        "abstract": paper.abstract_url or _own_page(paper),
        "pdf": paper.pdf_url,
        "code": paper.code_url,
        "project": paper.project_url,
    }
    return {key: url for key, url in found.items() if _is_web(url)}


def _links(addresses: Mapping[str, str]) -> tuple[Link, ...]:
    labels = {"abstract": _("Abstract"), "pdf": _("PDF"), "code": _("Code"), "project": _("Project page")}
    return tuple(Link(labels[key], url) for key, url in addresses.items())


def _counted(paper: Paper, addresses: Mapping[str, str]) -> dict[str, str]:
    """Return the addresses behind which a click is noted, from the mail's own address on."""
    return {key: f"to/{paper.arxiv_id}/{key}" for key in addresses}


def _is_web(url: str) -> bool:
    """Say whether a link may stand in a mail: a feed may hold ``javascript:`` and worse."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url == readable(url) and " " not in url


def _authors(names: Sequence[str]) -> str:
    """Return ``First, Second, Third and 5 more``."""
    named = ", ".join(short(name, NAME_LENGTH) for name in names[:NAMED_AUTHORS])
    others = len(names) - NAMED_AUTHORS
    if others <= 0:
        return named
    return ngettext("%(named)s and %(n)d more", "%(named)s and %(n)d more", others) % {"named": named, "n": others}


def _summary(paper: Paper) -> str:
    """Return the TLDR or the abstract's beginning: whole sentences where they fill the space, else whole words."""
    text = readable(paper.tldr or paper.abstract)
    end = text.rfind(". ", 0, SUMMARY_LENGTH)
    if len(text) > SUMMARY_LENGTH and end > SUMMARY_LENGTH // 2:
        return text[: end + 1]
    return short(text, SUMMARY_LENGTH)


def _segments(text: str, marks: Iterable[Sequence[int]]) -> Sequence[Segment]:
    """Cut a sentence at its marks; marks that overlap become one."""
    segments: list[Segment] = []
    end = 0
    for start, stop in sorted(map(tuple, marks)):
        if stop <= max(start, end):
            continue
        if start > end:
            segments.append(Segment(text[end:start], is_marked=False))
        segments.append(Segment(text[max(start, end) : stop], is_marked=True))
        end = stop
    if end < len(text):
        segments.append(Segment(text[end:], is_marked=False))
    return segments


# In short ---------------------------------------------------------------------------------------

# Octets as encoded, where a letter beyond ASCII counts up to nine: a mail of 25 such papers stays small.
SHORT_TITLE, SHORT_AUTHORS, SHORT_ORGANISATION, SHORT_SUMMARY = 250, 90, 60, 120
SHORT_INTEREST, SHORT_EVIDENCE, LONGEST_URL = 60, 120, 150


def compact(entry: Entry) -> Entry:
    """Return an entry that takes little room, whatever a source wrote: one line of evidence, all texts cut."""
    card = entry.card
    shortened = replace(
        card,
        title=within(card.title, SHORT_TITLE),
        authors=within(card.authors, SHORT_AUTHORS),
        organisation=within(card.organisation, SHORT_ORGANISATION),
        summary=within(card.summary, SHORT_SUMMARY),
        links=tuple(link for link in card.links if len(link.url) <= LONGEST_URL),
    )
    return Entry(shortened, tuple(line._replace(is_short=True) for line in entry.why[:1]))


def _shortened(line: Iterable[Segment]) -> Sequence[Segment]:
    """Keep the first of what is marked, with some of what stands before and after it."""
    segments: list[Segment] = []
    room = SHORT_EVIDENCE
    for segment in line:
        text = within(segment.text, room)
        segments.append(Segment(text, segment.is_marked))
        room -= size(text)
        if text != segment.text or room <= 0:
            break
    return segments
