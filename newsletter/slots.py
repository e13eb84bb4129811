"""A template rendered once for all values of one shape, and filled in without it.

Where a value goes, the template is given a marker; what it makes of that is cut into lines, and a line
that holds markers is an *open* one. A marker is drawn anew by every process, so no text from outside
can hold one. A *hole* stands for a template that is included, whose content is made elsewhere.
"""

import functools
import hashlib
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from django.template import Context, Engine, engines
from django.template.loader import get_template

from subscribers.mime import MAIL_TOKEN, READER_TOKEN, Piece

MARK = f"s{secrets.token_hex(12)}z"
HOLE = f"{MARK}h"
MAIL, READER = f"{MARK}m", f"{MARK}r"  # where the token of a mail, and that of its reader, goes
_SLOT = re.compile(rf"{MARK}(\d+)x")
_TOKEN = re.compile(rf"({MAIL}|{READER})")
_LINES = re.compile(r"[^\n]*\n|[^\n]+")


def slot(number: int) -> str:
    """Return the marker that stands where the string with this number goes."""
    return f"{MARK}{number}x"


Pieces = tuple[Piece, ...]


class Open:
    """What a template made of some slots: ``form % own(strings)`` is filled in with those of the strings that it shows.

    Two of them are never equal, so that it is quick to find what was made of one.
    """

    __slots__ = ("form", "has_token", "own")

    def __init__(self, rendered: str) -> None:
        """Cut what was rendered at its slots; raises ``ValueError`` where a filter spoilt a marker."""
        before, *rest = _SLOT.split(rendered)
        texts = [before, *rest[1::2]]
        for text in texts:
            _check(_TOKEN.split(text)[::2])
        self.form = "%s".join(text.replace("%", "%%") for text in texts)
        # One string, or a tuple of several: what the operator takes.
        self.has_token = bool(_TOKEN.search(rendered))
        self.own: Callable[[Sequence[str]], Any] = itemgetter(*map(int, rest[::2]))

    def pieces(self, filled: str) -> Pieces:
        """Return the line that was filled in, cut at its tokens."""
        return pieces(filled) if self.has_token else (Piece(filled),)


Run = tuple[Open | Pieces, ...]  # what stands between two holes, in lines


def cut(rendered: str, finish: Callable[[str], str] = str) -> tuple[Run, ...]:
    """Cut what was rendered at its holes and into lines; what is the same for all mails is finished now."""
    return tuple([tuple(_parts(side, finish)) for side in rendered.split(HOLE)])


def _parts(rendered: str, finish: Callable[[str], str]) -> Iterator[Open | Pieces]:
    for is_open, lines in groupby(_LINES.findall(rendered), lambda line: bool(_SLOT.search(line))):
        if is_open:
            yield from map(Open, lines)
        else:
            yield pieces(finish("".join(lines)))


def pieces(text: str) -> Pieces:
    """Cut a text at the tokens in it; raises ``ValueError`` where a filter spoilt a marker."""
    parts = _TOKEN.split(text)
    _check(parts[::2])
    own = {MAIL: MAIL_TOKEN, READER: READER_TOKEN}
    return tuple([own.get(part) or Piece(part) for part in parts if part])


def _check(texts: Iterable[str]) -> None:
    if any(MARK in text.lower() for text in texts):
        raise ValueError("a template changes a value that is filled in later")


def fill(
    runs: Sequence[Run],
    strings: Sequence[str],
    holes: Iterable[Sequence[Piece]],
    make: Callable[[Open, Any], Pieces],
) -> list[Piece]:
    """Return the pieces with what goes into each hole in turn; ``make`` fills in an open line with its own strings."""
    filled: list[Piece] = []
    for run, content in zip(runs, [*holes, ()], strict=True):
        for part in run:
            filled += part if isinstance(part, tuple) else make(part, part.own(strings))
        filled += content
    return filled


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


def version(names: Sequence[str], shown: str = "") -> str:
    """Return what changes when one of the templates does, or what all mails show: 12 characters."""
    pages = [get_template(name).template for name in names]  # type: ignore[attr-defined]  # as above
    return hashlib.sha256("\0".join([shown, *[page.source for page in pages]]).encode()).hexdigest()[:12]
