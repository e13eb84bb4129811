"""What the archive's full-text engine is asked, and the words it holds: the words of ``text.py``, marked by field.

Two databases, one language: an ``Expression`` is a small tree, which each of them writes its own way.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache, reduce
from itertools import islice, pairwise

from papers.acronyms import near_forms
from papers.index import SHORTEST_HALF, Document
from papers.query import Alternative, Field, Query, Words
from papers.text import HYPHENS, STOP_WORDS, names, tokens

# What stands before a word that is found in its field only. No word of a text is likely to begin so.
TITLE, AUTHOR, ORGANISATION, CATEGORY, ACRONYM = "zt0", "za0", "zo0", "zc0", "zk0"
BREAK = "zz0"  # a word that no query holds, so that no phrase runs from one field into the next
LONGEST_TEXT = 100_000  # characters of an abstract; what PostgreSQL keeps of a text has an end as well

# How loosely words may stand, the closest first.
TIERS = ("title", "phrase", "all", "any")
MOST_SPELLINGS = 200  # of a phrase with two of its words joined or parted


@dataclass(frozen=True, slots=True)
class Phrase:
    """Words one after the other."""

    words: Words


@dataclass(frozen=True, slots=True)
class AllOf:
    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Any of ``parts``; of none, nothing."""

    parts: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Without:
    part: "Expression"
    left_out: "Expression"


Expression = Phrase | AllOf | AnyOf | Without


# What is kept of a paper ------------------------------------------------------------------------

_SPELT = str.maketrans({"+": "plus", "#": "sharp", ".": "dot"})  # both engines take these for the end of a word


def line(document: Document) -> str:
    """Return the paper's words as the engines hold them: its text as it reads, then its fields, each word marked."""
    title = _words(document.title)
    parts = [title, _words(document.abstract[:LONGEST_TEXT]), *map(_words, document.keywords)]
    fields = [
        _marked(TITLE, title[0].split()),
        *(_marked(AUTHOR, map(_spelt, names(author))) for author in document.authors),
        _marked(ORGANISATION, map(_spelt, names(document.organisation))),
        " ".join(word for category in document.categories for word in _category(category)),
    ]
    return f" {BREAK} ".join([*(words for words, _ in parts), *(more for _, more in parts if more), *fields])


def _words(text: str) -> tuple[str, str]:
    """Return the words of a text, and other forms in which some of them can be asked for."""
    chunks = [_chunk(chunk) for chunk in text.split()]
    return " ".join([words for words, _ in chunks]), " ".join([more for _, more in chunks if more])


@lru_cache(maxsize=200_000)  # of what stands between two spaces there is little that is new
def _chunk(chunk: str) -> tuple[str, str]:
    found = tokens(chunk)
    words = [_spelt((token.acronym or token.term).lower()) for token in found]
    more = [f"{ACRONYM}{token.acronym.lower()}" for token in found if token.acronym]
    more += [_spelt(token.term) for token in found if token.acronym and token.term != token.acronym.lower()]
    for first, second in pairwise(found):
        if second.start == first.end + 1 and chunk[first.end] in HYPHENS:
            more.append(_spelt(first.term + second.term))
    return " ".join(words), " ".join(more)


def _marked(mark: str, words: Iterable[str]) -> str:
    return " ".join([f"{mark}{word}" for word in words])


def _spelt(word: str) -> str:
    return word.translate(_SPELT)


def _category(category: str) -> list[str]:
    """Return the words of ``cs.CL``: one for itself, one for all of cs."""
    whole = category.lower()
    return [f"{CATEGORY}{_letters(whole)}", f"{CATEGORY}{_letters(whole.partition('.')[0])}dotall"]


def _letters(category: str) -> str:
    return "".join(_spelt(letter) for letter in category if letter.isalnum() or letter == ".")


# What is asked ----------------------------------------------------------------------------------


def asked(query: Query, tier: str, liked: Mapping[str, Document] | None = None) -> Expression:
    """Return which papers hold what ``query`` asks for, as loosely as ``tier`` says.

    ``liked`` are the papers that `like:` names, by arXiv id: what holds a word of one's title or a
    keyword may be like it.

    What has a phrase as it is, or with one word joined or parted, is found by ``phrase``. All that can
    answer is found by ``all``, an exact phrase with two words joined or parted, and all that holds a
    word by ``any``: what is found may be more than what answers.
    """
    found = AnyOf(tuple(_side(side, tier, liked or {}) for side in query.alternatives))
    if not query.exclusions:
        return found
    left_out = (_field(part) if isinstance(part, Field) else _near(part) for part in query.exclusions)
    return Without(found, AnyOf(tuple(left_out)))


