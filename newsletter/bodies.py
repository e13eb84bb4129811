"""The text and the HTML of a digest, joined out of cards and a frame that are made once.

The templates are the one source of the markup. Each is rendered once for all readers: a paper's
card for each language and version of the templates, a line of evidence and the frame around the
cards for each shape they take. A reader's mail is their parts, joined.
"""

import functools
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from html import escape
from itertools import islice
from typing import Literal, NamedTuple

from django.utils.translation import get_language

from newsletter import slots
from newsletter.cards import Card, Entry, WhyLine, compact
from newsletter.rendering import Digest
from newsletter.slots import HOLE, MARK, Fixed, Part, Slot
from subscribers import emails
from subscribers.emails import Link
from subscribers.mime import Body, Piece, encoded

# Octets of the cards' HTML as encoded. With the frame it stays below 80 KB; Gmail cuts off at 102.
ROOM = 60_000
# Characters below which encoding a piece together with its neighbours is cheaper than joining it.
SHORTEST_PIECE = 120
EDGE = f"{MARK}e"
# Octets of the address that a reader's own links begin with; PUBLIC_URL may be no longer than that allows.
OWN_LINK = 70
MAIL_URL: str = slots.marked("x")
ALONE = {"emails/alone.html": f'{{% extends "emails/base.html" %}}{{% block body %}}{EDGE}{{% endblock %}}'}
ONE_ENTRY, ONE_LINE = (Entry(None, ()),), ("",)  # type: ignore[arg-type]  # what fills a hole is asked for nothing


class Look(NamedTuple):
    """What a card looks like depends on its paper and on these."""

    language: str
    version: str


OpenParts = tuple[Piece | str | Slot, ...]


class MadeCard(NamedTuple):
    """A card before and after its lines of evidence, with a slot wherever the mail's own address goes.

    ``octets`` are those of its HTML as encoded.
    """

    text: tuple[OpenParts, OpenParts]
    html: tuple[OpenParts, OpenParts]
    octets: int


class MadeLine(NamedTuple):
    """A line of evidence before and after the mail's own address; ``octets`` as above."""

    text: tuple[str, str]
    html: tuple[str, str]
    octets: int


class MadeEntry(NamedTuple):
    card: MadeCard
    why: list[MadeLine]

    @property
    def octets(self) -> int:
        return self.card.octets + sum([line.octets for line in self.why])


class MadeFrame(NamedTuple):
    text: tuple[Part, ...]
    html: tuple[Part, ...]


def bodies(digest: Digest, of_version: str) -> tuple[Body, Body]:
    """Return the text and the HTML of a digest, as its templates of ``of_version`` say it."""
    look = Look(get_language() or "", of_version)
    sections = _fitting(digest, look)
    strings: list[str] = []
    context = frame_context(digest)
    frame = _frame(_Shaped(slots.shape(context, strings), context), look)
    url, escaped_url = digest.mail_url, escape(digest.mail_url)
    text = _text(frame, strings, [_joined(entries, "text", url) for entries in sections])
    escaped = [escape(string) for string in strings]
    html = slots.fill(frame.html, escaped, [_joined(entries, "html", escaped_url) for entries in sections])
    return Body(text), Body(html)


def frame_context(digest: Digest) -> dict[str, object]:
    """Return what the templates are given, but for the papers: a section with any has one entry."""
    context = emails.frame(digest.subject, digest.preheader, footer=(*digest.checked, digest.why_you_get_this))
    context |= {name: Fixed(context[name]) for name in ("site_name", "site_url", "postal_address")}
    return context | {
        "pixel_url": digest.pixel_url,
        "links": tuple([Link(Fixed(link.label), link.url) for link in digest.links]),
        "is_sample": digest.is_sample,
        "digest": {name: getattr(digest, name) for name in _FIELDS} | {"sections": _open_sections(digest)},
    }


_FIELDS = [each.name for each in fields(Digest) if each.name not in {"sections", "links", "checked"}]


def _open_sections(digest: Digest) -> tuple[Mapping[str, object], ...]:
    return tuple(
        [
            {"key": Fixed(each.key), "title": Fixed(each.title), "intro": Fixed(each.intro), "entries": ONE_ENTRY}
            for each in digest.sections
        ]
    )


# Joining ----------------------------------------------------------------------------------------


def _joined(entries: Sequence[MadeEntry], kind: Literal["text", "html"], url: str) -> list[Piece | str]:
    pieces: list[Piece | str] = []
    for card, why in entries:
        before, after = getattr(card, kind)
        pieces += [url if isinstance(part, Slot) else part for part in before]
        pieces += [url.join(getattr(line, kind)) for line in why]
        pieces += [url if isinstance(part, Slot) else part for part in after]
    return pieces


def _text(frame: MadeFrame, strings: Sequence[str], sections: Iterable[list[Piece | str]]) -> list[Piece | str]:
    """Fill in the frame and wrap it, from one hole to the next; what goes into the holes is wrapped."""
    pieces: list[Piece | str] = []
    written: list[str] = []
    contents = iter(sections)
    for part in frame.text:
        if part is None:
            pieces += [emails.wrapped("".join(written)), *next(contents)]
            written = []
        else:
            written.append(strings[part.number] if isinstance(part, Slot) else str(part))
    return [*pieces, emails.wrapped("".join(written))]


