"""The pieces of a line of interest: words, phrases and fields, and what is wrong with them, where."""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import NamedTuple
from unicodedata import combining, east_asian_width

from django.utils.translation import gettext as _

from papers.text import HYPHENS, Token, prose, tokens

LONGEST = 200  # characters of a line

# What a field is called, and an example to show who writes it wrong.
FIELDS = {
    "author": 'author:"Fei-Fei Li"',
    "cat": "cat:cs.CL",
    "like": "like:2401.12345",
    "org": "org:deepmind",
    "title": "title:survey",
}


class QueryError(ValueError):
    """A line that cannot be read: what is wrong, what to write instead, and where (0 is the first character)."""

    def __init__(self, message: str, position: int) -> None:
        super().__init__(message)
        self.message = message
        self.position = position

    def pointer(self, text: str) -> str:
        """Return two lines for a terminal: ``text`` as one line, and a caret under the place."""
        start = max(0, self.position - 60)
        before = _visible(text[start : self.position])
        wide = sum(east_asian_width(character) in {"F", "W"} for character in before)
        return f"  {before}{_visible(text[self.position : self.position + 20])}\n  {' ' * (len(before) + wide)}^"


def _visible(text: str) -> str:
    return "".join(each if each.isprintable() else " " for each in text if not combining(each))


class Piece(NamedTuple):
    """A word, a phrase or a field as it stands in the line; ``text`` has no quotes and no LaTeX."""

    kind: str  # word | phrase | or
    field: str  # of FIELDS, or ""
    text: str
    position: int
    is_excluded: bool
    tokens: list[Token]


def pieces(text: str, longest: int = LONGEST) -> list[Piece]:
    """Return the pieces of the line, each of them good by itself and beside its neighbour; raise ``QueryError``.

    Typographic quotes and dashes are as good as plain ones.
    """
    _refuse_too_long(text, longest)
    line = text.translate(_PLAIN)
    found = list(_pieces(line))
    for piece, following in pairwise(found):
        _refuse_name_in_two(piece, following)
    has_or = any(piece.kind == "or" for piece in found)
    is_shouted = SHOUTED.search(line) is not None
    for piece in found:
        _refuse_bracket(piece, has_or=has_or)
        _refuse_not(piece, is_shouted=is_shouted)
    return found


_FULL_WIDTH = [(code, chr(code - 0xFEE0)) for code in range(0xFF01, 0xFF5F) if chr(code).isalnum()]
_PLAIN = dict.fromkeys(map(ord, "“”„‟«»＂"), '"') | dict.fromkeys(map(ord, HYPHENS), "-") | dict(_FULL_WIDTH)

# What cannot be seen before a piece is no part of it; \"o in a word is an accent of LaTeX, not a quote.
_HIDDEN = r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u061c\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]*"
_ESCAPED = r"\\\"(?=\{?[A-Za-z])|\\"
_PIECE = re.compile(
    rf"{_HIDDEN}(?P<dash>-?)(?:(?P<field>(?ai:{'|'.join(FIELDS)})):)?"
    rf'(?:"(?P<phrase>(?:[^"\\]|{_ESCAPED})*)(?P<end>"?)|(?P<word>(?:[^\s"\\]|{_ESCAPED})*)(?=(?P<quote>"?)))'
)
_OTHER_FIELD = re.compile(r"\W*(?P<name>[^\W\d_][\w-]*)(?P<colon>[:：])(?P<letter>[^\W\d_]?)")


def _pieces(line: str) -> Iterator[Piece]:
    for match in _PIECE.finditer(line):
        if match[0]:
            _refuse_bad_signs(match)
            yield _piece(match)


def _piece(match: re.Match[str]) -> Piece:
    kind = "word" if match["phrase"] is None else "phrase"
    text = prose(match[kind])
    field, found = (match["field"] or "").lower(), tokens(text)
    if kind == "word" and not field and not match["dash"] and [token.acronym for token in found] == ["OR"]:
        kind = "or"
    piece = Piece(kind, field, text, match.start("dash"), bool(match["dash"]), found)
    if not found and field:
        raise _empty_field(piece)
    if not found and (piece.is_excluded or kind == "phrase"):
        raise QueryError(_("There is no word here. Write one, or leave the sign out."), piece.position)
    return piece


