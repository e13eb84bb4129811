"""The language of interests, read into a ``Query``.

    query       = alternative { "OR" alternative }
    alternative = piece { piece }
    piece       = [ "-" ] ( word | '"' words '"' | name ":" ( word | '"' words '"' ) )
    name        = "author" | "cat" | "like" | "org" | "title"

All words of an alternative that stand outside quotes are one topic. OR, in capitals, parts the
whole line; what is left out, is left out of the whole line.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from django.utils.translation import gettext as _

from papers.pieces import LONGEST, SHOUTED, Piece, QueryError, pieces
from papers.records import bare_id
from papers.text import Token, fold, names, tokens

__all__ = [
    "LONGEST",
    "LONGEST_CANONICAL",
    "VERSION",
    "Alternative",
    "Field",
    "Query",
    "QueryError",
    "Words",
    "parse",
    "parse_canonical",
    "parse_mute",
    "plain_topic",
]

VERSION = 2  # of the canonical form
LONGEST_CANONICAL = 600  # characters; one character of a line may fold to three

# The keys of consecutive words; an acronym in capitals is its own key, all else is folded.
Words = tuple[str, ...]


@dataclass(frozen=True, slots=True, order=True)
class Field:
    """What must stand in a paper's authors, organisation, title or categories.

    ``words`` are the folded words of one author's name or of the organisation, the keys of a phrase
    in the title, or one category: ``cs.cl``, or ``cs.*`` for the archive and all below it.
    """

    name: str  # author | cat | org | title
    words: Words

    def __str__(self) -> str:
        return f"{self.name}:{_written(self.words)}"


@dataclass(frozen=True, slots=True)
class Alternative:
    """What a paper must hold, all of it: topics, phrases, fields, likeness to papers (bare arXiv ids)."""

    topics: tuple[Words, ...] = ()
    phrases: tuple[Words, ...] = ()
    fields: tuple[Field, ...] = ()
    like: tuple[str, ...] = ()

    def __str__(self) -> str:
        return " ".join(
            [
                *(" ".join(words) for words in self.topics),
                *(f'"{" ".join(words)}"' for words in self.phrases),
                *map(str, self.fields),
                *(f"like:{arxiv_id}" for arxiv_id in self.like),
            ]
        )


@dataclass(frozen=True, slots=True)
class Query:
    """A paper answers by any of the ``alternatives`` if none of the ``exclusions`` stands in it.

    Both are sorted and distinct, so that queries that mean the same are equal.
    """

    alternatives: tuple[Alternative, ...]
    exclusions: tuple[Words | Field, ...] = ()

    @property
    def canonical(self) -> str:
        """The one spelling of all queries that mean the same; it reads back as this query."""
        left_out = (str(part) if isinstance(part, Field) else _written(part) for part in self.exclusions)
        return " ".join([" OR ".join(map(str, self.alternatives)), *(f"-{part}" for part in left_out)])


def _written(words: Words) -> str:
    return words[0] if len(words) == 1 else f'"{" ".join(words)}"'


def parse(text: str) -> Query:
    """Return what a reader's line asks for; raise ``QueryError`` with the place where it cannot be read."""
    return _read(text, LONGEST)


def parse_canonical(text: str) -> Query:
    """Return the query whose canonical form is ``text``; it may be longer than a line."""
    return _plain(text) or _read(text, LONGEST_CANONICAL)


# Most lines are a few words, in which no sign can mean anything: reading these takes a tenth of the time.
_PLAIN_WORD = r"(?!(?:AND|NOT|OR)s?\b|[A-Z]{6})[A-Za-z]+"
_PLAIN_LINE = re.compile(rf"{_PLAIN_WORD}(?: {_PLAIN_WORD})*")


def _plain(text: str) -> Query | None:
    """Return what ``_read`` does, or None where that has to look."""
    if len(text) > LONGEST or not _PLAIN_LINE.fullmatch(text):
        return None
    words = tuple([acronym or term for term, acronym in map(fold, text.split(" "))])
    return Query((Alternative((words,)),))


def parse_mute(text: str) -> Query:
    """Return what ``text`` hides; likeness is a matter of degree, so nothing is hidden by it."""
    query = parse(text)
    if any(side.like for side in query.alternatives):
        raise QueryError(
            _("Nothing is hidden because it is like a paper. Write the words that you do not want to see."),
            next(piece.position for piece in pieces(text) if piece.field == "like"),
        )
    return query


def _read(text: str, longest: int) -> Query:
    found = pieces(text, longest)
    wanted = [piece for piece in found if not piece.is_excluded]
    excluded = [piece for piece in found if piece.is_excluded]
    if not any(piece.tokens for piece in wanted):
        raise _nothing_to_look_for(excluded)
    query = Query(
        alternatives=tuple(sorted({_alternative(side) for side in _sides(wanted)}, key=str)),
        exclusions=_exclusions(excluded),
    )
    if len(query.canonical) > LONGEST_CANONICAL:
        raise QueryError(_("This is too long once its characters are written out. Write a shorter line."), 0)
    return query


