"""Where words stand in one paper: the same reading as in ``papers.standing``, for a paper that was picked."""

from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from papers.acronyms import near_forms
from papers.index import SHORTEST_HALF, Document, Segment, segments
from papers.query import Words
from papers.text import STOP_WORDS

# A word's place is its segment times this plus its number there, so that no phrase runs from one
# sentence or keyword into the next.
SEGMENT = 1 << 20

Span = tuple[int, int]  # the first place and one past the last


class Passages:
    """The segments of a paper and where each word stands in them."""

    def __init__(self, document: Document) -> None:
        self.segments = list(segments(document))
        self._places: dict[str, list[int]] = {}
        # `multimodal` -> where `multi-modal` stands, two words wide.
        self._hyphenated: dict[str, list[int]] = {}
        for number, segment in enumerate(self.segments):
            self._add(number * SEGMENT, segment)

    def _add(self, start: int, segment: Segment) -> None:
        for place, token in enumerate(segment.tokens, start):
            self._places.setdefault(token.term, []).append(place)
            if token.acronym:
                self._places.setdefault(token.acronym, []).append(place)
        for number, (first, second) in enumerate(pairwise(segment.tokens)):
            if segment.has_hyphen_after(number):
                self._hyphenated.setdefault(first.term + second.term, []).append(start + number)

    def spans(self, words: Words) -> list[Span]:
        """Return where ``words`` stand one after the other, joined, parted or hyphenated as it may be."""
        if not self._may_stand(words[0]) and not (words[1:] and self._at((words[0] + words[1]).lower())):
            return []
        found: list[set[Span]] = [set() for _ in range(len(words) + 1)]
        for done in range(len(words)):
            if done and not found[done]:
                continue
            for taken, places, width in self._steps(words, done):
                if done:
                    here = set(places)
                    found[done + taken] |= {(start, end + width) for start, end in found[done] if end in here}
                else:
                    found[taken] |= {(place, place + width) for place in places}
        return sorted(found[-1])

    def near(self, words: Words) -> list[Span]:
        """Return where ``words`` or a near form of them stands."""
        forms = near_forms(words)
        if len(forms) == 1:
            return self.spans(words)
        return sorted({span for form in forms for span in self.spans(form)})

    def gathered(self, words: Words) -> list[Span]:
        """Return where all content words stand, in the first title or sentence with them, or those of a near form."""
        return next((spans for form in near_forms(words) if (spans := self._gathered_as(form))), [])

    def _gathered_as(self, words: Words) -> list[Span]:
        joined = [(before + after).lower() for before, after in pairwise(words)]
        is_content = [word not in STOP_WORDS for word in words]
        by_word = []
        for number, word in enumerate(words):
            if is_content[number] or not any(is_content):
                spans = [span for _, places, width in self._alone(word) for span in _wide(places, width)]
                for whole in joined[max(number - 1, 0) : number + 1]:
                    spans += _wide(self._at(whole), 1)
                if not spans:
                    return []
                by_word.append(spans)
        shared = set.intersection(*({start // SEGMENT for start, _ in spans} for spans in by_word))
        prose = [number for number in shared if self.segments[number].field != "keywords"]
        if not prose:
            return []
        return sorted({span for spans in by_word for span in spans if span[0] // SEGMENT == min(prose)})

    def _steps(self, words: Words, done: int) -> Iterator[tuple[int, list[int], int]]:
        """Yield how the words after ``done`` of them may stand: words taken, places, words wide."""
        yield from self._alone(words[done])
        if done + 1 < len(words):
            yield 2, self._at((words[done] + words[done + 1]).lower()), 1

    def _alone(self, word: str) -> Iterator[tuple[int, list[int], int]]:
        if places := self._at(word):
            yield 1, places, 1
        if places := self._hyphenated.get(word, []):
            yield 1, places, 2
        if places := self._parted(word):
            yield 1, places, 2

    def _may_stand(self, word: str) -> bool:
        return word in self._places or word in self._hyphenated or bool(self._parted(word))

    def _at(self, key: str) -> list[int]:
        return self._places.get(key, [])

    def _parted(self, word: str) -> list[int]:
        found: list[int] = []
        for cut in range(SHORTEST_HALF, len(word) - SHORTEST_HALF + 1):
            first, second = word[:cut], word[cut:]
            if first in self._places and second in self._places and not {first, second} & STOP_WORDS:
                after = set(self._places[second])
                found += [place for place in self._places[first] if place + 1 in after]
        return found


def _wide(places: list[int], width: int) -> list[Span]:
    return [(place, place + width) for place in places]


@lru_cache(maxsize=2048)  # many readers get the same papers: those of an edition stay
def passages(document: Document) -> Passages:
    return Passages(document)
