"""Closeness in meaning beside words: what it adds to the answers, and the sentence that shows it.

A paper that is close to a topic answers it, behind all that answer by words; of what does not answer,
the closer comes first. Answers by words keep their order: nothing measured was better at it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import chain

import numpy as np
import numpy.typing as npt

from papers.encoders import Encoder, Vectors
from papers.index import Document, PaperIndex, segments
from papers.likeness import Like
from papers.matching import Hidden, Matches, hide, match, related
from papers.query import Alternative, Field, Query, Words
from papers.ranking import Evidence

Longs = npt.NDArray[np.int64]

# How far above what unrelated texts have in common, in standard deviations of that, a closeness must
# lie to be an answer. With wordllama that is 0.50: of the 6,325 papers of hf_ai_keywords 5 for a topic
# in the mean, of cacm's 3,204 8, every fifth of them relevant where one of 200 is by chance.
UNUSUAL = 4.5
# Between two papers that is 0.67: of 1,500 of hf_ai_keywords each has 4.4 such, as many as by words (see
# ``likeness``); a fifth of them share a keyword with it, of all other pairs 2.5 %.
HIGHEST = 0.95  # of two papers, whatever the encoder: what is all but the same is alike
LOWEST = 0.3  # whatever the encoder: it may know too few words to tell anything apart
ANSWER_WEIGHT = 0.2  # of a closeness as a score, where no answer by words is lower yet
BEHIND = 0.999  # of the lowest score by words, at most: what is close comes behind it whatever float32 rounds
# Of closeness, beside the words scaled to at most 1, in what does not answer by them: as much as these.
# On cacm every weight from 0.1 to 1 is worth .004 to .019 of nDCG@10 and up to .03 of recall@50; the
# reciprocal rank moves between .717 and .732 with two or three of 52 requests.
REST_WEIGHT = 1.0
AT_ONCE = 1_000  # topics that are compared with all papers
FIELD = "meaning"  # in the place of a field's name, in evidence
CLOSE_FROM = 0.0  # below, a paper has nothing to do with a topic


def said(query: Query) -> tuple[str, ...]:
    """Return the texts that an encoder is given of ``query``: the topic of each alternative that has one."""
    return tuple(" ".join(chain(*side.topics)) for side in _with_topic(query))


def _with_topic(query: Query) -> list[Alternative]:
    return [side for side in query.alternatives if side.topics]


def text(document: Document) -> str:
    """Return the text that an encoder is given of a paper."""
    return f"{document.title}. {document.abstract}"


def threshold(encoder: Encoder, papers: Sequence[Document]) -> float:
    """Return the closeness from which a paper answers, by what each of ``papers`` has with the others' keywords.

    Encoders differ in what they give to texts that have nothing in common.
    """
    topics = [(number, keyword) for number, paper in enumerate(papers) for keyword in paper.keywords]
    said = encoder.encode([keyword for _, keyword in topics])
    closeness = said @ encoder.encode([text(paper) for paper in papers]).T
    is_own = np.array([number for number, _ in topics])[:, None] == np.arange(len(papers))
    chance = closeness[~is_own]
    return _unusual(chance)


def likeness_threshold(encoder: Encoder, papers: Sequence[Document]) -> float:
    """Return the closeness from which a paper is like another, by what each two of ``papers`` have."""
    vectors = encoder.encode([text(paper) for paper in papers])
    return min(_unusual((vectors @ vectors.T)[np.triu_indices(len(papers), k=1)]), HIGHEST)


def _unusual(chance: Vectors) -> float:
    return max(LOWEST, float(chance.mean() + UNUSUAL * chance.std()))


# Which papers are close -------------------------------------------------------------------------


def close(  # noqa: PLR0913 - the sizes of the first four are each other's
    index: PaperIndex,
    queries: Sequence[Query],
    said: Sequence[Vectors],
    papers: Vectors,
    least: float,
    *,
    likes: Mapping[str, Like] | None = None,
) -> Matches:
    """Return which papers are close to each of q queries, above ``least``, with the closeness as score.

    ``said[i]`` float32[k, d] are the vectors of what is ``said`` in query i, ``papers`` float32[n, d]
    those of the index's rows. What else an alternative asks for binds as ever, and so do exclusions.
    """
    rows = max(len(index), 1)
    owner = np.repeat(np.arange(len(queries)), [len(vectors) for vectors in said])
    topic, row, score = _pairs(np.concatenate([papers[:0], *said]), papers, least)
    is_bound = _bound(index, queries, topic * rows + row, likes) & ~_excluded(index, queries, owner[topic] * rows + row)
    keys, score = (owner[topic] * rows + row)[is_bound], score[is_bound]
    order = np.lexsort((-score, keys))  # the closest alternative counts
    keys, first = np.unique(keys[order], return_index=True)
    query, row = np.divmod(keys, rows)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(query, minlength=len(queries)))])
    return Matches(indptr.astype(np.int64), row.astype(np.int32), score[order][first])


def _pairs(topics: Vectors, papers: Vectors, least: float) -> tuple[Longs, Longs, Vectors]:
    """Return the topics, the rows and the closeness of all pairs above ``least``."""
    found = []
    for start in range(0, max(len(topics), 1), AT_ONCE):
        closeness = topics[start : start + AT_ONCE] @ papers.T
        topic, row = np.nonzero(closeness > least)
        found.append((topic + start, row, closeness[topic, row]))
    topic, row, score = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return topic, row, score


def _bound(
    index: PaperIndex, queries: Sequence[Query], keys: Longs, likes: Mapping[str, Like] | None
) -> npt.NDArray[np.bool_]:
    """Return which ``topic * n + row`` hold what their alternative asks for besides its topic."""
    sides = [replace(side, topics=()) for query in queries for side in _with_topic(query)]
    others = [number for number, side in enumerate(sides) if side != Alternative()]
    if not others:
        return np.ones(len(keys), dtype=np.bool_)
    rows, numbers = max(len(index), 1), np.array(others)
    held = _keys(match(index, [Query((sides[number],)) for number in others], likes), numbers, rows)
    return ~np.isin(keys // rows, numbers) | np.isin(keys, held)


def _excluded(index: PaperIndex, queries: Sequence[Query], keys: Longs) -> npt.NDArray[np.bool_]:
    """Return which ``query * n + row`` hold what their query leaves out."""
    strict = [number for number, query in enumerate(queries) if query.exclusions]
    if not strict:
        return np.zeros(len(keys), dtype=np.bool_)
    left_out = [Query(tuple(_alternative(part) for part in queries[number].exclusions)) for number in strict]
    return np.isin(keys, _keys(hide(index, left_out), np.array(strict), max(len(index), 1)))


def _alternative(part: Words | Field) -> Alternative:
    return Alternative(fields=(part,)) if isinstance(part, Field) else Alternative(topics=(part,))


def _all_keys(found: Matches, rows: int) -> Longs:
    return _keys(found, np.arange(len(found.indptr) - 1), rows)


def _keys(found: Matches | Hidden, numbers: Longs, rows: int) -> Longs:
    """Return ``number * rows + row`` of what was found for the queries of these numbers."""
    return np.repeat(numbers, np.diff(found.indptr)) * rows + found.rows


# What it adds -----------------------------------------------------------------------------------


def joined(by_words: Matches, close: Matches, rows: int) -> Matches:
    """Return the answers by words and, behind all of a query's, what is close without one.

    ``rows`` are the index's n. Scores of what is close are below ANSWER_WEIGHT and below every answer's by words.
    """
    queries = len(by_words.indptr) - 1
    held, near = _all_keys(by_words, rows), _all_keys(close, rows)
    lowest = np.full(queries, ANSWER_WEIGHT, dtype=np.float32)
    np.minimum.at(lowest, held // rows, by_words.scores)
    is_new = ~np.isin(near, held)
    behind = BEHIND * np.minimum(close.scores[is_new], 1.0) * lowest[near[is_new] // rows]
    return _matches(np.concatenate([held, near[is_new]]), np.concatenate([by_words.scores, behind]), queries, rows)


def _matches(keys: Longs, scores: npt.NDArray[np.floating], queries: int, rows: int) -> Matches:
    order = np.argsort(keys)
    query, row = np.divmod(keys[order], rows)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(query, minlength=queries))])
    return Matches(indptr.astype(np.int64), row.astype(np.int32), scores[order].astype(np.float32))


def ranked(
    index: PaperIndex, query: Query, said: Vectors, papers: Vectors, likes: Mapping[str, Like] | None = None
) -> list[tuple[int, float]]:
    """Return what ``ranking.ranked`` does and all that is close, best first; one query's view of ``ordered``."""
    found = ordered(index, [query], [said], papers, likes)
    placed = zip(index.ids[found.rows].tolist(), found.scores.tolist(), strict=True)
    return sorted(placed, key=lambda item: (-item[1], item[0]))


