"""arXiv's four formats, read into records: the announcement feed as RSS or Atom, the search API's Atom, OAI-PMH.

Source: https://info.arxiv.org/help/api/user-manual.html, /help/rss_specifications.html, /help/oa/index.html
"""

import datetime as dt
import email.utils
import re
from collections.abc import Callable, Iterable
from typing import NamedTuple
from xml.etree import ElementTree as ET

from django.conf import settings

from papers.records import Page, PaperRecord, Reject, bare_id
from papers.sources import arxiv_calendar as calendar
from papers.sources.arxiv_fields import (
    is_withdrawn,
    read_categories,
    read_id,
    read_names,
    read_text,
    read_title,
    split_names,
)
from papers.sources.client import SourceError
from papers.text import readable

Element = ET.Element
Reader = Callable[[Element], PaperRecord]

ATOM = "{http://www.w3.org/2005/Atom}"
ARXIV = "{http://arxiv.org/schemas/atom}"
DC = "{http://purl.org/dc/elements/1.1/}"
OAI = "{http://www.openarchives.org/OAI/2.0/}"
RAW = "{http://arxiv.org/OAI/arXivRaw/}"
PLAIN = "{http://arxiv.org/OAI/arXiv/}"


def parse(page: bytes) -> Page:
    """Return what a page holds; raise ``SourceError`` if it is none of arXiv's, or says that something is wrong."""
    root = _tree(page)
    if root.tag == "rss":
        return _rss(root)
    if root.tag == f"{ATOM}feed":
        return _atom(root)
    if root.tag == f"{OAI}OAI-PMH":
        return _oai(root)
    raise SourceError(f"arXiv sent XML that is neither a feed nor OAI-PMH: <{readable(root.tag)[:80]}>")


# XML --------------------------------------------------------------------------------------------

_NOT_IN_XML = {n: None for n in range(32) if n not in {9, 10, 13}} | {0xFFFE: None, 0xFFFF: None}
_NUMBERED = re.compile(r"&#(?:x([0-9A-Fa-f]{1,8})|([0-9]{1,10}));")


class _Builder(ET.TreeBuilder):
    """Builds a tree of a document that declares nothing of its own: no entity can grow in it."""

    def doctype(self, *_: object) -> None:
        raise SourceError("arXiv sent XML with a document type, which none of its formats has")


def _tree(page: bytes) -> Element:
    start = page.lstrip()[:64].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        raise SourceError("arXiv sent an HTML page instead of a list; it may be down: try again later")
    if not start:
        raise SourceError("arXiv sent an empty answer instead of a list: try again later")
    # One bad character must not cost the whole list.
    text = _NUMBERED.sub(_legal, page.decode("utf-8-sig", "replace").translate(_NOT_IN_XML))
    parser = ET.XMLParser(target=_Builder())  # noqa: S314 - no document type, so no entities
    try:
        parser.feed(re.sub(r"^\s*<\?xml[^>]*\?>", "", text, count=1))
        tree: Element = parser.close()
    except ET.ParseError as error:
        raise SourceError(f"arXiv sent XML that is broken or cut off ({error}): try again later") from error
    return tree


def _legal(match: re.Match[str]) -> str:
    """Return a numbered character as it stands, or nothing where XML does not allow it."""
    number = int(match[1], 16) if match[1] else int(match[2])
    is_legal = number in {9, 10, 13} or 32 <= number < 0xD800 or 0xE000 <= number < 0xFFFE or 0xFFFF < number < 0x110000
    return match[0] if is_legal else ""


def _page(elements: Iterable[Element], read: Reader, id_of: Callable[[Element], str]) -> Page:
    records, rejects = [], []
    for element in elements:
        try:
            records.append(read(element))
        except ValueError as error:
            rejects.append(Reject(readable(id_of(element))[:40], readable(str(error))))
    return Page(tuple(records), tuple(rejects))


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


# The announcement feed --------------------------------------------------------------------------


def _rss(root: Element) -> Page:
    channel = root.find("channel")
    if channel is None:
        raise SourceError("arXiv sent a feed without a channel")
    if _text(channel, "title").startswith("Feed error"):
        raise SourceError(f"arXiv refused the feed: {readable(_text(channel, 'description'))[:200]}")
    return _page(channel.iterfind("item"), _item, lambda item: _text(item, "guid"))


