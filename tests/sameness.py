"""What the HTML of a mail says, paper by paper, and whether its text says the same in the same order."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import NamedTuple

BLOCKS = {"p", "h1", "h2", "h3", "td", "div"}
# What stands in the HTML alone: what an inbox shows, the links at the top, which the footer repeats,
# and the name of the site, with which the footer ends.
HTML_ALONE = {"preheader", "top", "brand"}
DOT = "\xa0·\xa0"
# How the text writes what the HTML shows by a style.
MARKS = {"hit": "*", "interest": '"'}
GAP = re.compile(r"[\s,:-]*")


class Said(NamedTuple):
    """Some words of a mail, where they lead if they are a link, and with which paper they stand, from 1."""

    words: str
    url: str
    paper: int


class Page(HTMLParser):
    """Reads a mail's HTML into what it says, in its order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.said: list[Said] = []
        self.papers = 0
        self._words: list[str] = []
        self._skipped = "head"
        self._url = ""
        self._marks: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        kind = given.get("class", "")
        if tag in BLOCKS or tag == "a":
            self._end()
        if kind in HTML_ALONE:
            self._skipped = tag
        self.papers += kind == "card"
        if tag == "a":
            self._url = given["href"]
        if tag == "span":
            self._marks.append(MARKS.get(kind, ""))
            self._words.append(self._marks[-1])

    def handle_endtag(self, tag: str) -> None:
        if tag == "span":
            self._words.append(self._marks.pop())
        if tag == "h2":
            self._words = [word.upper() for word in self._words]
        if tag in BLOCKS or tag == "a":
            self._end()
        if tag == "a":
            self._url = ""
        if tag == self._skipped:
            self._skipped, self._words = "", []

    def handle_data(self, data: str) -> None:
        self._words.append(data)

    def _end(self) -> None:
        words, self._words = "".join(self._words), []
        for part in [] if self._skipped else words.split(DOT):
            if said := " ".join(part.split()):
                self.said.append(Said(said, self._url, self.papers))


def difference(html: str, text: str) -> str:
    """Return where the text of a mail says something else than its HTML, '' where nowhere.

    Between two things that the HTML says, the text may hold nothing but punctuation: neither says more.
    """
    flat, at = " ".join(text.split()), 0
    for words in _in_text(Page(html).said):
        gap = GAP.match(flat, at)
        begin = flat.find(words, at)
        if gap is None or not at <= begin <= gap.end():
            return f"{words[:200]!r} is expected where the text says {flat[at : at + 200]!r}"
        at = begin + len(words)
    return "" if GAP.fullmatch(flat, at) else f"the text alone says {flat[at : at + 200]!r}"


def _in_text(said: list[Said]) -> Iterator[str]:
    """Yield what the text should say: an address after its words, that of a paper's abstract once."""
    paper, first = 0, ""
    for words, url, number in said:
        if number != paper:
            paper, first = number, url
        elif url and url == first:
            continue
        yield words
        if url:
            yield url