def _side(side: Alternative, tier: str, liked: Mapping[str, Document]) -> Expression:
    mark = TITLE if tier == "title" else ""
    changes = 2 if tier in {"all", "any"} else 1
    parts: list[Expression] = [_phrase(words, mark, changes) for words in side.phrases]
    parts += [_loose(words, tier) if tier in {"all", "any"} else _near(words, mark) for words in side.topics]
    parts += [_like(liked[paper]) if paper in liked else AnyOf(()) for paper in side.like]
    return AllOf((*parts, *(_field(field, changes) for field in side.fields)))


def _like(document: Document) -> Expression:
    texts = (document.title, *document.keywords)
    words = {token.term for text in texts for token in tokens(text)} - STOP_WORDS
    return AnyOf(tuple(_phrase((word,)) for word in sorted(words)))


def _loose(words: Words, tier: str) -> Expression:
    if tier == "any":
        return AnyOf((*_held(words), _near(words)))
    return AnyOf(tuple(AllOf(_held(form)) for form in near_forms(words)))


def _held(words: Words) -> tuple[Expression, ...]:
    """Return each content word, or each word if none has content."""
    return tuple(
        AnyOf(tuple(_phrase((form,)) for form in sorted(_forms(words, number))))
        for number, word in enumerate(words)
        if word not in STOP_WORDS or STOP_WORDS.issuperset(words)
    )


def _near(words: Words, mark: str = "") -> Expression:
    return AnyOf(tuple(_phrase(form, mark) for form in near_forms(words)))


def _forms(words: Words, number: int) -> set[str]:
    """Return the word, and it joined with its neighbours."""
    joined = [(before + after).lower() for before, after in pairwise(words)]
    return {words[number], *joined[max(number - 1, 0) : number + 1]}


def _field(field: Field, changes: int = 1) -> Expression:
    if field.name == "title":
        return _phrase(field.words, TITLE, changes)
    if field.name == "cat":
        category = field.words[0]
        name = _letters(category.removesuffix(".*"))
        return Phrase((f"{CATEGORY}{name}dotall" if category.endswith(".*") else f"{CATEGORY}{name}",))
    mark = AUTHOR if field.name == "author" else ORGANISATION
    return Phrase(tuple(f"{mark}{_spelt(word)}" for word in field.words))


def _phrase(words: Words, mark: str = "", changes: int = 1) -> Expression:
    """Return where ``words`` stand one after the other, or with one of them, or two, joined or parted."""
    forms = {*_spellings(words, 1), *islice(_spellings(words, changes), MOST_SPELLINGS if changes > 1 else 0)}
    whole = AnyOf(tuple(Phrase(tuple(f"{mark}{_spelt(word.lower())}" for word in form)) for form in sorted(forms)))
    acronyms = tuple(Phrase((f"{ACRONYM}{word.lower()}",)) for word in words if word != word.lower())
    return AllOf((whole, *acronyms))


def _spellings(words: Words, changes: int) -> Iterator[Words]:
    """Yield ``words`` as they may be written with at most so many ``changes``: one parted, or joined with the next."""
    yield words
    for number, word in enumerate(words if changes else ()):
        before, after = words[:number], words[number + 1 :]
        for cut in range(SHORTEST_HALF, len(word) - SHORTEST_HALF + 1):
            if word[:cut] not in STOP_WORDS and word[cut:] not in STOP_WORDS:
                yield from ((*before, word[:cut], word[cut:], *rest) for rest in _spellings(after, changes - 1))
        for rest in _spellings(after[1:], changes - 1) if after else ():
            yield (*before, (word + after[0]).lower(), *rest)


# How it is written ------------------------------------------------------------------------------


def for_sqlite(expression: Expression) -> str:
    """Return the expression in the language of FTS5."""
    if isinstance(expression, Phrase):
        return '"' + " ".join(expression.words).replace('"', '""') + '"'
    if isinstance(expression, Without):
        return f"({for_sqlite(expression.part)} NOT {for_sqlite(expression.left_out)})"
    sign = " AND " if isinstance(expression, AllOf) else " OR "
    return f"({sign.join(map(for_sqlite, expression.parts))})" if expression.parts else '""'


def for_postgresql(expression: Expression) -> str:
    """Return the expression in the language of ``to_tsquery``."""
    if isinstance(expression, Phrase):
        return "(" + " <-> ".join(f"'{_quotable(word)}'" for word in expression.words) + ")"
    if isinstance(expression, Without):
        return f"({for_postgresql(expression.part)} & !{for_postgresql(expression.left_out)})"
    sign = " & " if isinstance(expression, AllOf) else " | "
    return f"({sign.join(map(for_postgresql, expression.parts))})" if expression.parts else f"('{BREAK}none')"


def _quotable(word: str) -> str:
    return reduce(lambda text, sign: text.replace(sign, sign * 2), "\\'", word)
