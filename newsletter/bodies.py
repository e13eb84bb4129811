"""The text and the HTML of a digest, joined out of cards and a frame that are made once.

The templates are the one source of the markup. Each is rendered once for all readers: a paper's
card for each language and version of the templates, a line of evidence and the frame around the
cards for each shape they take. What is made of them, line by line, is kept by the strings that went
into it, which many readers share; a reader's mail is a list of such pieces and two tokens.
"""

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from html import escape
from itertools import islice
from typing import Any, NamedTuple

from newsletter import slots
from newsletter.cards import Card, Entry, WhyLine, compact, place
from newsletter.rendering import Digest, Section
from newsletter.slots import HOLE, MARK, Open, Pieces, Run
from subscribers import emails, tokens
from subscribers.mime import MAIL_TOKEN, READER_TOKEN, Body, Piece

# Octets of the cards' HTML as encoded. With the frame it stays below 80 KB; Gmail cuts off at 102.
ROOM = 60_000
OWN_TOKEN = 22 + 3  # octets of what a reader's own links hold, with a soft break
EDGE = f"{MARK}e"
ALONE = {"emails/alone.html": f'{{% extends "emails/base.html" %}}{{% block body %}}{EDGE}{{% endblock %}}'}
NOTHING: Mapping[str, object] = {"interest": "", "place": "", "segments": (), "number": ""}
ONE_ENTRY, ONE_LINE = (Entry(None, ()),), ("",)  # type: ignore[arg-type]  # what fills a hole is asked for nothing


class Look(NamedTuple):
    """What a card looks like depends on its paper and on these."""

    language: str
    version: str


class MadeCard(NamedTuple):
    """A card before and after its lines of evidence; ``octets`` are those of its HTML as encoded."""

    text: tuple[Pieces, Pieces]
    html: tuple[Pieces, Pieces]
    octets: int


class MadeLine(NamedTuple):
    """A part of a line of evidence; ``octets`` as above, or a bound on them."""

    text: Pieces
    html: Pieces
    octets: int


class Made(NamedTuple):
    """A section's entries; ``octets`` as above."""

    text: list[Piece]
    html: list[Piece]
    octets: int


class MadeFrame(NamedTuple):
    text: tuple[Run, ...]
    html: tuple[Run, ...]


class Outline(NamedTuple):
    """What decides on the frame around the papers, beside its look and the strings that are filled in.

    ``sections`` are their titles and intros; ``strings`` say which of them are there, for templates ask.
    """

    date: dt.date
    sections: tuple[tuple[str, str], ...]
    strings: tuple[bool, ...]
    is_first: bool
    is_sample: bool


def bodies(digest: Digest, of_version: str) -> tuple[Body, Body]:
    """Return the text and the HTML of a digest, as its templates of ``of_version`` say it."""
    look = Look(digest.language, of_version)
    sections = _fitting(digest, look)
    strings = _strings(digest)
    titles = tuple([(section.title, section.intro) for section in digest.sections])
    outline = Outline(digest.date, titles, tuple(map(bool, strings)), digest.is_first, digest.is_sample)
    frame = _frame(outline, look)
    text = slots.fill(frame.text, strings, [each.text for each in sections], _text_line)
    html = slots.fill(frame.html, strings, [each.html for each in sections], _html_line)
    own = {MAIL_TOKEN: digest.token, READER_TOKEN: digest.unsubscribe_token}
    return Body(text, own), Body(html, own)


# The frame --------------------------------------------------------------------------------------


def _strings(digest: Digest) -> tuple[str, ...]:
    """Return the strings of a frame that are filled in."""
    return (
        digest.subject,
        digest.preheader,
        digest.headline,
        digest.coverage,
        digest.why_you_get_this,
        *digest.checked,
    )


@functools.lru_cache(maxsize=128)
def _frame(outline: Outline, look: Look) -> MadeFrame:
    digest = _marked(outline)
    context = emails.frame(
        digest.subject, digest.preheader, links=digest.links, footer=(*digest.checked, digest.why_you_get_this)
    )
    context |= {"pixel_url": digest.pixel_url, "is_sample": digest.is_sample, "digest": digest}
    html = slots.render(look.version, "emails/digest.html", context, {"emails/_card.html": HOLE})
    text = slots.render(look.version, "emails/digest.txt", context, {"emails/_card.txt": HOLE})
    return MadeFrame(slots.cut(text.strip() + "\n", emails.wrapped), slots.cut(emails.inlined(html)))


def _marked(outline: Outline) -> Digest:
    """Return a digest of this outline with slots for its strings, and one entry in each section for all of them."""
    strings = [slots.slot(number) if is_there else "" for number, is_there in enumerate(outline.strings)]
    subject, preheader, headline, coverage, why_you_get_this, *checked = strings
    return Digest(
        language="",
        form="",
        subject=subject,
        preheader=preheader,
        headline=headline,
        date=outline.date,
        coverage=coverage,
        sections=tuple([Section("", title, intro, ONE_ENTRY) for title, intro in outline.sections]),
        checked=tuple(checked),
        why_you_get_this=why_you_get_this,
        is_first=outline.is_first,
        is_sample=outline.is_sample,
        token=slots.MAIL,
        unsubscribe_token=slots.READER,
    )


