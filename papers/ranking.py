"""Which papers answer a query, in what order, and where one can see it.

A paper answers when every phrase stands in its title, abstract or keywords, every topic does too or
has all its content words in the title or in one sentence, and no exclusion stands in it. BM25 only
orders answers.
"""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

from papers.acronyms import near_forms
from papers.index import SEGMENT, Document, PaperIndex, Segment, Spans, merged, segments
from papers.query import Alternative, Field, Query, Words
from papers.text import STOP_WORDS, names

# Okapi BM25 with the usual constants: Robertson and Zaragoza, The Probabilistic Relevance
# Framework: BM25 and Beyond (2009), with the logarithm's argument raised by one so that a word of
# most papers weighs little instead of less than nothing.
K1 = 1.2
B = 0.75

# How much an occurrence of the whole phrase tells, by its field; and how soon more of them tell no more.
FIELD_WEIGHT = {"title": 3.0, "keywords": 2.0, "abstract": 1.0}
PHRASE_SATURATION = 2.0

LONGEST_EVIDENCE = 400  # characters; an abstract may be one endless sentence


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where a paper answers: a field, its text or sentence, and the spans of the words in that text."""

    field: str
    text: str
    marks: tuple[tuple[int, int], ...]


# Answers ----------------------------------------------------------------------------------------


def answers(index: PaperIndex, query: Query) -> dict[int, float]:
    """Return the papers that answer ``query`` with a score in (0, 1], comparable within the result."""
    hidden = _excluded(index, query)
    found = [(side, _answering(index, side) - hidden) for side in query.alternatives]
    return _best(_relevance(index, side, papers) for side, papers in found if papers)


def ranked(index: PaperIndex, query: Query) -> list[tuple[int, float]]:
    """Return all papers that hold a word of ``query``, best first: the answers, then the rest.

    Scores are in (0, 1]; those of answers are above 0.5. A phrase, a field or an exclusion binds the rest too.
    """
    hidden, found = _excluded(index, query), answers(index, query)
    score = _best(
        _relevance(index, side, (_answering(index, side) | _holding_some(index, side)) - hidden)
        for side in query.alternatives
    )
    placed = {paper_id: (value + (paper_id in found)) / 2 for paper_id, value in score.items()}
    return sorted(placed.items(), key=lambda item: (-item[1], item[0]))


def hides(index: PaperIndex, query: Query) -> set[int]:
    """Return the papers that ``query``, as a mute, hides: by phrase, near form or field, never by single words."""
    hidden = {paper_id for side in query.alternatives for paper_id in _standing(index, side)}
    return hidden - _excluded(index, query)


def _best(several: Iterable[dict[int, float]]) -> dict[int, float]:
    """Return the highest score of each paper."""
    best: dict[int, float] = {}
    for scores in several:
        for paper_id, score in scores.items():
            best[paper_id] = max(score, best.get(paper_id, 0.0))
    return dict(sorted(best.items()))


def _standing(index: PaperIndex, side: Alternative) -> set[int]:
    """Return the papers in which the whole topics and phrases stand, and all fields. Likeness is not known yet."""
    parts = [set(index.near(words)) for words in side.topics]
    parts += [set(index.spans(words)) for words in side.phrases]
    parts += [_in_field(index, field) for field in side.fields]
    return set.intersection(*parts) if parts and not side.like else set()


def _answering(index: PaperIndex, side: Alternative) -> set[int]:
    parts = [set(index.spans(words)) for words in side.phrases]
    parts += [index.near(words).keys() | _gathered(index, words).keys() for words in side.topics]
    parts += [_in_field(index, field) for field in side.fields]
    return set.intersection(*parts) if parts and not side.like else set()


def _holding_some(index: PaperIndex, side: Alternative) -> set[int]:
    """Return the papers that hold any content word of the topics, all phrases and all fields."""
    held = {paper_id for words in side.topics for spans in _word_spans(index, words) for paper_id in spans}
    for words in side.phrases:
        held &= index.spans(words).keys()
    for field in side.fields:
        held &= _in_field(index, field)
    return held if not side.like else set()


def _excluded(index: PaperIndex, query: Query) -> set[int]:
    parts = [_in_field(index, part) if isinstance(part, Field) else index.near(part) for part in query.exclusions]
    return {paper_id for part in parts for paper_id in part}


def _in_field(index: PaperIndex, field: Field) -> set[int]:
    if field.name == "title":
        found = index.spans(field.words).items()
        return {paper_id for paper_id, spans in found if any(start < SEGMENT for start, _ in spans)}
    return {paper_id for paper_id, document in index.documents.items() if held_in(document, field)}


def held_in(document: Document, field: Field) -> str:
    """Return the author, the organisation or the category of the paper that ``field`` asks for, or ''."""
    if field.name == "cat":
        return next((found for found in document.categories if _is_within(found.lower(), field.words[0])), "")
    held = document.authors if field.name == "author" else (document.organisation,)
    return next((name for name in held if f" {' '.join(field.words)} " in f" {' '.join(names(name))} "), "")


def _is_within(category: str, wanted: str) -> bool:
    archive = wanted.removesuffix(".*")
    return category == archive or (wanted != archive and category.startswith(f"{archive}."))


def _gathered(index: PaperIndex, words: Words) -> Spans:
    """Return the spans of all content words in the first title or sentence that holds them all, by paper.

    It may hold those of a near form instead.
    """
    found: Spans = {}
    for form in near_forms(words):
        found = _gathered_as(index, form) | found
    return found


def _gathered_as(index: PaperIndex, words: Words) -> Spans:
    by_word = _word_spans(index, words)
    found: Spans = {}
    for paper_id in sorted(set.intersection(*map(set, by_word))):
        spans = [span for by_paper in by_word for span in by_paper[paper_id]]
        shared = set.intersection(*({start // SEGMENT for start, _ in by_paper[paper_id]} for by_paper in by_word))
        prose = [segment for segment in shared if index.field(paper_id, segment * SEGMENT) != "keywords"]
        if prose:
            found[paper_id] = [span for span in spans if span[0] // SEGMENT == min(prose)]
    return found


def _word_spans(index: PaperIndex, words: Words) -> list[Spans]:
    """Return where each content word stands, also joined with its neighbour; all words if none has content."""
    joined = [(before + after).lower() for before, after in pairwise(words)]
    by_word = []
    for number, word in enumerate(words):
        if word in STOP_WORDS and not STOP_WORDS.issuperset(words):
            continue
        forms = {word, *joined[max(number - 1, 0) : number + 1]}
        by_word.append(merged(index.spans((form,)) for form in sorted(forms)))
    return by_word


# Order ------------------------------------------------------------------------------------------


def _relevance(index: PaperIndex, side: Alternative, papers: set[int]) -> dict[int, float]:
    """Return a score in (0, 1] for each of ``papers``: half the words, half the whole phrases; 1 for fields alone."""
    parts = _parts(index, side)
    if not parts:
        return dict.fromkeys(sorted(papers), 1.0)
    okapi = _okapi(index, [spans for words, _ in parts for spans in _word_spans(index, words)])
    highest = max((okapi.get(paper_id, 0.0) for paper_id in papers), default=0.0) or 1.0
    phrase = [_phrase_weight(index, spans) for _, spans in parts]
    return {
        paper_id: okapi.get(paper_id, 0.0) / highest / 2
        + sum(weight.get(paper_id, 0.0) for weight in phrase) / len(parts) / 2
        for paper_id in sorted(papers)
    }


def _parts(index: PaperIndex, side: Alternative) -> list[tuple[Words, Spans]]:
    """Return the topics and phrases and where they stand: a topic also in a near form, a phrase only as it is."""
    topics = [(words, index.near(words)) for words in side.topics]
    return topics + [(words, index.spans(words)) for words in side.phrases]


def _okapi(index: PaperIndex, by_word: Iterable[Spans]) -> dict[int, float]:
    average = sum(index.lengths.values()) / len(index) if len(index) else 0.0
    scores: dict[int, float] = {}
    for spans in by_word:
        rarity = math.log(1 + (len(index) - len(spans) + 0.5) / (len(spans) + 0.5))
        for paper_id, found in spans.items():
            damped = len(found) + K1 * (1 - B + B * index.lengths[paper_id] / average)
            scores[paper_id] = scores.get(paper_id, 0.0) + rarity * len(found) * (K1 + 1) / damped
    return scores


def _phrase_weight(index: PaperIndex, spans: Spans) -> dict[int, float]:
    """Return, by paper, how strongly the phrase itself stands in it, in (0, 1)."""
    weights = {
        paper_id: sum(FIELD_WEIGHT[index.field(paper_id, start)] for start, _ in found)
        for paper_id, found in spans.items()
    }
    return {paper_id: weight / (weight + PHRASE_SATURATION) for paper_id, weight in weights.items()}


# Evidence ---------------------------------------------------------------------------------------


def evidence(document: Document, query: Query) -> Evidence | None:
    """Return where one can see best that the paper answers ``query``, or None if it does not.

    The title is shown before a sentence of the abstract, and that before a keyword.
    """
    index, parts_of_paper = _alone(document)
    if _excluded(index, query):
        return None
    side = next((side for side in query.alternatives if _answering(index, side)), None)
    if side is None:
        return None
    parts = [_shown(index, document.id, words, spans) for words, spans in _parts(index, side)]
    parts += [index.spans(field.words)[document.id] for field in side.fields if field.name == "title"]
    if not parts:
        return _evidence_of_field(document, side.fields[0])
    by_segment = [{start // SEGMENT for start, _ in spans} for spans in parts]
    held = Counter(segment for found in by_segment for segment in found)
    best = min(held, key=lambda segment: (-held[segment], segment))
    segment = parts_of_paper[best]
    marks = _marks(segment, [span for spans in parts for span in spans if span[0] // SEGMENT == best])
    return _excerpt(segment, marks)


# What the reader calls the fields.
FIELD_NAMES = {"author": "authors", "org": "organisation", "cat": "categories"}


def _evidence_of_field(document: Document, field: Field) -> Evidence:
    text = held_in(document, field)
    return Evidence(FIELD_NAMES[field.name], text, ((0, len(text)),))


@lru_cache(maxsize=256)  # many readers get the same papers
def _alone(document: Document) -> tuple[PaperIndex, list[Segment]]:
    return PaperIndex([document]), list(segments(document))


def _shown(index: PaperIndex, paper_id: int, words: Words, spans: Spans) -> list[tuple[int, int]]:
    """Return the spans of the phrase, or of its words where they stand together only loosely."""
    return spans.get(paper_id) or _gathered(index, words)[paper_id]


def _marks(segment: Segment, spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what to mark in the segment's text, in order, without overlaps."""
    marks: list[tuple[int, int]] = []
    for first, end in sorted(set(spans)):
        start, stop = segment.tokens[first % SEGMENT].start, segment.tokens[(end - 1) % SEGMENT].end
        if marks and start < marks[-1][1]:
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
