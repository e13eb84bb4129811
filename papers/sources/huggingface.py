"""Hugging Face Daily Papers: one list per weekday, curated by its users, with upvotes.

Every quirk below was seen in recorded answers of 2024 to 2026. The raw JSON is read because
``huggingface_hub`` drops half of it and takes a date that is hours off.
"""

import datetime as dt
import json
import re
from collections.abc import Iterator

from django.conf import settings

from papers.records import (
    LONGEST_ABSTRACT,
    LONGEST_NAME,
    LONGEST_TITLE,
    Page,
    PaperRecord,
    Reject,
    bare_id,
    count,
    web_url,
)
from papers.sources.client import Client, SourceError
from papers.text import prose, readable

NAME = "huggingface"
TITLE = "Hugging Face"
LAG = 1  # yesterday's list has had a day of votes when the edition closes

PAGE_SIZE = 100  # the largest that is honoured; without it 50 are sent and the rest is cut silently
MOST_PAGES = 20  # the longest list on record has 104 papers
MOST_KEYWORDS = 50


def base_urls() -> tuple[str, ...]:
    return (settings.HUGGINGFACE_URL,)


def headers() -> dict[str, str]:
    """Return the token that doubles the number of requests, where the operator has one."""
    return {"Authorization": f"Bearer {settings.HF_TOKEN}"} if settings.HF_TOKEN else {}


def fetch(client: Client, date: dt.date) -> Iterator[bytes]:
    """Yield the pages of the list of ``date`` up to the first empty one: a short page may not be the last."""
    for number in range(MOST_PAGES):
        wanted = {"date": f"{date}", "limit": f"{PAGE_SIZE}", "p": f"{number}"}
        page = client.get("/api/daily_papers", wanted, is_remembered=True)
        if re.fullmatch(rb"\s*\[\s*\]\s*", page):
            return
        yield page
    raise SourceError(f"{TITLE} sent more than {MOST_PAGES} pages for {date}")


def parse(page: bytes) -> Page:
    """Return what the page holds; raise ``SourceError`` if it is no list.

    What a paper cannot do without (id, title, abstract, authors, dates, votes) rejects the record
    when it is of a wrong type; what merely decorates it is left out. Every key may be absent.
    """
    records, rejects = [], []
    for item in _items(page):
        try:
            records.append(_record(item))
        except ValueError as error:
            rejects.append(Reject(_id_of(item), readable(str(error))))
    return Page(tuple(records), tuple(rejects))


def _items(page: bytes) -> list[object]:
    try:
        items = json.loads(page, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        kind = "an HTML page" if page.lstrip()[:1] == b"<" else "something unreadable" if page else "an empty answer"
        raise SourceError(
            f"{TITLE} sent {kind} instead of a list of papers in JSON; it may be down: try again later"
        ) from error
    if not isinstance(items, list):
        raise SourceError(f"{TITLE} sent no list of papers: {readable(str(items))[:100]}")
    return items


def _whole_number(digits: str) -> object:
    """One absurd number must not make the whole page unreadable, as ``int`` of 5,000 digits would."""
    return int(digits) if len(digits) < 20 else digits


def _record(item: object) -> PaperRecord:
    outer = _mapping(item, "the record")
    paper = _mapping(outer.get("paper"), "“paper”")
    return PaperRecord(
        arxiv_id=bare_id(_text(paper, "id")),
        title=_title(paper, outer),
        abstract=_text(paper, "summary")[:LONGEST_ABSTRACT].rstrip(),
        authors=_authors(paper.get("authors")),
        organisation=_organisation(paper.get("organization")) or _organisation(outer.get("organization")),
        # The outer publishedAt is this one minus four or five hours, still labelled Z.
        submitted_on=_date(paper, "publishedAt"),
        tldr=_decoration(paper.get("ai_summary")),
        keywords=_keywords(paper.get("ai_keywords")),
        code_url=web_url(paper.get("githubRepo")),
        project_url=web_url(paper.get("projectPage")),
        thumbnail_url=web_url(outer.get("thumbnail")),
        upvotes=_votes(paper),
        comment_count=count(outer.get("numComments")),
        github_stars=count(paper.get("githubStars")),
        list_date=_date(paper, "submittedOnDailyAt"),  # absent before 2025-03-17
    )


def _id_of(item: object) -> str:
    paper = item.get("paper") if isinstance(item, dict) else None
    found = paper.get("id") if isinstance(paper, dict) else None
    return readable(found)[:40] if isinstance(found, str) else ""


def _mapping(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ValueError(f"{what} is no JSON object")  # noqa: TRY004 - a bad value, which rejects the record
    return value


def _text(mapping: dict[str, object], key: str) -> str:
    value = mapping.get(key)
    if not isinstance(value, str | None):
        raise ValueError(f"“{key}” is no text")  # noqa: TRY004
    return prose(value or "")


def _title(paper: dict[str, object], outer: dict[str, object]) -> str:
    title = _text(paper, "title") or _text(outer, "title")
    if len(title) > LONGEST_TITLE:
        raise ValueError(f"the title has {len(title)} characters")
    return title


def _authors(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise ValueError("“authors” is no list")  # noqa: TRY004
    names = (_text(_mapping(author, "an author"), "name")[:LONGEST_NAME] for author in value)
    return tuple(name for name in names if name)


def _date(mapping: dict[str, object], key: str) -> dt.date | None:
    stamp = _text(mapping, key)
    try:
        return dt.date.fromisoformat(stamp[:10]) if stamp else None
    except ValueError:
        raise ValueError(f"“{key}” is no date: {stamp[:40]}") from None


def _votes(paper: dict[str, object]) -> int | None:
    votes = count(paper.get("upvotes"))
    if votes is None and paper.get("upvotes") is not None:
        raise ValueError("“upvotes” is no count")
    return votes


def _decoration(value: object) -> str:
    return prose(value)[:LONGEST_ABSTRACT] if isinstance(value, str) else ""


def _organisation(value: object) -> str:
    if not isinstance(value, dict):
        return ""
    return (_decoration(value.get("fullname")) or _decoration(value.get("name")))[:LONGEST_NAME]


def _keywords(value: object) -> tuple[str, ...]:
    words = (_decoration(word)[:LONGEST_NAME] for word in value) if isinstance(value, list) else ()
    return tuple(dict.fromkeys(word for word in words if word))[:MOST_KEYWORDS]