class _Item(NamedTuple):
    """An item of the feed, whichever format it came in."""

    place: str
    title: str
    description: str
    announce_type: str
    creators: list[str]
    categories: list[str]
    announced_at: dt.datetime | None


def _item(item: Element) -> PaperRecord:
    return _announced(
        _Item(
            place=_text(item, "guid") or _text(item, "link"),
            title=_text(item, "title"),
            description=_text(item, "description"),
            announce_type=_text(item, f"{ARXIV}announce_type"),
            creators=[element.text or "" for element in item.iterfind(f"{DC}creator")],
            categories=[element.text or "" for element in item.iterfind("category")],
            announced_at=_mail_date(_text(item, "pubDate")),
        )
    )


_DESCRIPTION = re.compile(r"\s*arXiv:\S+\s+Announce Type:\s*([\w-]*)\s+Abstract:\s*", re.IGNORECASE)


def _announced(item: _Item) -> PaperRecord:
    """Return what the feed tells; an item that only brings a known paper up to date is not listed."""
    arxiv_id, version = read_id(item.place)
    head = _DESCRIPTION.match(item.description)
    abstract = item.description[head.end() :] if head else item.description
    announced_as = item.announce_type or (head[1] if head else "") or "new"
    return PaperRecord(
        arxiv_id=arxiv_id,
        title=read_title(item.title),
        abstract=read_text(abstract),
        authors=split_names(", ".join(item.creators)),
        categories=read_categories(item.categories),
        version=version,
        # The feed has no comments, so a withdrawal may go unsaid there: only “yes” means something.
        is_withdrawn=is_withdrawn(version, "", abstract) or None,
        list_date=calendar.today(item.announced_at) if item.announced_at else None,
        is_listed=announced_as in settings.ARXIV_ANNOUNCED,
    )


def _mail_date(text: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"its date is none: {text[:40]}") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


# The search API, and the announcement feed as Atom ----------------------------------------------


def _atom(feed: Element) -> Page:
    if _text(feed, f"{ATOM}title").startswith("Feed error"):
        raise SourceError(f"arXiv refused the feed: {readable(_text(feed, f'{ATOM}subtitle'))[:200]}")
    entries = feed.findall(f"{ATOM}entry")
    for entry in entries:
        if _text(entry, f"{ATOM}title") == "Error" and "/api/errors" in _text(entry, f"{ATOM}id"):
            raise SourceError(f"arXiv refused the request: {readable(_text(entry, f'{ATOM}summary'))[:200]}")
    return _page(entries, _entry, lambda entry: _text(entry, f"{ATOM}id").rpartition("/abs/")[2])


def _entry(entry: Element) -> PaperRecord:
    terms = [element.get("term", "") for element in entry.iterfind(f"{ATOM}category")]
    if entry.find(f"{ARXIV}announce_type") is not None:
        return _announced(
            _Item(
                place=_text(entry, f"{ATOM}id"),
                title=_text(entry, f"{ATOM}title"),
                description=_text(entry, f"{ATOM}summary"),
                announce_type=_text(entry, f"{ARXIV}announce_type"),
                creators=[element.text or "" for element in entry.iterfind(f"{DC}creator")],
                categories=terms,
                announced_at=_moment(_text(entry, f"{ATOM}published")),
            )
        )
    primary = entry.find(f"{ARXIV}primary_category")
    return _found(entry, [primary.get("term", "") if primary is not None else "", *terms])


def _found(entry: Element, categories: list[str]) -> PaperRecord:
    """Return an entry of the search API, which tells when a paper was submitted and not when it was announced."""
    arxiv_id, version = read_id(_text(entry, f"{ATOM}id"))
    submitted_at = _moment(_text(entry, f"{ATOM}published"))
    updated_at = _moment(_text(entry, f"{ATOM}updated"))
    abstract, comment = _text(entry, f"{ATOM}summary"), _text(entry, f"{ARXIV}comment")
    return PaperRecord(
        arxiv_id=arxiv_id,
        title=read_title(_text(entry, f"{ATOM}title")),
        abstract=read_text(abstract),
        authors=read_names(_text(author, f"{ATOM}name") for author in entry.iterfind(f"{ATOM}author")),
        categories=read_categories(categories),
        submitted_on=submitted_at.date() if submitted_at else None,
        updated_on=updated_at.date() if updated_at else None,
        version=version,
        comment=read_text(comment),
        is_withdrawn=is_withdrawn(version, comment, abstract),
        list_date=calendar.list_date(submitted_at) if submitted_at else None,
    )


