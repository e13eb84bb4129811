"""Where one can see that a paper answers a query."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from papers.fields import held_in
from papers.index import Document, Segment
from papers.likeness import Profile, profile
from papers.okapi import stem
from papers.passages import SEGMENT, Passages, Span, passages
from papers.query import Alternative, Field, Query, Words

LONGEST_EVIDENCE = 400  # characters; an abstract may be one endless sentence
# What the reader calls the fields.
FIELD_NAMES = {"author": "authors", "org": "organisation", "cat": "categories"}


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a paper answers: a field, its text or sentence, and the spans of the words in that text."""

    field: str
    text: str
    marks: tuple[tuple[int, int], ...]


def evidence(document: Document, query: Query, likes: Mapping[str, Profile] | None = None) -> Evidence | None:
    """Return where one can see best that the paper answers ``query``, or None if it does not.

    The first alternative that it answers is shown: the place that holds most of its topics and
    phrases, the title before a sentence of the abstract, and that before a keyword; a field alone by
    what it found; likeness alone by the sentence with the most shared words. ``likes`` are the profiles
    of papers by arXiv id; a likeness to one of them is taken for granted here, and another shows nothing.
    """
    paper = passages(document)
    if any(_stands(document, paper, part) for part in query.exclusions):
        return None
    for side in query.alternatives:
        if (found := _shown(document, paper, side)) is not None and (
            place := _best_place(paper, found) or _otherwise(document, paper, side, likes or {})
        ):
            return place
    return None


def _stands(document: Document, paper: Passages, part: Words | Field) -> bool:
    if not isinstance(part, Field):
        return bool(paper.near(part))
    return bool(_in_title(paper, part) if part.name == "title" else held_in(document, part))


def _in_title(paper: Passages, field: Field) -> list[Span]:
    return [span for span in paper.spans(field.words) if span[0] < SEGMENT]


def _shown(document: Document, paper: Passages, side: Alternative) -> list[list[Span]] | None:
    """Return the spans of each part that is made of words, or None where a part is missing."""
    if not all(held_in(document, field) for field in side.fields if field.name != "title"):
        return None
    found = [paper.near(words) or paper.gathered(words) for words in side.topics]
    found += [paper.spans(words) for words in side.phrases]
    found += [_in_title(paper, field) for field in side.fields if field.name == "title"]
    return found if all(found) else None


def _best_place(paper: Passages, found: Sequence[Sequence[Span]]) -> Evidence | None:
    held = Counter(segment for spans in found for segment in {start // SEGMENT for start, _ in spans})
    if not held:
        return None
    best = min(held, key=lambda segment: (-held[segment], segment))
    spans = [span for several in found for span in several if span[0] // SEGMENT == best]
    return _excerpt(paper.segments[best], _marks(paper.segments[best], spans))


def _otherwise(document: Document, paper: Passages, side: Alternative, likes: Mapping[str, Profile]) -> Evidence | None:
    """Return the evidence of an alternative without words: a field, or likeness."""
    if side.fields:
        text = held_in(document, side.fields[0])
        return Evidence(FIELD_NAMES[side.fields[0].name], text, ((0, len(text)),))
    known = [likes[arxiv_id] for arxiv_id in side.like if arxiv_id in likes]
    return _most_alike(document, paper, known[0]) if known else None


def _most_alike(document: Document, paper: Passages, other: Profile) -> Evidence | None:
    """Return the title or sentence that shares the most with another paper, what is rarer in speech marked."""
    counts = dict(zip(other.stems, other.counts, strict=True))
    own = profile(document)
    worth = {word: count * counts[word] for word, count in zip(own.stems, own.counts, strict=True) if word in counts}
    best: tuple[float, Segment, list[tuple[int, int]]] | None = None
    for segment in paper.segments:
        shared = [token for token in segment.tokens if stem(token.term) in worth]
        total = sum(worth[word] for word in {stem(token.term) for token in shared})
        if shared and (best is None or total > best[0]):
            best = total, segment, [(token.start, token.end) for token in shared]
    return _excerpt(best[1], best[2]) if best else None


def _marks(segment: Segment, spans: Iterable[Span]) -> list[tuple[int, int]]:
    """Return what to mark in the segment's text, in order; neighbours are marked together."""
    marks: list[tuple[int, int]] = []
    for first, end in sorted(set(spans)):
        start, stop = segment.tokens[first % SEGMENT].start, segment.tokens[(end - 1) % SEGMENT].end
        if marks and start <= marks[-1][1] + 1:
            start, stop = marks[-1][0], max(stop, marks.pop()[1])
        marks.append((start, stop))
    return marks


def _excerpt(segment: Segment, marks: Sequence[tuple[int, int]]) -> Evidence:
    """Return the segment, cut around the first mark if it is too long for a mail."""
    text = segment.text
    if len(text) <= LONGEST_EVIDENCE:
        return Evidence(segment.field, text, tuple(marks))
    first, last = marks[0]
    start = max(0, first - LONGEST_EVIDENCE // 4)
    start = start and (text.find(" ", start, first) + 1 or first)
    end = min(len(text), start + LONGEST_EVIDENCE)
    end = end if end == len(text) else max(text.rfind(" ", last, end), min(last, end))
    before, after = "…" if start else "", "…" if end < len(text) else ""
    shift = len(before) - start
    return Evidence(
        segment.field,
        before + text[start:end] + after,
        tuple((from_ + shift, min(to, end) + shift) for from_, to in marks if from_ < end),
    )