def ordered(
    index: PaperIndex,
    queries: Sequence[Query],
    said: Sequence[Vectors],
    papers: Vectors,
    likes: Mapping[str, Like] | None = None,
) -> Matches:
    """Return for each query its answers by words, scores above 0.5 as ``ranking.ranked`` gives them, and the rest.

    The rest, scores in (0, 0.5], holds a word of the query or is close to it, and is ordered by both.
    """
    rows = max(len(index), 1)
    by_words, near = related(index, queries, likes), close(index, queries, said, papers, CLOSE_FROM, likes=likes)
    word_keys, near_keys = _all_keys(by_words, rows), _all_keys(near, rows)
    keys = np.union1d(word_keys, near_keys)
    words, closeness = np.zeros(len(keys)), np.zeros(len(keys))
    words[np.searchsorted(keys, word_keys)] = by_words.scores
    closeness[np.searchsorted(keys, near_keys)] = near.scores
    is_answer = np.isin(keys, _all_keys(match(index, queries, likes), rows))
    highest = np.zeros(len(queries))
    np.maximum.at(highest, keys[~is_answer] // rows, words[~is_answer])
    highest[highest == 0] = 1.0
    rest = (words / highest[keys // rows] + REST_WEIGHT * closeness) / (1 + REST_WEIGHT)
    return _matches(keys, np.where(is_answer, words + 1, np.minimum(rest, 1.0)) / 2, len(queries), rows)


def nearest(document: Document, said: Vectors, encoder: Encoder) -> Evidence:
    """Return the sentence of a paper, or its title, that is closest to what was ``said``, unmarked."""
    texts = [segment.text for segment in segments(document) if segment.field != "keywords"]
    closeness = (encoder.encode(texts) @ said.T).max(axis=1)
    return Evidence(FIELD, texts[int(closeness.argmax())], ())
