"""What a source must have, and the sources there are: a new one is a module here and a line in ``SOURCES``."""

import datetime as dt
from collections.abc import Iterator
from typing import Protocol

from papers.records import Page
from papers.sources import huggingface
from papers.sources.client import Client


class Source(Protocol):
    """A module that can fetch one list of a date and read it."""

    NAME: str
    """As it stands in rows, commands and addresses."""
    TITLE: str
    """As people write it."""
    LAG: int
    """Days between a list's date and the edition that has its papers as new."""

    def base_url(self) -> str:
        """Return the address below which the source answers, without a slash at its end."""
        ...

    def fetch(self, client: Client, date: dt.date) -> Iterator[bytes]:
        """Yield the pages of the list of ``date``; none for an empty list. Raises ``SourceError``."""
        ...

    def parse(self, page: bytes) -> Page:
        """Return the records of one page and those it refused; raise ``SourceError`` if it is no page at all."""
        ...


SOURCES: dict[str, Source] = {source.NAME: source for source in (huggingface,)}
