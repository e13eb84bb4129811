"""How well papers suit topics and exact phrases: the answers and their scores, for all of them at once."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import islice

import numpy as np

from papers.acronyms import beginnings, is_exchanged, near_forms
from papers.gathering import gathered
from papers.index import PaperIndex
from papers.okapi import Floats, stem
from papers.phrases import Longs, Phrases, distinct, ranges, runs, within
from papers.query import Words
from papers.standing import as_words, occurrences

# A score is the sum of three parts, each in [0, 1], by weight, scaled to (0, 1].
#
# - How often the whole phrase stands, in the title as good as anywhere, saturating, with half a
#   normalisation by length. Where readers write the words that papers use, this is the best sign.
# - BM25 of the content words, as a part of the most that they could reach. It orders papers that
#   lack the phrase, and it alone carries whole sentences.
# - The same as the first for each pair of neighbours, if there are more than two content words: what
#   stands between a phrase and its scattered words (the ordered pairs of Metzler and Croft's
#   sequential dependence model, 2005).
#
# Tried with `evaluate_matching` (nDCG@10 of hf_ai_keywords and cacm) and on sets made of the recorded
# papers: the same keywords with only the title or two sentences of each paper, words of a title or
# a last sentence as the query for the rest of its paper, names of categories. What is written here
# lies in the middle of flat optima, and not at the best of any set: a weight of BM25 of 0.2 to 1
# moves hf .477 to .468, categories .323 to .340 and cacm .487 to .503; the length's part 0 to 1 .467
# to .479 and nothing to nothing; a saturation of 0.5 to 4 .472 to .478. A title that counts three
# times in the phrase costs .02 on hf. Pairs at 0.05 to 0.2 are worth up to .01 on cacm and on words of titles,
# and cost nothing on keywords. Unordered pairs in a sentence added nothing to ordered ones.
WEIGHTS = {"phrase": 1.0, "okapi": 0.45, "pairs": 0.1}
SATURATION = 1.0
LENGTH = 0.5
AT_ONCE = 500_000  # pairs of a line and a paper
LEAST = 1e-3  # of an answer that holds its words only as other words: `multimodal` for `multi modal`


@dataclass(frozen=True, slots=True)
class Scored:
    """m pairs of a line and a paper: ``keys`` int64, ``line * n + row``, ascending; ``scores`` float64, in (0, 1]."""

    keys: Longs
    scores: Floats


class Asked:
    """Topics and exact phrases, put to an index of n papers; what they have in common is looked for once.

    They are lines by their numbers, which count up from 0 in ``topics`` and in ``exact``, exact phrases
    after topics. ``standing`` int64: ``line * n + row`` of the papers in which a line itself stands, or
    a near form of a topic, ascending. There are scores only if it ``is_scored``.
    """

    def __init__(
        self, index: PaperIndex, topics: Mapping[Words, int], exact: Mapping[Words, int], *, is_scored: bool
    ) -> None:
        self.index = index
        self._rows = max(len(index), 1)
        self._topic_count, self._line_count = len(topics), len(topics) + len(exact)
        self._forms = Forms(topics, exact, has_pairs=is_scored)
        self._readings = as_words(index, self._forms.phrases.names)
        self._found = occurrences(index, self._forms.phrases, self._readings)
        owner, line = self._forms.lines_of(self._found.phrase)
        self.place_line, self.place = self._places(line, self._found.start[owner])
        self.standing, self._often = _counted(self.place_line * self._rows + self._rows_at(self.place))

    def _places(self, line: Longs, start: Longs) -> tuple[Longs, Longs]:
        """Return the lines and where they stand; forms that begin at one place count once."""
        line, place = np.divmod(distinct(line * len(self.index.terms) + start), len(self.index.terms))
        return line, place

    def _rows_at(self, places: Longs) -> Longs:
        return self.index.row[self.index.segment[places]].astype(np.int64)

    @cached_property
    def answers(self) -> Longs:
        """``line * n + row`` of the papers that answer, ascending: a line stands, or a topic's words are gathered."""
        form, row = np.divmod(
            gathered(self.index, self._forms.phrases, self._forms.scattered, self._readings), self._rows
        )
        owner, line = self._forms.lines_of(form)
        keys = (line * self._rows + row[owner])[line < self._topic_count]
        return distinct(np.concatenate([self.standing, keys]))

    def scored(self, *, only_answers: bool) -> Scored:
        """Return the scores of all answers, or of all papers that hold a content word of a line as well."""
        keys = self.answers if only_answers else distinct(np.concatenate([self.answers, self._holding()]))
        line, row = np.divmod(keys, self._rows)
        phrase = self._saturated(_looked_up(keys, self.standing, self._often), row)
        parts = {"phrase": phrase, "okapi": self._okapi(line, row), "pairs": self._pairs(line, row, phrase)}
        total = sum((WEIGHTS[name] * part for name, part in parts.items()), np.zeros(len(keys))) / sum(WEIGHTS.values())
        return Scored(keys, np.maximum(total, LEAST))

    # The parts of a score ---------------------------------------------------------------------------

    def _saturated(self, often: Floats, row: Longs) -> Floats:
        """Return how much it tells that a phrase stands so ``often`` in a paper, in [0, 1)."""
        lengths = self.index.lengths
        damping = SATURATION * (1 - LENGTH + LENGTH * lengths / (lengths.mean() if lengths.any() else 1.0))
        return often / (often + damping[row])

    def _okapi(self, line: Longs, row: Longs) -> Floats:
        """Return BM25 as a part of the most that the line's words could reach, in [0, 1)."""
        okapi, (first, stems) = self.index.okapi, self._stems
        score = np.zeros(len(line))
        lengths = np.diff(first)
        for some in np.array_split(np.arange(len(line)), len(line) // AT_ONCE + 1):
            going, number = some, 0
            while len(going := going[lengths[line[going]] > number]):
                score[going] += okapi.weigh(stems[first[line[going]] + number], row[going])
                number += 1
        highest = np.bincount(self._stem_lines, weights=okapi.highest(stems), minlength=self._line_count)
        return score / highest[line]

    def _pairs(self, line: Longs, row: Longs, phrase: Floats) -> Floats:
        """Return how strongly the pairs of neighbours stand; for one or two content words, the phrase itself."""
        first, pairs = self._forms.pairs
        keys, often = _counted(self._found.phrase * self._rows + self._rows_at(self._found.start))
        count = np.diff(first)[line]
        score = np.where(count > 0, 0.0, phrase)
        going, number = np.flatnonzero(count), 0
        while len(going := going[count[going] > number]):
            pair = pairs[first[line[going]] + number]
            stands = _looked_up(pair * self._rows + row[going], keys, often)
            score[going] += self._saturated(stands, row[going]) / count[going]
            number += 1
        return score

    @cached_property
    def _stems(self) -> tuple[Longs, Longs]:
        """The stems of each line's content words: where each line's begin and end, and their numbers."""
        phrases, numbers = self._forms.phrases, self.index.okapi.numbers
        of_name = np.array([numbers.get(stem(name), len(numbers)) for name in phrases.names], dtype=np.int64)
        first = ranges(phrases.phrase[phrases.content], len(phrases))
        owner, places = within(first, self._forms.own)
        return ranges(owner, self._line_count), of_name[phrases.words[phrases.content[places]]]

    @property
    def _stem_lines(self) -> Longs:
        return np.repeat(np.arange(self._line_count), np.diff(self._stems[0]))

    def _holding(self) -> Longs:
        """Return ``line * n + row`` of the papers that hold a content word of a topic."""
        okapi, (_, stems) = self.index.okapi, self._stems
        is_topic = self._stem_lines < self._topic_count
        owner, places = within(okapi.first, stems[is_topic])
        return distinct(self._stem_lines[is_topic][owner] * self._rows + okapi.rows[places])


def _counted(keys: Longs) -> tuple[Longs, Longs]:
    """Return the distinct ones of ascending keys, and how often each is there."""
    begins = runs(keys)
    return keys[begins], np.diff(np.append(begins, len(keys)))


def _looked_up(keys: Longs, known: Longs, values: Longs) -> Floats:
    """Return the value of each key, 0 where it is not ``known``."""
    if not len(known):
        return np.zeros(len(keys))
    places = np.minimum(np.searchsorted(known, keys), len(known) - 1)
    return np.where(known[places] == keys, values[places], 0).astype(np.float64)


class Forms:
    """All that is looked for: lines, the near forms of topics, and pairs of neighbours, each once.

    ``phrases`` are all of them, ``scattered`` those whose words may
    be gathered instead: near forms of several words; ``own`` int64[l] is
    the form of each line as it is written. ``pairs``: where each line's begin and end, and their forms.
    """

    def __init__(self, topics: Mapping[Words, int], exact: Mapping[Words, int], *, has_pairs: bool) -> None:
        forms = dict(topics)
        of_exact = [forms.setdefault(words, len(forms)) for words in exact]
        self.own: Longs = np.append(np.arange(len(topics)), np.array(of_exact, dtype=np.int64))
        phrases = Phrases.of(list(forms))
        form, line = _near(phrases, len(topics), forms)
        phrases = phrases.extended(list(islice(forms, len(phrases), None)))
        self.phrases, self.pairs = _with_pairs(phrases, self.own if has_pairs else self.own[:0])
        self.scattered: Longs = np.flatnonzero(phrases.lengths > 1)
        form, line = np.append(self.own, form), np.append(np.arange(len(self.own)), line)
        order = np.argsort(form, kind="stable")
        self._lines, self._first = line[order], ranges(form[order], len(self.phrases))

    def lines_of(self, forms: Longs) -> tuple[Longs, Longs]:
        """Return the lines that are looked for by ``forms``: for each its place in ``forms``, and its number."""
        owner, places = within(self._first, forms)
        return owner, self._lines[places]


def _near(phrases: Phrases, topics: int, forms: dict[Words, int]) -> tuple[Longs, Longs]:
    """Return other near forms of the first phrases, and whose they are; number those that are new in ``forms``."""
    words = list(islice(forms, topics))
    may_have = [phrase for phrase in _exchangeable(phrases).tolist() if phrase < topics]
    found = [(form, phrase) for phrase in may_have for form in near_forms(words[phrase])[1:]]
    number = [forms.setdefault(form, len(forms)) for form, _ in found]
    return np.array(number, dtype=np.int64), np.array([phrase for _, phrase in found], dtype=np.int64)


def _exchangeable(phrases: Phrases) -> Longs:
    """Return the phrases that may have other near forms, and all that have; looking up each takes long."""
    begins = np.array([name.lower() in beginnings() for name in phrases.names], dtype=np.bool_)
    places = np.flatnonzero(phrases.has_next & begins[phrases.words])
    which, joined = phrases.with_next(places)
    goes_on = np.array([both in beginnings() for both in joined], dtype=np.bool_)[which]
    is_exchanged_alone = np.array([is_exchanged(name) for name in phrases.names], dtype=np.bool_)
    places = np.append(np.flatnonzero(is_exchanged_alone[phrases.words]), places[goes_on])
    return distinct(phrases.phrase[places])


def _with_pairs(phrases: Phrases, own: Longs) -> tuple[Phrases, tuple[Longs, Longs]]:
    """Return ``phrases`` and the pairs of neighbours among more than two content words of ``own`` as more of them.

    With them, where the pairs of each of ``own`` begin and end, and which phrases they are.
    """
    first, keys = _pairs_in(phrases, int(own.max(initial=-1)) + 1)
    width = max(len(phrases.names), 1)
    two = np.flatnonzero(phrases.lengths == 2)
    known = phrases.words[phrases.first[two]] * width + phrases.words[phrases.first[two] + 1]
    asked = distinct(keys)
    new = asked[~np.isin(asked, known)]
    forms = np.append(two, len(phrases) + np.arange(len(new)))
    known = np.append(known, new)
    order = np.argsort(known)
    owner, places = within(first, own)
    pairs = forms[order][np.searchsorted(known[order], keys[places])]
    words = np.append(phrases.words, np.stack(np.divmod(new, width), axis=1))
    both = Phrases(phrases.names, words, np.append(phrases.first, phrases.first[-1] + 2 * np.arange(1, len(new) + 1)))
    return both, (ranges(owner, len(own)), pairs)


def _pairs_in(phrases: Phrases, count: int) -> tuple[Longs, Longs]:
    """Return the pairs of neighbours among more than two content words of the first ``count`` phrases.

    Where those of each begin and end, and ``word * len(phrases.names) + next word``.
    """
    content = np.flatnonzero(~phrases.is_stop)
    phrase = phrases.phrase[content]
    many = (np.bincount(phrase, minlength=len(phrases))[phrase] > 2) & (phrase < count)
    phrase, word = phrase[many], phrases.words[content[many]]
    goes_on = np.flatnonzero(phrase[:-1] == phrase[1:])
    keys = word[goes_on] * max(len(phrases.names), 1) + word[goes_on + 1]
    return ranges(phrase[goes_on], len(phrases)), keys
