"""The pieces of a line of interest: words, phrases and fields, and what is wrong with them, where."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from papers.text import HYPHENS, Token, tokens

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
        """Return two lines: ``text`` as one line, and a caret under the place."""
        start = max(0, self.position - 60)
        line = re.sub(r"[^\x20-\x7e\xa1-\ud7ff]", " ", text[start : self.position + 20])
        return f"  {line}\n  {' ' * (self.position - start)}^"


class Piece(NamedTuple):
    """A word, a phrase or a field as it stands in the line; ``text`` has no quotes."""

    kind: str  # word | phrase | or
    field: str  # of FIELDS, or ""
    text: str
    position: int
    is_excluded: bool
    tokens: list[Token]


def pieces(text: str) -> list[Piece]:
    """Return the pieces of the line, each of them good by itself; raise ``QueryError``.

    Typographic quotes and dashes are as good as plain ones.
    """
    _refuse_too_long(text)
    return list(_pieces(text.translate(_PLAIN)))


_PLAIN = dict.fromkeys(map(ord, "“”„‟«»＂"), '"') | dict.fromkeys(map(ord, HYPHENS), "-")
_PIECE = re.compile(
    rf'(?P<dash>-?)(?:(?P<field>{"|".join(FIELDS)}):)?(?:"(?P<phrase>[^"]*)(?P<end>"?)|(?P<word>[^\s"]*)(?=(?P<quote>"?)))',
    re.IGNORECASE,
)
_OTHER_FIELD = re.compile(r"\W*(?P<name>[^\W\d_][\w-]*):(?P<letter>[^\W\d_]?)")


def _pieces(line: str) -> Iterator[Piece]:
    for match in _PIECE.finditer(line):
        if match[0]:
            _refuse_bad_signs(match)
            yield _piece(match)


def _piece(match: re.Match[str]) -> Piece:
    text = match["word"] if match["phrase"] is None else match["phrase"]
    kind = "word" if match["phrase"] is None else "phrase"
    field, found = (match["field"] or "").lower(), tokens(text)
    if kind == "word" and not field and [token.acronym for token in found] == ["OR"] and not match["dash"]:
        kind = "or"
    piece = Piece(kind, field, text, match.start(), bool(match["dash"]), found)
    if not found and field:
        raise _empty_field(piece)
    if not found and (piece.is_excluded or kind == "phrase"):
        raise QueryError("There is no word here. Write one, or leave the sign out.", piece.position)
    return piece


# Refusals ---------------------------------------------------------------------------------------


def _refuse_too_long(text: str) -> None:
    if len(text.strip()) > LONGEST:
        start = len(text) - len(text.lstrip())
        raise QueryError(f"A line has at most {LONGEST} characters. End it here, or make two of it.", start + LONGEST)


def _refuse_bad_signs(match: re.Match[str]) -> None:
    word, position = match["word"], match.start()
    if match["phrase"] is not None and not match["end"]:
        raise QueryError('The quote that opens here is never closed. Write another " where the phrase ends.', position)
    if match["phrase"] is None and not match["field"] and (word.startswith("-") or (match["dash"] and not word)):
        raise QueryError(
            "Write a dash directly before what you want to leave out, such as -survey, or no dash at all.", position
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
        raise QueryError(f"Write a space, or nothing but a dash, before “{name}:”.", position)
    if field["letter"] or (field.end() == len(match["word"]) and match["quote"]):
        raise QueryError(
            f"“{name}:” is no field; there are {', '.join(f'{known}:' for known in FIELDS)}."
            " Write a space after the colon if it is part of the words.",
            position,
        )


def _empty_field(piece: Piece) -> QueryError:
    return QueryError(
        f"Write what to look for directly after “{piece.field}:”, such as {FIELDS[piece.field]}.",
        piece.position + piece.is_excluded,
    )