# A line says the same to many readers: how many papers there are, and why they get this mail.
@functools.lru_cache(maxsize=4096)
def _text_line(line: Open, said: Any) -> Pieces:
    return line.pieces(emails.wrapped(line.form % said))


@functools.lru_cache(maxsize=4096)
def _html_line(line: Open, said: Any) -> Pieces:
    return line.pieces(line.form % (escape(said) if isinstance(said, str) else tuple(map(escape, said))))


# The papers -------------------------------------------------------------------------------------


def _joined(entries: Sequence[Entry], look: Look) -> Made:
    text: list[Piece] = []
    html: list[Piece] = []
    octets = 0
    for card, why in entries:
        made = _card(card, look)
        text += made.text[0]
        html += made.html[0]
        octets += made.octets
        for line in why:
            said, link = _line(line[:-1], look), _link(line.number, look)
            text += said.text
            text += link.text
            html += said.html
            html += link.html
            octets += said.octets + link.octets
        text += made.text[1]
        html += made.html[1]
    return Made(text, html, octets)


# An edition has some hundreds of papers, and a card takes 10 KB.
@functools.lru_cache(maxsize=2048)
def _card(card: Card, look: Look) -> MadeCard:
    context = {"card": card, "why": ONE_LINE, "mail_url": _mail_url()}
    html = slots.render(look.version, "emails/_card.html", context, {"emails/_why.html": HOLE})
    text = slots.render(look.version, "emails/_card.txt", context, {"emails/_why.txt": HOLE})
    before, after = [slots.pieces(part) for part in _inlined(html, look).split(HOLE)]
    text_before, text_after = [slots.pieces(emails.wrapped(part)) for part in text.split(HOLE)]
    return MadeCard((text_before, text_after), (before, after), _octets(before + after))


# Readers who follow the same in the same words share a line, but for its link, which counts their interests.
@functools.lru_cache(maxsize=8192)
def _line(unnumbered: tuple[Any, ...], look: Look) -> MadeLine:
    line = WhyLine._make((*unnumbered, 0))
    segments = line.segments
    strings = [line.interest, place(line.field, look.language), *[segment.text for segment in segments]]
    open_text, open_html = _open_line(tuple([segment.is_marked for segment in segments]), look)
    # No character that nobody sees is in them.
    escaped = escape("\0".join(strings)).split("\0")
    html = open_html.form % open_html.own(escaped)
    text = emails.wrapped(open_text.form % open_text.own(strings))
    return MadeLine((Piece(text),), (Piece(html),), _at_most(html))


@functools.lru_cache(maxsize=128)
def _open_line(marks: tuple[bool, ...], look: Look) -> tuple[Open, Open]:
    """Return a line's text and HTML up to its link, with slots for the interest, the place and each segment."""
    segments = [{"text": slots.slot(number), "is_marked": mark} for number, mark in enumerate(marks, start=2)]
    said = {"interest": slots.slot(0), "place": slots.slot(1), "segments": segments}
    (text, text_after), (html, html_after) = [kind.split(HOLE) for kind in _why({**NOTHING, **said}, HOLE, look)]
    if MARK in text_after + html_after:
        raise ValueError("emails/_why: what a line says stands before its link")
    return Open(text), Open(html)


@functools.lru_cache(maxsize=128)
def _link(number: int, look: Look) -> MadeLine:
    """Return a line from its link on, which takes the reader to the interest with this number."""
    rendered = _why({**NOTHING, "number": number}, HOLE + _mail_url(), look)
    text, html = [slots.pieces(part.split(HOLE)[1]) for part in rendered]
    return MadeLine(text, html, _octets(html))


def _why(line: Mapping[str, object], mail_url: str, look: Look) -> tuple[str, str]:
    context = {"line": line, "mail_url": mail_url}
    html = slots.render(look.version, "emails/_why.html", context, {})
    return slots.render(look.version, "emails/_why.txt", context, {}), _inlined(html, look)


def _mail_url() -> str:
    return tokens.token_link("digest", slots.MAIL)


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
    too_much = _joined(entries, look).octets - ROOM
    for number in reversed(range(len(entries))):
        if too_much > 0:
            before, entries[number] = entries[number], compact(entries[number])
            too_much -= _joined([before], look).octets - _joined([entries[number]], look).octets
    rest = iter(entries)
    sections = [each._replace(entries=tuple(islice(rest, len(each.entries)))) for each in digest.sections]
    return digest._replace(sections=tuple(sections))


def _fitting(digest: Digest, look: Look) -> list[Made]:
    """Return each section's entries, made, of the digest that fits."""
    made = [_joined(section.entries, look) for section in digest.sections]
    if sum([section.octets for section in made]) <= ROOM:
        return made
    return [_joined(section.entries, look) for section in fitted(digest, look).sections]


def _octets(html: Pieces) -> int:
    """Return the octets of some HTML as encoded."""
    return sum([len(piece.encoded()) or OWN_TOKEN for piece in html])


def _at_most(html: str) -> int:
    """Return a bound on the octets of some HTML as encoded, which is dearer to count than to guess."""
    octets = len(html) if html.isascii() else 3 * len(html.encode())
    return octets + octets // 20 + 2 * html.count("=")