def plain_topic(text: str) -> Words:
    """Return the words of ``text`` as one topic: no sign in it means anything, and no length is too much."""
    return _keys([Piece("word", "", text, 0, is_excluded=False, tokens=tokens(text))])


# Parts ------------------------------------------------------------------------------------------


def _sides(wanted: Iterable[Piece]) -> list[list[Piece]]:
    """Return the pieces between the ORs; raise where there is nothing to look for."""
    sides: list[list[Piece]] = [[]]
    last = 0
    for piece in wanted:
        if piece.kind == "or":
            _refuse_empty(sides[-1], piece.position)
            sides.append([])
            last = piece.position
        elif piece.tokens:
            sides[-1].append(piece)
    _refuse_empty(sides[-1], last)
    return sides


def _alternative(side: list[Piece]) -> Alternative:
    topic = [piece for piece in side if piece.kind == "word" and not piece.field]
    return Alternative(
        topics=(_keys(topic),) if topic else (),
        phrases=tuple(sorted({_keys([piece]) for piece in side if piece.kind == "phrase" and not piece.field})),
        fields=tuple(sorted({_field(piece) for piece in side if piece.field not in {"", "like"}})),
        like=tuple(sorted({_paper(piece) for piece in side if piece.field == "like"})),
    )


def _exclusions(excluded: list[Piece]) -> tuple[Words | Field, ...]:
    """Return the distinct exclusions, words before fields."""
    for piece in excluded:
        if piece.field == "like":
            raise QueryError(_("Only words and the other fields can be left out, such as -survey."), piece.position)
    words = sorted({_keys([piece]) for piece in excluded if not piece.field})
    return (*words, *sorted({_field(piece) for piece in excluded if piece.field}))


def _keys(side: list[Piece]) -> Words:
    """Return what the words are compared by; a line in capitals is shouted, not full of acronyms."""
    is_shouted = any(SHOUTED.search(piece.text) for piece in side)
    found = [token for piece in side for token in piece.tokens]
    following = [*(token.term for token in found[1:]), ""][: len(found)]
    return tuple(
        token.term if is_shouted or after[:1].isdigit() else _key(token)  # GPT-4o is gpt-4o
        for token, after in zip(found, following, strict=True)
    )


def _key(token: Token) -> str:
    """Return the acronym or the word. AND, NOT and OR are stressed words: a key OR would read back as the operator."""
    return token.term if token.acronym in {"AND", "NOT", "OR"} else token.acronym or token.term


# Fields -----------------------------------------------------------------------------------------

_CATEGORY = re.compile(r"[a-z]+(?:-[a-z]+)*(?:\.(?:[a-z]+(?:-[a-z]+)*|\*))?", re.ASCII)


def _field(piece: Piece) -> Field:
    if piece.field == "cat":
        return Field("cat", (_category(piece),))
    return Field(piece.field, _keys([piece]) if piece.field == "title" else names(_name(piece)))


def _name(piece: Piece) -> str:
    """Return an author's name as it stands under papers: ``Li, Fei-Fei`` is Fei-Fei Li."""
    last, comma, first = piece.text.partition(",")
    return f"{first} {last}" if comma and piece.field == "author" else piece.text


def _category(piece: Piece) -> str:
    """Return the category in lower case; an archive alone, such as ``cs``, stands for all below it."""
    category = piece.text.strip().lower()
    if not _CATEGORY.fullmatch(category):
        message = _("“%(value)s” is no arXiv category. Write one such as cat:cs.CL, or cat:cs.* for all of cs.")
        raise _bad_value(piece, message)
    return category if "." in category else f"{category}.*"


def _paper(piece: Piece) -> str:
    try:
        return bare_id(piece.text)
    except ValueError:
        message = _("“%(value)s” is no arXiv number. Write one such as like:2401.12345.")
        raise _bad_value(piece, message) from None


def _bad_value(piece: Piece, message: str) -> QueryError:
    return QueryError(message % {"value": piece.text.strip()[:40]}, piece.position + piece.is_excluded)


# Refusals ---------------------------------------------------------------------------------------


def _refuse_empty(side: list[Piece], position: int) -> None:
    if not side:
        raise QueryError(_("Write what to look for on both sides of OR, such as robot OR drone."), position)


def _nothing_to_look_for(excluded: list[Piece]) -> QueryError:
    if excluded:
        return QueryError(
            _("This only leaves things out. Write also what to look for, such as robot -surgery."), excluded[0].position
        )
    return QueryError(_("There is no word here. Write what interests you, such as diffusion models."), 0)
