"""Interests as readers type them; an error names the line and the place, and says what to write instead."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext

from papers import query
from papers.text import readable
from subscribers.interests import TOO_MANY
from subscribers.models import MAX_FOLLOWS


class Line(NamedTuple):
    """An interest as it was typed, without the star that may stand before it."""

    wording: str
    is_starred: bool


class InterestsField(forms.CharField):
    """Interests or mutes, one per line or separated by semicolons; cleaned to a list of ``Line``."""

    widget = forms.Textarea

    def __init__(self, *, has_stars: bool = False, hides: bool = False, **kwargs: Any) -> None:
        super().__init__(required=False, **kwargs)
        self.has_stars = has_stars
        self.parse = query.parse_mute if hides else query.parse

    def clean(self, value: Any) -> Any:
        lines = list(self._split(super().clean(value)))
        if len(lines) > MAX_FOLLOWS:
            raise ValidationError(TOO_MANY)
        if errors := [error for number, line in lines if (error := self._error_in(number, line.wording))]:
            raise ValidationError(errors)
        return [line for _number, line in lines]

    def _split(self, text: str) -> Iterator[tuple[int, Line]]:
        for number, row in enumerate(text.splitlines(), start=1):
            for part in row.split(";"):
                wording = part.strip()
                is_starred = self.has_stars and wording.startswith("*")
                if wording := wording.lstrip("* ") if is_starred else wording:
                    yield number, Line(wording, is_starred)

    def _error_in(self, number: int, wording: str) -> ValidationError | None:
        """Return what is wrong with an interest, with its line and the place in it; None if it can be read."""
        try:
            self.parse(wording)
        except query.QueryError as error:
            return ValidationError(
                gettext("Line %(number)s, %(explanation)s") % {"number": number, "explanation": explain(error, wording)}
            )
        return None


def explain(error: query.QueryError, wording: str) -> str:
    """Return the wording, the words at which it goes wrong, and what to write instead.

    ``“robot foo:bar”, at “foo:bar”: …``: a caret below would not stay in its place on a phone.
    """
    line = gettext("“%(wording)s”") % {"wording": _shown(wording, 60)}
    if not wording[: error.position].strip():
        return f"{line}: {error.message}"
    rest = _shown(wording[error.position :], 30)
    place = gettext("at “%(rest)s”") % {"rest": rest} if rest else gettext("at its end")
    return f"{line}, {place}: {error.message}"


def _shown(text: str, length: int) -> str:
    text = readable(text)
    return text if len(text) <= length else f"{text[:length]}…"