# Refusals of one piece --------------------------------------------------------------------------

_LONG_DASH = re.compile(r"[—―]+\w")


def _refuse_too_long(text: str, longest: int) -> None:
    if len(text.strip()) > longest:
        start = len(text) - len(text.lstrip())
        raise QueryError(
            _("A line has at most %(longest)s characters. End it here, or make two of it.") % {"longest": longest},
            start + longest,
        )


def _refuse_bad_signs(match: re.Match[str]) -> None:
    word, position = match["word"], match.start("dash")
    if match["phrase"] is not None and not match["end"]:
        raise QueryError(
            _('The quote that opens here is never closed. Write another " where the phrase ends.'), position
        )
    if match["phrase"] is None and not match["field"] and (word.startswith("-") or (match["dash"] and not word)):
        raise QueryError(
            _("Write a dash directly before what you want to leave out, such as -survey, or no dash at all."), position
        )
    if word and _LONG_DASH.match(word):
        raise QueryError(
            _("Write a short dash to leave something out, such as -survey, or a space after this long one."), position
        )
    if word and not match["field"]:
        _refuse_other_field(match)


def _refuse_other_field(match: re.Match[str]) -> None:
    """Refuse ``foo:bar`` and ``(author:li)``; ``https://…``, ``3:1`` and ``BERT: a survey`` are words."""
    field = _OTHER_FIELD.match(match["word"])
    if not field:
        return
    name, position = field["name"], match.start("word") + field.start("name")
    if name.lower() in FIELDS:
        example = FIELDS[name.lower()]
        raise QueryError(
            _("Write it as in %(example)s, with nothing but a space or a dash before it.") % {"example": example},
            position,
        )
    if field["colon"] == ":" and (field["letter"] or (field.end() == len(match["word"]) and match["quote"])):
        known = ", ".join(f"{name}:" for name in FIELDS)
        raise QueryError(
            _("“%(name)s:” is no field; there are %(known)s. Write a space after the colon if it is part of the words.")
            % {"name": name, "known": known},
            position,
        )


def _empty_field(piece: Piece) -> QueryError:
    return QueryError(
        _("Write what to look for directly after “%(field)s:”, such as %(example)s.")
        % {"field": piece.field, "example": FIELDS[piece.field]},
        piece.position + piece.is_excluded,
    )


# Refusals of what would be read as something else than is meant -----------------------------------

SHOUTED = re.compile(r"\b[A-Z]{6,}\b")
# Two capitals are more often an acronym than a name.
_NAME = re.compile(r"[^\W\d_]['’.\-\w]*")


def _refuse_name_in_two(piece: Piece, following: Piece) -> None:
    """Refuse ``author:Yann LeCun``, which asks for an author called Yann and the word LeCun."""
    is_open = piece.field in {"author", "org"} and piece.kind == "word"
    is_acronym = any(token.acronym for token in following.tokens)
    is_name = _NAME.fullmatch(following.text) and following.text[0].isupper() and not is_acronym
    if is_open and _is_bare(following) and is_name:
        whole = f'{piece.field}:"{piece.text} {following.text}"'
        raise QueryError(
            _("Put a name of several words in quotes: %(name)s. What is no part of it goes before it.")
            % {"name": whole},
            piece.position + piece.is_excluded,
        )


def _refuse_bracket(piece: Piece, *, has_or: bool) -> None:
    """Refuse ``(a OR b) c`` and ``-(a b)``: brackets are no part of the language."""
    if piece.kind != "word" or not (has_or or piece.is_excluded) or piece.text.count("(") == piece.text.count(")"):
        return
    if piece.is_excluded:
        raise QueryError(_("Brackets bind nothing here. Write a dash before each, such as -a -b."), piece.position)
    raise QueryError(
        _("Brackets bind nothing here. Write each side of OR in full, such as a c OR b c."), piece.position
    )


def _refuse_not(piece: Piece, *, is_shouted: bool) -> None:
    if _is_bare(piece) and piece.text == "NOT" and not is_shouted:
        raise QueryError(
            _("NOT is no sign here. Write a dash to leave something out, such as -survey."), piece.position
        )


def _is_bare(piece: Piece) -> bool:
    return piece.kind == "word" and not piece.field and not piece.is_excluded
