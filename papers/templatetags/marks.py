"""Show in a sentence what was found."""

from collections.abc import Iterator

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from papers.ranking import Evidence

register = template.Library()


@register.filter
def marked(evidence: Evidence) -> SafeString:
    """Return the text with its marks as ``<mark>``; where they overlap, each character is marked once."""
    return format_html_join("", "{}", ((part,) for part in _parts(evidence)))


def _parts(evidence: Evidence) -> Iterator[str]:
    end = 0
    for start, stop in sorted(evidence.marks):
        if stop > end:
            yield evidence.text[end : max(start, end)]
            yield format_html("<mark>{}</mark>", evidence.text[max(start, end) : stop])
            end = stop
    yield evidence.text[end:]
