"""What answers and hides mean, slowly and word for word, to hold the engine against."""

from papers.acronyms import near_forms
from papers.fields import held_in
from papers.index import Document, Segment, segments
from papers.query import Alternative, Field, Query, Words
from papers.text import STOP_WORDS


def answers(document: Document, query: Query) -> bool:
    return any(_holds(document, side, loosely=True) for side in query.alternatives) and not _excluded(document, query)


def hides(document: Document, query: Query) -> bool:
    return any(_holds(document, side, loosely=False) for side in query.alternatives) and not _excluded(document, query)


def _excluded(document: Document, query: Query) -> bool:
    return any(_has(document, part) if isinstance(part, Field) else _near(document, part) for part in query.exclusions)


def _holds(document: Document, side: Alternative, *, loosely: bool) -> bool:
    return (
        not side.like
        and all(_near(document, topic) or (loosely and _gathered(document, topic)) for topic in side.topics)
        and all(_stands(document, phrase) for phrase in side.phrases)
        and all(_has(document, field) for field in side.fields)
    )


def _near(document: Document, topic: Words) -> bool:
    return any(_stands(document, form) for form in near_forms(topic))


def _stands(document: Document, words: Words, *fields: str) -> bool:
    return any(_stands_in(part, words) for part in segments(document) if not fields or part.field in fields)


def _stands_in(part: Segment, words: Words) -> bool:
    return any(_reads_on(part, place, words) for place in range(len(part.tokens)))


def _reads_on(part: Segment, place: int, words: Words) -> bool:
    """Whether the words stand from here on: each as it is, as two, or with the next as one."""
    if not words:
        return True
    here, joined = part.tokens[place : place + 1], "".join(words[:2]).lower() if words[1:] else None
    return any(
        [
            bool(here) and words[0] in here[0][0::3] and _reads_on(part, place + 1, words[1:]),
            words[0] == _two_as_one(part, place) and _reads_on(part, place + 2, words[1:]),
            bool(here) and joined == here[0].term and _reads_on(part, place + 1, words[2:]),
        ]
    )


def _two_as_one(part: Segment, place: int) -> str | None:
    if place + 1 >= len(part.tokens):
        return None
    two = [part.tokens[place].term, part.tokens[place + 1].term]
    is_compound = all(len(half) >= 3 and half not in STOP_WORDS for half in two)
    return "".join(two) if is_compound or part.has_hyphen_after(place) else None


def _gathered(document: Document, topic: Words) -> bool:
    prose = [part for part in segments(document) if part.field != "keywords"]
    return any(all(_held(part, form, word) for word in _content(form)) for form in near_forms(topic) for part in prose)


def _content(form: Words) -> list[int]:
    return [place for place, word in enumerate(form) if word not in STOP_WORDS] or list(range(len(form)))


def _held(part: Segment, form: Words, place: int) -> bool:
    terms = {token.term for token in part.tokens}
    with_next = ["".join(form[first : first + 2]).lower() for first in (place - 1, place) if 0 <= first < len(form) - 1]
    return _stands_in(part, form[place : place + 1]) or not terms.isdisjoint(with_next)


def _has(document: Document, field: Field) -> bool:
    return _stands(document, field.words, "title") if field.name == "title" else bool(held_in(document, field))
