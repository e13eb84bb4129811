"""A paper as a mail shows it."""

import datetime as dt
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypedDict
from urllib.parse import urlsplit

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from papers.models import Paper
from papers.text import readable
from subscribers import tokens
from subscribers.emails import Link

# Characters; a hostile feed may hold a title of any length.
TITLE_LENGTH, NAME_LENGTH, SUMMARY_LENGTH = 300, 80, 320
NAMED_AUTHORS = 3


class Evidence(TypedDict):
    """Why a paper was picked, as ``DeliveryPicks.details`` keeps it; ``marks`` are spans in ``text``."""

    interest: str
    field: str
    text: str
    marks: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Segment:
    """A part of an evidence's sentence, marked where it is what the reader asked for."""

    text: str
    is_marked: bool


@dataclass(frozen=True, slots=True)
class WhyLine:
    """Why a paper is there: the interest in the reader's wording, the field, and the sentence."""

    interest: str
    field: str
    segments: tuple[Segment, ...]


@dataclass(frozen=True, slots=True)
class Card:
    """A paper as the mail shows it; ``url`` and every link are http or https."""

    title: str
    url: str
    authors: str
    organisation: str
    list_date: dt.date
    upvotes: int | None
    summary: str
    why: tuple[WhyLine, ...]
    links: tuple[Link, ...]


def card(paper: Paper, list_date: dt.date, why: Iterable[Evidence] = ()) -> Card:
    """Return the card of a paper; what a source wrote is hostile, so text is cleaned and URLs are chosen."""
    return Card(
        title=_short(paper.title, TITLE_LENGTH),
        url=paper.abstract_url or _own_page(paper),
        authors=_authors(paper.authors),
        organisation=readable(paper.organisation),
        list_date=list_date,
        upvotes=paper.upvotes,
        summary=_summary(paper),
        why=tuple(WhyLine(e["interest"], e["field"], _segments(e["text"], e["marks"])) for e in why),
        links=_links(paper),
    )


def _own_page(paper: Paper) -> str:
    return tokens.link("papers:paper", paper.arxiv_id)


def _links(paper: Paper) -> tuple[Link, ...]:
    links = [
        Link(_("Abstract"), paper.abstract_url or _own_page(paper)),
        Link(_("PDF"), paper.pdf_url),
        Link(_("Code"), paper.code_url),
        Link(_("Project page"), paper.project_url),
    ]
    return tuple(link for link in links if _is_web(link.url))


def _is_web(url: str) -> bool:
    """Say whether a link may stand in a mail: a feed may hold ``javascript:`` and worse."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and url == readable(url) and " " not in url


def _authors(names: Sequence[str]) -> str:
    """Return ``First, Second, Third and 5 more``."""
    named = ", ".join(_short(name, NAME_LENGTH) for name in names[:NAMED_AUTHORS])
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
    return _short(text, SUMMARY_LENGTH)


def _short(text: str, length: int) -> str:
    """Return at most ``length`` readable characters, cut between words where there is a gap near the end."""
    text = readable(text)
    if len(text) <= length:
        return text
    cut = text[: length - 1]
    words = cut.rpartition(" ")[0]
    return f"{words if len(words) > length // 2 else cut}…"


def _segments(text: str, marks: Iterable[Sequence[int]]) -> tuple[Segment, ...]:
    """Cut a sentence at its marks; marks that overlap become one."""
    segments, end = [], 0
    for start, stop in sorted((start, stop) for start, stop in marks):
        if stop <= end:
            continue
        segments += [Segment(text[end : max(start, end)], is_marked=False)]
        segments += [Segment(text[max(start, end) : stop], is_marked=True)]
        end = stop
    segments.append(Segment(text[end:], is_marked=False))
    return tuple(segment for segment in segments if segment.text)
