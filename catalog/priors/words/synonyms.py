"""Synonyms: words and phrases of a query that are also read as others, as the people of a shop have written down.

A query with such words has other wordings, in which others stand in their place. They match as words do in the search:
stemmed, without case and accents. Each is replaced once, so synonyms of synonyms are no circle.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice, product, zip_longest
from math import prod

from catalog.priors.words.index import MAX_WORD, analyzer, words_of
from catalog.priors.words.places import pieces

__all__ = [
    "MAX_SYNONYMS",
    "NO_WORDINGS",
    "ReadAs",
    "SynonymSet",
    "Synonyms",
    "Wording",
    "Wordings",
    "fault_of",
    "without_words",
    "words_in_order",
]

MAX_SYNONYMS = 8
"""Words and phrases of one set."""
MAX_PHRASE_WORDS = 5
MAX_PHRASE = 100
"""Characters of a word or phrase."""
MAX_WORDINGS = 8
"""Wordings of a query beside its own."""
MAX_STEMS = 20_000
"""Words whose stems are remembered."""


@dataclass(frozen=True, slots=True)
class SynonymSet:
    """Words and phrases that mean the same.

    root: where given, it alone is also read as the others, and none of them as it.
    """

    id: str
    synonyms: tuple[str, ...]
    root: str | None = None


@dataclass(frozen=True, slots=True)
class ReadAs:
    """A word or phrase of a query, as it was typed, that is also read as another. id: of the set that says so."""

    id: str
    word: str
    read_as: str


@dataclass(frozen=True, slots=True)
class Wording:
    """A query with others in the place of some of its words.

    stands_for: of every stem of these others, the first stem of what was typed.
    """

    text: str
    replaced: tuple[ReadAs, ...]
    stands_for: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Wordings:
    """What a query is read as beside its own words.

    kept: words that are no slips and no beginnings of others, lower case.
    """

    others: tuple[Wording, ...] = ()
    kept: frozenset[str] = frozenset()

    @property
    def read_as(self) -> tuple[ReadAs, ...]:
        """What was replaced in any of them."""
        return tuple(dict.fromkeys(chain.from_iterable(other.replaced for other in self.others)))


NO_WORDINGS = Wordings()


class Synonyms:
    """Sets of synonyms, ready to read queries with. It does not change."""

    def __init__(self, sets: Iterable[SynonymSet] = (), language: str | None = None) -> None:
        """language: whose stems count, as in `WordSettings`. Takes about a second for 100,000 phrases."""
        self._words = analyzer(language)
        self._stem = lru_cache(MAX_STEMS)(self._stem_of)
        self._read_as: dict[tuple[str, ...], list[tuple[str, str]]] = defaultdict(list)
        phrases: list[str] = []
        for of_set in sets:
            phrases += of_set.synonyms if of_set.root is None else (of_set.root, *of_set.synonyms)
            for read in of_set.synonyms if of_set.root is None else (of_set.root,):
                self._read_as[self._stems(read)] += [
                    (of_set.id, other) for other in of_set.synonyms if self._stems(other) != self._stems(read)
                ]
        self.phrases = tuple(phrases)
        surface = analyzer(None)
        self.kept = frozenset(word for phrase in self.phrases for word in words_of(surface, phrase))
        self._longest = max(map(len, self._read_as), default=0)

    def keep(self) -> Wordings:
        """No other wordings: only which words are what they are."""
        return Wordings((), self.kept)

    def read(self, query: str) -> Wordings:
        """The other wordings of a query; of more than MAX_WORDINGS those in which least is replaced."""
        places = self._places(query) if self._read_as else []
        if not places:
            return self.keep()
        others = islice(_choices([len(options) for _, _, options in places]), MAX_WORDINGS)
        return Wordings(tuple(self._wording(query, places, chosen) for chosen in others), self.kept)

    def _places(self, query: str) -> list[tuple[int, int, list[ReadAs]]]:
        """Where the query has words that are also read as others, the longest phrases first, none inside another."""
        found = list(pieces(query))
        stems = [self._stem(piece[0]) for piece in found]
        places, begin = [], 0
        while begin < len(found):
            for end in range(min(begin + self._longest, len(found)), begin, -1):
                if others := self._read_as.get(tuple(stems[begin:end])):
                    start, stop = found[begin].start(), found[end - 1].end()
                    unique = {self._stems(other): ReadAs(id_, query[start:stop], other) for id_, other in others[::-1]}
                    places.append((start, stop, list(unique.values())[::-1]))
                    begin = end - 1
                    break
            begin += 1
        return places

    def _wording(
        self, query: str, places: Sequence[tuple[int, int, list[ReadAs]]], chosen: Sequence[int | None]
    ) -> Wording:
        parts: list[str] = []
        replaced: list[ReadAs] = []
        stands_for: dict[str, str] = {}
        done = 0
        for (start, stop, options), choice in zip(places, chosen, strict=True):
            if choice is None:
                continue
            option = options[choice]
            parts += [query[done:start], option.read_as]
            replaced.append(option)
            stands_for |= dict.fromkeys(self._stems(option.read_as), self._stems(option.word)[0])
            done = stop
        return Wording("".join([*parts, query[done:]]), tuple(replaced), stands_for)

    def _stems(self, phrase: str) -> tuple[str, ...]:
        return tuple(self._stem(piece[0]) for piece in pieces(phrase))

    def _stem_of(self, word: str) -> str:
        return next(iter(words_of(self._words, word)), word)


def _choices(options: Sequence[int]) -> Iterable[tuple[int | None, ...]]:
    """Which option is chosen at each place, None for what was typed: all ways where they are few, else the ways that
    choose one option, in turns, and at last the one that replaces all."""
    if prod(count + 1 for count in options) - 1 <= MAX_WORDINGS:
        ways = product(*([None, *range(count)] for count in options))
        return sorted((way for way in ways if any(c is not None for c in way)), key=lambda way: -way.count(None))
    of_place = [[(place, option) for option in range(count)] for place, count in enumerate(options)]
    turns = [one for turn in zip_longest(*of_place) for one in turn if one is not None]
    ones = [tuple(option if at == place else None for at in range(len(options))) for place, option in turns]
    whole: list[tuple[int | None, ...]] = [(0,) * len(options)] if len(options) > 1 else []
    return [*ones[: MAX_WORDINGS - len(whole)], *whole]


def words_in_order(text: str) -> tuple[str, ...]:
    """The words of a text as they stand in it, without case, accents and punctuation."""
    surface = analyzer(None)
    return tuple(word for piece in pieces(text) for word in words_of(surface, piece[0]))


def without_words(text: str, words: Sequence[str]) -> str | None:
    """A text without some words, wherever they stand in it one behind the other; None where they do not.

    words: at least one, as `words_in_order` gives them.
    """
    found = list(pieces(text))
    owners = [(place, word) for place, piece in enumerate(found) for word in words_in_order(piece[0])]
    in_order, size = [word for _, word in owners], len(words)
    gone: set[int] = set()
    at = 0
    while at + size <= len(in_order):
        met = in_order[at : at + size] == [*words]
        gone.update(place for place, _ in owners[at : at + size] if met)
        at += size if met else 1
    if not gone:
        return None
    cuts = [0, *(end for place in sorted(gone) for end in found[place].span()), len(text)]
    left = " ".join(text[begin:end] for begin, end in zip(cuts[::2], cuts[1::2], strict=True))
    return " ".join(part for part in left.split() if any(map(str.isalnum, part)))  # without signs that stood between


def fault_of(phrases: Sequence[str]) -> tuple[int, str, str] | None:
    """What is wrong with the words and phrases of a set: which, a code and a sentence; None if nothing."""
    seen: dict[tuple[str, ...], int] = {}
    for place, phrase in enumerate(phrases):
        if len(phrase) > MAX_PHRASE:
            return place, "synonym_too_long", f"is over {MAX_PHRASE} characters: give a word or a short phrase"
        found = [piece[0] for piece in pieces(phrase)]
        if not found:
            return place, "no_word", "has no letter and no digit: give a word or a phrase"
        if len(found) > MAX_PHRASE_WORDS:
            return place, "too_many_words", f"has over {MAX_PHRASE_WORDS} words: give a word or a short phrase"
        if any(len(word) > MAX_WORD for word in found):
            return place, "word_too_long", f"has a word of over {MAX_WORD} characters, which no search finds"
        key = words_in_order(phrase)
        if key in seen:
            return place, "same_word", "is there twice: case, accents and punctuation make no other word"
        seen[key] = place
    return None