def _moment(text: str) -> dt.datetime | None:
    if not text:
        return None
    try:
        moment = dt.datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(f"its date is none: {text[:40]}") from error
    if not 1991 <= moment.year <= 2200:  # arXiv began in 1991; a calendar must be able to count on from here
        raise ValueError(f"its date is none: {text[:40]}")
    return moment if moment.tzinfo else moment.replace(tzinfo=dt.UTC)


# OAI-PMH ----------------------------------------------------------------------------------------


def _oai(root: Element) -> Page:
    error = root.find(f"{OAI}error")
    if error is not None and error.get("code") == "noRecordsMatch":
        return Page(())
    if error is not None:
        raise SourceError(f"arXiv's OAI-PMH refused: {readable(error.text or error.get('code') or '')[:300]}")
    return _page(root.iter(f"{OAI}record"), _oai_record, lambda record: _text(record, f"{OAI}header/{OAI}identifier"))


def _oai_record(record: Element) -> PaperRecord:
    """Return news of a paper: OAI-PMH does not tell when it was announced, so nothing is listed by it."""
    header, metadata = record.find(f"{OAI}header"), record.find(f"{OAI}metadata")
    if header is not None and header.get("status") == "deleted":
        raise ValueError("it was deleted")
    if metadata is None or not len(metadata):
        raise ValueError("it has no metadata")
    if metadata[0].tag == f"{RAW}arXivRaw":
        return _raw(metadata[0])
    # A template of arXiv's own leaves the inner namespace out.
    if metadata[0].tag in {f"{PLAIN}arXiv", f"{OAI}arXiv"}:
        return _plain(metadata[0], metadata[0].tag.removesuffix("arXiv"))
    name = "oai_dc" if "/oai_dc/" in metadata[0].tag else metadata[0].tag.rpartition("}")[2][:40]
    raise ValueError(f"its format is {name}, which tells no versions: ask for arXivRaw")


def _raw(paper: Element) -> PaperRecord:
    versions = sorted(_versions(paper))
    version, updated_at = versions[-1] if versions else (None, None)
    abstract, comment = _text(paper, f"{RAW}abstract"), _text(paper, f"{RAW}comments")
    return PaperRecord(
        arxiv_id=bare_id(_text(paper, f"{RAW}id")),
        title=read_title(_text(paper, f"{RAW}title")),
        abstract=read_text(abstract),
        authors=split_names(_text(paper, f"{RAW}authors")),
        categories=read_categories(_text(paper, f"{RAW}categories").split()),
        submitted_on=versions[0][1].date() if versions and versions[0][0] == 1 else None,
        updated_on=updated_at.date() if updated_at else None,
        version=version,
        comment=read_text(comment),
        is_withdrawn=is_withdrawn(version, comment, abstract),
        is_listed=False,
    )


def _versions(paper: Element) -> Iterable[tuple[int, dt.datetime]]:
    for element in paper.iterfind(f"{RAW}version"):
        number = re.fullmatch(r"v([1-9]\d{0,3})", element.get("version", ""), re.ASCII)
        moment = _mail_date(_text(element, f"{RAW}date"))
        if not number or not moment:
            raise ValueError("a version has no number or no date")
        yield int(number[1]), moment


def _plain(paper: Element, space: str) -> PaperRecord:
    abstract, comment = _text(paper, f"{space}abstract"), _text(paper, f"{space}comments")
    created, updated = _moment(_text(paper, f"{space}created")), _moment(_text(paper, f"{space}updated"))
    return PaperRecord(
        arxiv_id=bare_id(_text(paper, f"{space}id")),
        title=read_title(_text(paper, f"{space}title")),
        abstract=read_text(abstract),
        authors=read_names(
            f"{_text(author, f'{space}forenames')} {_text(author, f'{space}keyname')} {_text(author, f'{space}suffix')}"
            for author in paper.iterfind(f"{space}authors/{space}author")
        ),
        categories=read_categories(_text(paper, f"{space}categories").split()),
        submitted_on=created.date() if created else None,
        updated_on=(updated or created).date() if updated or created else None,  # type: ignore[union-attr]
        comment=read_text(comment),
        is_withdrawn=is_withdrawn(None, comment, abstract),
        is_listed=False,
    )
