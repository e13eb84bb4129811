"""What a source is, and the sources there are: a new one is a module here and a line in ``SOURCES``."""

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from types import ModuleType
from typing import Any

from django.conf import settings

from papers.records import Page
from papers.sources import arxiv, huggingface
from papers.sources.client import Client
from papers.sources.memory import Memory
from papers.sources.pace import pace_of

# Votes grow most in two days; what takes off later is seen by one look at the end of each day of the week.
HOURLY_THEN_DAILY = tuple(dt.timedelta(hours=n) for n in (*range(48), *range(71, 24 * 7, 24)))


def _utc_midnight(date: dt.date) -> dt.datetime:
    return dt.datetime.combine(date, dt.time(), dt.UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """What a source's module says; it needs the first six, and has of the others what differs from here."""

    NAME: str
    """As it stands in rows, commands and addresses: at most 20 characters."""
    TITLE: str
    """As people write it."""
    LAG: int
    """Days between a list's date and the edition that has its papers as new."""
    base_urls: Callable[[], Sequence[str]]
    """The addresses below which it answers; no request goes anywhere else."""
    fetch: Callable[[Client, dt.date], Iterator[bytes]]
    """Yield the pages of the list of a date; none for an empty list. Raises ``SourceError``."""
    parse: Callable[[bytes], Page]
    """Return the records of one page and those it refused; raise ``SourceError`` if it is no page at all."""

    headers: Callable[[], Mapping[str, str]] = dict
    """What every request must carry, such as a token."""
    SECONDS_BETWEEN_REQUESTS: float = 0.0
    """Kept over all processes and hosts, with one connection at a time."""
    COOL_DOWN_S: float = 0.0
    """How long to leave it alone when it is too busy and does not say until when."""
    opens_at: Callable[[dt.date], dt.datetime] = _utc_midnight
    """When the list of a date can be there at the earliest, in UTC."""
    POLLED_AFTER: Sequence[dt.timedelta] = HOURLY_THEN_DAILY
    """How long after that a list is read, and read again; within the last seven days."""
    why_no_list: Callable[[dt.date], str] | None = None
    """Return why a date has no list, '' if it must have one. None where nobody can tell: an empty list is a fact."""
    IS_ANNOUNCED_ONCE: bool = False
    """A paper is on one list only: on another it is what an old list left behind."""
    LONGEST_LIST: int | None = None
    """A list of so many items was cut off."""
    fetch_instead: Callable[[Client, dt.date], Iterator[bytes]] | None = None
    """Another way to the list, for when the first is empty, old or cut off on the list's own day."""
    fetch_revisions: Callable[[Client, dt.date], Iterator[bytes]] | None = None
    """Yield pages with everything that changed since a date."""
    fetch_details: Callable[[Client, Sequence[str]], Iterator[bytes]] | None = None
    """Yield pages with what it knows of papers, given by their arXiv ids."""

    @classmethod
    def of(cls, module: ModuleType) -> "Source":
        """Return the source that a module is; raise ``TypeError`` that names what it lacks."""
        said: dict[str, Any] = {
            field.name: getattr(module, field.name) for field in fields(cls) if hasattr(module, field.name)
        }
        return cls(**said)

    def client(self, now: dt.datetime, **options: Any) -> Client:
        """Return a client for this source alone; ``options`` are those of ``Client``."""
        ours = {
            "headers": self.headers(),
            "cool_down_s": self.COOL_DOWN_S,
            "pace": pace_of(self.NAME, self.SECONDS_BETWEEN_REQUESTS),
            "memory": Memory(self.NAME, now),
        }
        return Client(*self.base_urls(), **{**ours, **options})


SOURCES: dict[str, Source] = {module.NAME: Source.of(module) for module in (huggingface, arxiv)}


def polled() -> dict[str, Source]:
    """Return the sources that the operator wants to be read, in the order of the setting."""
    return {name: SOURCES[name] for name in settings.SOURCES if name in SOURCES}
