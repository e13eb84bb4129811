"""arXiv: what it announces each weekday, and what it knows of any paper.

The day's list is the announcement feed. The list of an earlier day, and what the feed lacks, come
from the search API by the time of submission; revisions and withdrawals from OAI-PMH. All of it is
read by ``arxiv_xml``, which tells the formats apart.
"""

import datetime as dt
import html
import re
from collections.abc import Iterator, Sequence

from django.conf import settings
from django.utils import timezone

from papers.sources import arxiv_calendar as calendar
from papers.sources.arxiv_xml import parse
from papers.sources.client import Client, SourceError

__all__ = ["parse"]

NAME = "arxiv"
TITLE = "arXiv"
LAG = 0  # the feed of a date is out at its midnight, half an hour before the edition closes

# https://info.arxiv.org/help/api/tou.html: over all machines that one controls.
SECONDS_BETWEEN_REQUESTS = 3.0
COOL_DOWN_S = 90.0  # it answers 429 below its documented limit; 30 to 150 seconds were found to help
IS_ANNOUNCED_ONCE = True
LONGEST_LIST = 2_000  # the feed holds no more, and drops the new papers first

# The feed until it is there, then for latecomers; on the six days after, once a day by search,
# since the API may miss papers for days.
POLLED_AFTER = tuple(dt.timedelta(hours=h) for h in (0, 1, 4, 8, *(24 * day + 10 for day in range(1, 7))))

PAGE_SIZE = 1_000  # of the search API, whose default of ten also cuts lists of ids
MOST_PAGES = 50
IDS_AT_ONCE = 100
PHYSICS = frozenset(
    {
        "astro-ph", "cond-mat", "gr-qc", "hep-ex", "hep-lat", "hep-ph", "hep-th", "math-ph", "nlin", "nucl-ex",
        "nucl-th", "physics", "quant-ph",
    }
)  # fmt: skip

opens_at = calendar.opens_at
why_no_list = calendar.why_no_list


def base_urls() -> tuple[str, ...]:
    return (settings.ARXIV_API_URL, settings.ARXIV_RSS_URL, settings.ARXIV_OAI_URL)


# The list of a date -----------------------------------------------------------------------------


def fetch(client: Client, date: dt.date) -> Iterator[bytes]:
    """Yield the feed if ``date`` is arXiv's today, else the answers of a search."""
    today = calendar.today(timezone.now())
    if date > today:
        raise SourceError(f"{TITLE} announces {date} at {opens_at(date):%Y-%m-%d %H:%M} UTC: try again then")
    return _feed(client) if date == today else fetch_instead(client, date)


def _feed(client: Client) -> Iterator[bytes]:
    categories = "+".join(settings.ARXIV_CATEGORIES)
    yield client.get(f"{settings.ARXIV_RSS_URL}/rss/{categories}", {}, is_remembered=True)


def fetch_instead(client: Client, date: dt.date) -> Iterator[bytes]:
    """Yield what a search finds of the papers that were submitted in time for the list of ``date``.

    Pages behind the first are empty at random, so none is asked for: the next search begins with
    the last moment that the one before had reached.
    """
    window = calendar.submitted_between(date)
    if window is None:
        return
    start, end = window
    for _ in range(MOST_PAGES):
        page = _search(client, start, end)
        yield page
        reached = _last_submission(page)
        if _count(page) >= _total(page) or reached is None or not start < reached < end:
            return
        start = reached
    raise SourceError(f"{TITLE} sent more than {MOST_PAGES} pages for {date}")


def _search(client: Client, start: dt.datetime, end: dt.datetime) -> bytes:
    """Return the papers submitted from ``start`` to before ``end``, the oldest first."""
    categories = " OR ".join(f"cat:{category}" for category in settings.ARXIV_CATEGORIES)
    until = end - dt.timedelta(minutes=1)  # the API counts in minutes, and its ranges include their end
    wanted = {
        "search_query": f"({categories}) AND submittedDate:[{start:%Y%m%d%H%M} TO {until:%Y%m%d%H%M}]",
        "sortBy": "submittedDate",
        "sortOrder": "ascending",
        "start": "0",
        "max_results": f"{PAGE_SIZE}",
    }
    return client.get(f"{settings.ARXIV_API_URL}/api/query", wanted)


def _count(page: bytes) -> int:
    return len(re.findall(rb"<entry\b", page))


def _total(page: bytes) -> int:
    said = re.search(rb"<opensearch:totalResults[^<>]*>\s*(\d{1,9})\s*<", page)
    return int(said[1]) if said else 0


def _last_submission(page: bytes) -> dt.datetime | None:
    stamps = re.findall(rb"<published>\s*(\d{4}-\d\d-\d\dT\d\d:\d\d):\d\dZ\s*</published>", page)
    try:
        return max((dt.datetime.fromisoformat(f"{stamp.decode()}+00:00") for stamp in stamps), default=None)
    except ValueError:
        return None


# News of known papers ---------------------------------------------------------------------------


def fetch_details(client: Client, arxiv_ids: Sequence[str]) -> Iterator[bytes]:
    """Yield what the search API knows of papers, given by their ids."""
    for first in range(0, len(arxiv_ids), IDS_AT_ONCE):
        some = arxiv_ids[first : first + IDS_AT_ONCE]
        wanted = {"id_list": ",".join(some), "start": "0", "max_results": f"{len(some)}"}
        yield client.get(f"{settings.ARXIV_API_URL}/api/query", wanted)


def fetch_revisions(client: Client, since: dt.date) -> Iterator[bytes]:
    """Yield everything in our categories that changed since a date: new versions, withdrawals, comments."""
    for category in settings.ARXIV_CATEGORIES:
        yield from _harvest(client, {"metadataPrefix": "arXivRaw", "set": _set_of(category), "from": f"{since}"})


def _harvest(client: Client, wanted: dict[str, str]) -> Iterator[bytes]:
    seen: set[str] = set()
    for _ in range(MOST_PAGES):
        page = client.get(f"{settings.ARXIV_OAI_URL}/oai", {"verb": "ListRecords", **wanted})
        yield page
        token = _resumption_token(page)
        if not token:
            return
        if token in seen:
            raise SourceError(f"{TITLE}'s OAI-PMH leads in circles: the same resumption token came twice")
        seen.add(token)
        wanted = {"resumptionToken": token}
    raise SourceError(f"{TITLE}'s OAI-PMH sent more than {MOST_PAGES} pages")


def _resumption_token(page: bytes) -> str:
    """Return the token of the next page, '' on the last, which has an empty one or none."""
    found = re.search(rb"<resumptionToken\b[^<>]*>([^<>]*)</resumptionToken>", page)
    return html.unescape(found[1].decode("utf-8", "replace")).strip() if found else ""


def _set_of(category: str) -> str:
    """Return the OAI set of a category: cs.AI is cs:cs:AI, hep-th is physics:hep-th."""
    archive = category.partition(".")[0]
    return f"{'physics' if archive in PHYSICS else archive}:{category.replace('.', ':')}"
