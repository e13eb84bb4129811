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

from papers.index import SEGMENT, Document, PaperIndex, Segment, Spans, segments
from papers.query import Query, Words
from papers.text import STOP_WORDS

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
    found = _answering(index, query)
    return _relevance(index, query, found) if found else {}


def ranked(index: PaperIndex, query: Query) -> list[tuple[int, float]]:
    """Return all papers that hold a word of ``query``, best first: the answers, then the rest.

    Scores are in (0, 1]; those of answers are above 0.5. A phrase or an exclusion binds the rest too.
    """
    found = _answering(index, query)
    score = _relevance(index, query, found | _holding_some(index, query))
    placed = {paper_id: (value + (paper_id in found)) / 2 for paper_id, value in score.items()}
    return sorted(placed.items(), key=lambda item: (-item[1], item[0]))


def hides(index: PaperIndex, query: Query) -> set[int]:
    """Return the papers that ``query``, as a mute, hides: by phrase or near form, never by single words of a topic."""
    standing = [index.spans(words).keys() for words in (*query.topics, *query.phrases)]
    return set.intersection(*map(set, standing)) - _holding_any(index, query.exclusions)


def _answering(index: PaperIndex, query: Query) -> set[int]:
    parts = [set(index.spans(words)) for words in query.phrases]
    parts += [index.spans(words).keys() | _gathered(index, words).keys() for words in query.topics]
    return set.intersection(*parts) - _holding_any(index, query.exclusions)


def _holding_some(index: PaperIndex, query: Query) -> set[int]:
    """Return the papers that hold any content word of the topics, all phrases and no exclusion."""
    held = {paper_id for words in query.topics for spans in _word_spans(index, words) for paper_id in spans}
    for words in query.phrases:
        held &= index.spans(words).keys()
    return held - _holding_any(index, query.exclusions)


def _holding_any(index: PaperIndex, several: Iterable[Words]) -> set[int]:
    return {paper_id for words in several for paper_id in index.spans(words)}


def _gathered(index: PaperIndex, words: Words) -> Spans:
    """Return the spans of all content words in the first title or sentence that holds them all, by paper."""
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
        by_word.append(_merged(index.spans((form,)) for form in sorted(forms)))
    return by_word


def _merged(several: Iterable[Spans]) -> Spans:
    merged: dict[int, set[tuple[int, int]]] = {}
    for spans in several:
        for paper_id, found in spans.items():
            merged.setdefault(paper_id, set()).update(found)
    return {paper_id: sorted(found) for paper_id, found in merged.items()}


# Order ------------------------------------------------------------------------------------------


def _relevance(index: PaperIndex, query: Query, papers: set[int]) -> dict[int, float]:
    """Return a score in (0, 1] for each of ``papers``: half of it the words, half the whole phrases."""
    parts = (*query.topics, *query.phrases)
    okapi = _okapi(index, [spans for words in parts for spans in _word_spans(index, words)])
    highest = max((okapi.get(paper_id, 0.0) for paper_id in papers), default=0.0) or 1.0
    phrase = [_phrase_weight(index, index.spans(words)) for words in parts]
    return {
        paper_id: okapi.get(paper_id, 0.0) / highest / 2
        + sum(weight.get(paper_id, 0.0) for weight in phrase) / len(parts) / 2
        for paper_id in sorted(papers)
    }


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
    if document.id not in _answering(index, query):
        return None
    parts = [_shown(index, document.id, words) for words in (*query.topics, *query.phrases)]
    by_segment = [{start // SEGMENT for start, _ in spans} for spans in parts]
    held = Counter(segment for found in by_segment for segment in found)
    best = min(held, key=lambda segment: (-held[segment], segment))
    segment = parts_of_paper[best]
    marks = _marks(segment, [span for spans in parts for span in spans if span[0] // SEGMENT == best])
    return _excerpt(segment, marks)


@lru_cache(maxsize=256)  # many readers get the same papers
def _alone(document: Document) -> tuple[PaperIndex, list[Segment]]:
    return PaperIndex([document]), list(segments(document))


def _shown(index: PaperIndex, paper_id: int, words: Words) -> list[tuple[int, int]]:
    """Return the spans of the phrase, or of its words where they stand together only loosely."""
    return index.spans(words).get(paper_id) or _gathered(index, words)[paper_id]


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