# Making -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Shaped:
    """A context that is the same as any other of its shape."""

    shape: Hashable
    context: Mapping[str, object] = field(compare=False)


@functools.lru_cache(maxsize=128)
def _frame(of: _Shaped, look: Look) -> MadeFrame:
    context = slots.marked(of.context)
    html = slots.render(look.version, "emails/digest.html", context, {"emails/_card.html": HOLE})
    text = slots.render(look.version, "emails/digest.txt", context, {"emails/_card.txt": HOLE})
    return MadeFrame(
        slots.cut(text.strip() + "\n", shortest_piece=len(text) + 2),
        slots.cut(emails.inlined(html), SHORTEST_PIECE),
    )


# An edition has some hundreds of papers, and a card takes 10 KB.
@functools.lru_cache(maxsize=2048)
def _card(card: Card, look: Look) -> MadeCard:
    context = {"card": card, "why": ONE_LINE, "mail_url": MAIL_URL}
    html = slots.render(look.version, "emails/_card.html", context, {"emails/_why.html": HOLE})
    text = slots.render(look.version, "emails/_card.txt", context, {"emails/_why.txt": HOLE})
    parts = _around_lines(_inlined(html, look))
    return MadeCard(_around_lines(emails.wrapped(text)), parts, sum([_size(part) for side in parts for part in side]))


def _around_lines(rendered: str) -> tuple[OpenParts, OpenParts]:
    """Cut a card at its hole, and both sides at their slots."""
    before, after = [slots.cut(side, SHORTEST_PIECE) for side in rendered.split(HOLE)]
    return before, after  # type: ignore[return-value]  # no further hole is in them


def _size(part: Piece | str | Slot) -> int:
    """Return the octets of a card's part as encoded."""
    if isinstance(part, Slot):
        return OWN_LINK
    return len(part.encoded if isinstance(part, Piece) else encoded(part))


# Readers who follow the same in the same words share a line.
@functools.lru_cache(maxsize=8192)
def _line(line: WhyLine, look: Look) -> MadeLine:
    strings = [line.interest, line.place, *[segment.text for segment in line.segments], str(line.number)]
    text_parts, html_parts = _open_line(tuple([segment.is_marked for segment in line.segments]), look)
    html = _around(html_parts, [escape(string) for string in strings])
    before, after = _around(text_parts, strings)
    return MadeLine((emails.wrapped(before), after), html, _at_most("".join(html)) + OWN_LINK)


def _around(parts: Sequence[Part], strings: Sequence[str]) -> tuple[str, str]:
    """Return a line, filled in, before and after the mail's own address."""
    # No part of a line is long enough for a piece.
    before, after = "".join(slots.fill(parts, strings, [[EDGE]])).split(EDGE)  # type: ignore[arg-type]
    return before, after


@functools.lru_cache(maxsize=128)
def _open_line(marks: tuple[bool, ...], look: Look) -> MadeFrame:
    segments = tuple({"text": "x", "is_marked": mark} for mark in marks)
    line = slots.marked({"interest": "x", "place": "x", "segments": segments, "number": "x"})
    context = {"line": line, "mail_url": HOLE}
    html = slots.render(look.version, "emails/_why.html", context, {})
    text = slots.render(look.version, "emails/_why.txt", context, {})
    return MadeFrame(slots.cut(text, len(text) + 1), slots.cut(_inlined(html, look), 2 * len(html) + 10_000))


def _inlined(part: str, look: Look) -> str:
    """Return a part of a mail's body with the styles of the mail in its elements."""
    return emails.inlined(_page(look).replace(EDGE, f"{EDGE}{part}{EDGE}")).split(EDGE)[1]


@functools.lru_cache(maxsize=8)
def _page(look: Look) -> str:
    return slots.render(look.version, "emails/alone.html", emails.frame("", ""), ALONE)


# Size -------------------------------------------------------------------------------------------


def fitted(digest: Digest, look: Look) -> Digest:
    """Return the digest with as many of its last papers cut short as it takes to fit."""
    entries = [entry for section in digest.sections for entry in section.entries]
    too_much = sum([_made(entry, look).octets for entry in entries]) - ROOM
    for number in reversed(range(len(entries))):
        if too_much > 0:
            before, entries[number] = entries[number], compact(entries[number])
            too_much -= _made(before, look).octets - _made(entries[number], look).octets
    rest = iter(entries)
    sections = [replace(each, entries=tuple(islice(rest, len(each.entries)))) for each in digest.sections]
    return replace(digest, sections=tuple(sections))


def _fitting(digest: Digest, look: Look) -> list[list[MadeEntry]]:
    """Return each section's entries, made, of the digest that fits."""
    made = [[_made(entry, look) for entry in section.entries] for section in digest.sections]
    if sum([entry.octets for entries in made for entry in entries]) <= ROOM:
        return made
    return [[_made(entry, look) for entry in section.entries] for section in fitted(digest, look).sections]


def _at_most(html: str) -> int:
    """Return a bound on the octets of some HTML as encoded, which is dearer to count than to guess."""
    octets = len(html) if html.isascii() else 3 * len(html.encode())
    return octets + octets // 20 + 2 * html.count("=")


def _made(entry: Entry, look: Look) -> MadeEntry:
    return MadeEntry(_card(entry.card, look), [_line(line, look) for line in entry.why])
