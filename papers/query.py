"""The language of interests: words, "exact phrases" and -exclusions, read into a ``Query``.

    query  = piece { piece }
    piece  = [ "-" ] ( word | '"' words '"' )

All words outside quotes are one topic. A later version adds OR and fields; both are refused until
then, so that what a reader wrote never changes its meaning.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from papers.text import HYPHENS, Token, tokens

VERSION = 1  # of the canonical form
LONGEST = 200  # characters of a line
LONGEST_CANONICAL = 600  # one character may fold to three

FIELDS = frozenset({"author", "cat", "like", "org", "title"})  # of the next version

# The keys of consecutive words; an acronym in capitals is its own key, all else is folded.
Words = tuple[str, ...]


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


@dataclass(frozen=True, slots=True)
class Query:
    """What a paper must hold: every topic and every phrase, and none of the exclusions."""

    topics: tuple[Words, ...] = ()
    phrases: tuple[Words, ...] = ()
    exclusions: tuple[Words, ...] = ()

    @property
    def canonical(self) -> str:
        """The one spelling of all queries that mean the same; it reads back as this query."""
        return " ".join(
            [
                *(" ".join(words) for words in self.topics),
                *(_quoted(words) for words in sorted(self.phrases)),
                *(f"-{words[0]}" if len(words) == 1 else f"-{_quoted(words)}" for words in sorted(self.exclusions)),
            ]
        )


def _quoted(words: Words) -> str:
    return f'"{" ".join(words)}"'


def parse(text: str) -> Query:
    """Return what ``text`` asks for; raise ``QueryError`` with the place where it cannot be read."""
    _refuse_too_long(text)
    pieces = list(_pieces(text))
    for piece in pieces:
        _refuse_what_is_not_understood(piece)
    topic = [piece for piece in pieces if piece.kind == "word" and not piece.is_excluded and piece.tokens]
    query = Query(
        topics=(_keys(topic),) if topic else (),
        phrases=_distinct(piece for piece in pieces if piece.kind == "phrase" and not piece.is_excluded),
        exclusions=_distinct(piece for piece in pieces if piece.is_excluded),
    )
    if not query.topics and not query.phrases:
        raise _nothing_to_look_for(pieces)
    if len(query.canonical) > LONGEST_CANONICAL:
        raise QueryError("This is too long once its characters are written out. Write a shorter line.", 0)
    return query


# Pieces -----------------------------------------------------------------------------------------

_PLAIN = dict.fromkeys(map(ord, "“”„‟«»＂"), '"') | dict.fromkeys(map(ord, HYPHENS), "-")
_PIECE = re.compile(r'(?P<dash>-?)(?:"(?P<phrase>[^"]*)(?P<end>"?)|(?P<word>[^\s"]+)(?=(?P<quote>"?)))')
_FIELD = re.compile(r"\W*(?P<name>[^\W\d_][\w-]*):(?P<letter>[^\W\d_]?)")
_SHOUTED = re.compile(r"\b[A-Z]{6,}\b")


class Piece(NamedTuple):
    """A word or a phrase as it stands in the line."""

    kind: str  # word | phrase
    text: str
    position: int
    is_excluded: bool
    has_quote_after: bool
    tokens: list[Token]


def _pieces(text: str) -> Iterator[Piece]:
    """Yield the pieces of the line; typographic quotes and dashes are as good as plain ones."""
    for match in _PIECE.finditer(text.translate(_PLAIN)):
        kind = "word" if match["phrase"] is None else "phrase"
        quote = match["end"] or match["quote"]
        yield Piece(kind, match[kind], match.start(), bool(match["dash"]), bool(quote), tokens(match[kind]))


def _keys(pieces: list[Piece]) -> Words:
    """Return what the words are compared by; a line in capitals is shouted, not full of acronyms."""
    is_shouted = any(_SHOUTED.search(piece.text) for piece in pieces)
    found = [token for piece in pieces for token in piece.tokens]
    return tuple(token.term if is_shouted or _is_or(token) else token.acronym or token.term for token in found)


def _is_or(token: Token) -> bool:
    """Whether the word is the operator to come: it is never a key, since it would read back as one."""
    return token.acronym == "OR"


def _distinct(pieces: Iterable[Piece]) -> tuple[Words, ...]:
    return tuple(sorted({_keys([piece]) for piece in pieces}))


# Refusals ---------------------------------------------------------------------------------------


def _refuse_too_long(text: str) -> None:
    if len(text.strip()) > LONGEST:
        start = len(text) - len(text.lstrip())
        raise QueryError(f"A line has at most {LONGEST} characters. End it here, or make two of it.", start + LONGEST)


def _refuse_what_is_not_understood(piece: Piece) -> None:
    if piece.kind == "phrase" and not piece.has_quote_after:
        raise QueryError(
            'The quote that opens here is never closed. Write another " where the phrase ends.', piece.position
        )
    if piece.kind == "word" and piece.text.startswith("-"):
        raise QueryError(
            "Write a dash directly before what you want to leave out, such as -survey, or no dash at all.",
            piece.position,
        )
    if piece.kind == "word" and [_is_or(token) for token in piece.tokens] == [True] and not piece.is_excluded:
        raise QueryError("OR is not understood yet. Write one line for each of the two.", piece.position)
    if piece.kind == "word":
        _refuse_field(piece)
    if not piece.tokens and (piece.is_excluded or piece.kind == "phrase"):
        raise QueryError("There is no word here. Write one, or leave the sign out.", piece.position)


def _refuse_field(piece: Piece) -> None:
    field = _FIELD.match(piece.text)
    if not field:
        return
    name, position = field["name"], piece.position + piece.is_excluded + field.start("name")
    if name.lower() in FIELDS:
        raise QueryError(f"“{name}:” is not understood yet. Write the words without it.", position)
    if field["letter"] or (field.end() == len(piece.text) and piece.has_quote_after):
        raise QueryError(f"“{name}:” is no field. Write a space after the colon if it is part of the words.", position)


def _nothing_to_look_for(pieces: list[Piece]) -> QueryError:
    excluded = [piece for piece in pieces if piece.is_excluded]
    if excluded:
        return QueryError(
            "This only leaves things out. Write also what to look for, such as robot -surgery.", excluded[0].position
        )
    return QueryError("There is no word here. Write what interests you, such as diffusion models.", 0)
