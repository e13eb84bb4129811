"""A template rendered once for all values of one shape, and filled in without it.

Where a value goes, the template is given a marker; what it makes of that is cut at the markers. A
marker is drawn anew by every process, so no text from outside can hold one. Two things stand open:
*slots*, one for each plain string of the context, and the *hole* that stands for a template that is
included, whose content is made elsewhere.
"""

import functools
import hashlib
import re
import secrets
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from django.template import Context, Engine, engines
from django.template.loader import get_template

from subscribers.mime import Piece, Pieces

MARK = f"s{secrets.token_hex(12)}z"
HOLE = f"{MARK}h"
_MARKERS = re.compile(rf"{MARK}(\d+x|h)")


class Fixed(str):
    """A string that all readers share, such as a translation: rendered with the template, no slot."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class Slot:
    """Where the string with this number goes."""

    number: int


Part = Piece | str | Slot | None  # None is the hole


def shape(value: object, strings: list[str]) -> Hashable:
    """Return what of a context decides on the markup, and append its plain strings in their order.

    A context is made of dicts, tuples, plain strings, and values that are hashable. An empty
    string is part of the shape, since templates ask for it.
    """
    if type(value) is str:
        if not value:
            return value
        strings.append(value)
        return None, MARK
    if isinstance(value, tuple):
        return tuple([shape(each, strings) for each in value])
    if isinstance(value, dict):
        return tuple([(key, shape(each, strings)) for key, each in value.items()])
    if isinstance(value, Hashable):
        return value
    raise TypeError(f"{value!r} cannot be part of a shape")


def marked(value: object, numbers: Iterator[int] | None = None) -> Any:
    """Return a context with a marker in place of each of its plain strings."""
    numbers = numbers or count()
    if type(value) is str:
        return f"{MARK}{next(numbers)}x" if value else value
    if isinstance(value, tuple):
        members = [marked(each, numbers) for each in value]
        return value._make(members) if hasattr(value, "_make") else tuple(members)
    if isinstance(value, dict):
        return {key: marked(each, numbers) for key, each in value.items()}
    return value


def cut(rendered: str, shortest_piece: int = 0) -> tuple[Part, ...]:
    """Cut what was rendered of a marked context; raises ``ValueError`` where a filter spoilt a marker.

    What is shorter than ``shortest_piece`` stays a string, to be encoded together with its neighbours.
    """
    texts = _MARKERS.split(rendered)
    if any(MARK in text.lower() for text in texts):
        raise ValueError("a template changes a value that is filled in later")
    parts: list[Part] = []
    for number, text in enumerate(texts):
        if number % 2:
            parts.append(None if text == "h" else Slot(int(text[:-1])))
        elif text:
            parts.append(text if len(text) < shortest_piece else Piece(text))
    return tuple(parts)


def fill(parts: Sequence[Part], strings: Sequence[str], holes: Iterable[Pieces] = ()) -> list[Piece | str]:
    """Return the parts with their strings, which are escaped already, and with what goes into each hole in turn."""
    pieces: list[Piece | str] = []
    contents = iter(holes)
    for part in parts:
        if part is None:
            pieces += next(contents)
        else:
            pieces.append(strings[part.number] if isinstance(part, Slot) else part)
    return pieces


@functools.lru_cache(maxsize=8)
def _engine(_version: str, replaced: tuple[tuple[str, str], ...]) -> Engine:
    site = engines["django"].engine  # type: ignore[attr-defined]  # Django's own backend is the one there is
    # The cached loader among them would not see ours before it.
    loaders = [each for loader in site.loaders for each in (loader[1] if isinstance(loader, tuple) else [loader])]
    ours = ("django.template.loaders.locmem.Loader", dict(replaced))
    return Engine(
        dirs=site.dirs,
        loaders=[("django.template.loaders.cached.Loader", [ours, *loaders])],
        string_if_invalid=site.string_if_invalid,
        libraries=site.libraries,
        builtins=site.builtins,
    )


def render(version: str, name: str, context: Mapping[str, object], replaced: Mapping[str, str]) -> str:
    """Render one of the site's templates, with others in place of some that it includes or extends.

    ``version`` names the templates' content, of which each is read once. A name that ends in .txt is
    not escaped.
    """
    page = _engine(version, tuple(sorted(replaced.items()))).get_template(name)
    return str(page.render(Context(dict(context), autoescape=not name.endswith(".txt"))))


def version(names: Sequence[str]) -> str:
    """Return what changes when one of the templates does: 12 characters."""
    pages = [get_template(name).template for name in names]  # type: ignore[attr-defined]  # as above
    return hashlib.sha256("\0".join(page.source for page in pages).encode()).hexdigest()[:12]
