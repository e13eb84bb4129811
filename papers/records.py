"""The one frozen shape that every source yields, and the checks that keep hostile values out of it."""

import datetime as dt
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LONGEST_URL = 500  # of Paper's columns
LONGEST_TITLE = 1_000
LONGEST_ABSTRACT = 20_000
LONGEST_NAME = 200
LARGEST_COUNT = 2**31 - 1  # of PostgreSQL's integer columns

# https://info.arxiv.org/help/arxiv_identifier.html: YYMM.number since April 2007, archive/number before.
_ID = re.compile(r"\d{2}(?:0[1-9]|1[0-2])\.\d{4,5}|[a-z]+(?:-[a-z]+)*(?:\.[A-Za-z-]{2,20})?/\d{7}", re.ASCII)
_AROUND_ID = re.compile(r"(?:(?:oai:)?arxiv(?:\.org)?:)?(.+?)(?:v[1-9]\d{0,3})?", re.ASCII | re.IGNORECASE | re.DOTALL)
_NOT_IN_A_URL = re.compile(r"[\x00-\x20\x7f-\xa0<>\"\\^`{|}\u2028\u2029\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class PaperRecord:
    """A paper as one source told of it; raises ``ValueError`` without a bare arXiv id and a title.

    '' and () mean that the source does not say, None anything else that it does not give.
    ``list_date`` is the source's own; None means the date that was asked for. A record that is not
    listed is news of a paper, which makes no Listing, and nothing at all of a paper that is not known.
    """

    arxiv_id: str
    title: str
    abstract: str = ""
    authors: tuple[str, ...] = ()
    organisation: str = ""
    categories: tuple[str, ...] = ()
    submitted_on: dt.date | None = None
    updated_on: dt.date | None = None
    version: int | None = None
    comment: str = ""
    tldr: str = ""
    keywords: tuple[str, ...] = ()
    code_url: str = ""
    project_url: str = ""
    thumbnail_url: str = ""
    is_withdrawn: bool | None = None
    is_sample: bool = False
    upvotes: int | None = None
    comment_count: int | None = None
    github_stars: int | None = None
    list_date: dt.date | None = None
    is_listed: bool = True

    def __post_init__(self) -> None:
        if not is_arxiv_id(self.arxiv_id):
            raise ValueError(f"{self.arxiv_id[:40]!r} is no arXiv id")
        if not self.title:
            raise ValueError("the title is missing")


@dataclass(frozen=True, slots=True)
class Reject:
    """A record that was refused: its id as far as it could be read, and why."""

    id: str
    reason: str


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer of a source held, in its order; ``repeats`` are items of a paper that stands there already."""

    records: tuple[PaperRecord, ...]
    rejects: tuple[Reject, ...] = ()
    repeats: int = 0

    @property
    def sent(self) -> int:
        """How many items there were, good, bad or twice."""
        return len(self.records) + len(self.rejects) + self.repeats


def is_arxiv_id(text: str) -> bool:
    """Whether ``text`` is an arXiv id of the new or the old style, without a version."""
    return len(text) <= 32 and _ID.fullmatch(text) is not None


def bare_id(text: str) -> str:
    """Return the arXiv id in ``text`` without prefix and version; raise ``ValueError`` if there is none.

    ``arXiv:2401.12345v2`` and ``oai:arXiv.org:2401.12345`` both are ``2401.12345``.
    """
    match = _AROUND_ID.fullmatch(text.strip()[:100])
    if not match or not is_arxiv_id(match[1]):
        raise ValueError(f"{text[:40]!r} is no arXiv id")
    return match[1]


def web_url(value: object) -> str:
    """Return ``value`` if it is a web address that a page may link to, else ''.

    Feeds are hostile: only http and https, no user:password (it makes one site look like
    another), nothing that could end an attribute, at most 500 characters.
    """
    if not isinstance(value, str) or len(value) > LONGEST_URL or _NOT_IN_A_URL.search(value):
        return ""
    try:
        url = urlsplit(value)
        is_host = bool(url.hostname) and "@" not in url.netloc and url.port != 0
    except ValueError:  # a port or an IPv6 address that is none
        return ""
    return value if is_host and url.scheme in {"http", "https"} else ""


def count(value: object) -> int | None:
    """Return ``value`` if it is a whole number that a counter can be, else None."""
    if not isinstance(value, int) or isinstance(value, bool):
        return None
    return value if 0 <= value <= LARGEST_COUNT else None


def read_date(text: str) -> dt.date:
    """Return the date written as ``2026-07-01``; raise ``ValueError`` that says how to write one."""
    try:
        date = dt.date.fromisoformat(text)
    except ValueError:
        date = None
    if date is None or date.isoformat() != text:
        raise ValueError(f"“{text[:40]}” is no date; write one such as 2026-07-01")
    return date
