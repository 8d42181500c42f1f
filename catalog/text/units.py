"""Units: words that items have after numbers, and the other ways to write them, as a catalog itself shows.

`4P`, `4 person` and `4-person` are one, as are `60 l` and `60 litre`, or `10 in` and `10"`. No unit is listed here. Two
are the same where

* items that have one with a number mostly have the other with it: a title `60 L`, and a description `60 litre`;
* one abbreviates the other, which is no abbreviation itself as `mm` is beside `m`, and they follow the same numbers
  about as often: `2P`, `4P`, and `2 person`, `4 person`;
* hardly an item has a word but those with its abbreviation after a number: `35 L`, and `Thirty-five litres`.

What no item has after a number is read as what items have after it that begins so, where it abbreviates that.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from heapq import nlargest
from itertools import combinations, pairwise
from math import sqrt

__all__ = ["Units", "abbreviates", "with_signs"]

DOUBLE, SINGLE = "\u02ba", "\u02b9"
SIGN = re.compile("(?<=[0-9]) ?(?:(\"|''|\u2032\u2032|\u2019\u2019|\u201d)|'|\u2032|\u2019)(?![^\\W_])")
"""A sign that may be a unit, behind a number. It is none before a letter, as in 4's."""
BREAK = "\u02bb"
END = re.compile(r"(?<=[^\W_])[.,;:!?)\]]+(?=\s)")
"""What ends a sentence or a part of one: what stands behind it is not counted by a number before it."""
MIN_NUMBERS = 2
"""Different numbers that a unit follows."""
MIN_ITEMS = 3
"""Items that have a unit after a number."""
MAX_LEARNED = 100_000
"""Items that are learned from; later ones show nothing that these do not."""
GROWN = 1.01
"""How many times as many items there are when what they show is looked at again, which takes 0.2 s for 50,000."""
MAX_ABBREVIATION = 4
"""Letters of an abbreviation."""
MIN_SPELT_OUT = 4
"""Letters of a word without vowels that may be more than an abbreviation itself, as mm, ml and кг are."""
MAX_DIGITS = 6
"""Digits of the longest number that counts something."""
MAX_READINGS = 3
VOWELS = frozenset("aeiou")
MOSTLY = 0.5
"""The share of items with one way to write a unit that have the other too."""
MIN_NUMBERS_UNLIKE, MOSTLY_UNLIKE = 4, 0.8
"""That share, and the different numbers, of two words of which neither abbreviates the other, as of pounds and lb."""
ALIKE, ALIKE_LETTER = 0.5, 0.7
"""How alike the numbers before a word and before its abbreviation are, from 0 to 1; the same for a single letter."""
MORE = 2
"""How many times as often a word must have its abbreviation after a number beside it as any item has that."""
SURE = 0.9
"""How sure another way to write a unit is."""
LIKELY = 0.25
"""How often words follow a number that its unknown unit is read as, as a part of how often the likeliest does."""


def with_signs(text: str) -> str:
    """A text with letters in place of inch and foot signs behind numbers, and of ends, as words are of letters."""
    return END.sub(f" {BREAK} ", SIGN.sub(lambda found: f" {DOUBLE if found[1] else SINGLE} ", text))


def abbreviates(short: str, word: str) -> bool:
    """Whether a word begins with this, or with its first letter and has its others, which are consonants, in order."""
    if not 0 < len(short) < len(word) or short[0] != word[0]:
        return False
    letters = iter(word)
    return word.startswith(short) or (VOWELS.isdisjoint(short[1:]) and all(letter in letters for letter in short))


class Units:
    """What items have after numbers. It grows while others read it; there is one who teaches it."""

    def __init__(self, stem: Callable[[str], str]) -> None:
        """stem: of a word."""
        self._stem = stem
        self._learned = self._settled = 0
        self._items: Counter[str] = Counter()  # that have each word
        self._after: dict[str, Counter[str]] = defaultdict(Counter)  # items with each number before each unit
        self._both: dict[tuple[str, str], Counter[str]] = defaultdict(Counter)  # items with each number before both
        self._beside: Counter[tuple[str, str]] = Counter()  # items with a unit, and a word that it abbreviates
        self._begins: dict[str, list[str]] = {}
        self._others: dict[str, dict[str, float]] = {}

    def learn(self, texts: Iterable[Sequence[str]]) -> None:
        """Learn from items: all words of each in their order, see `with_signs`."""
        for words in texts:
            if self._learned == MAX_LEARNED:
                break
            self._learned += 1
            self._learn_item(words)
        if self._learned > self._settled * GROWN:
            self._settled = self._learned
            units = [unit for unit, numbers in self._after.items() if _is_unit(numbers)]
            self._others = self._same(units)
            begins: dict[str, list[str]] = defaultdict(list)
            for unit in units:
                begins[unit[0]].append(unit)
            self._begins = dict(begins)

    def of(self, words: Sequence[str]) -> dict[str, dict[str, float]]:
        """What the units among the words of a query, in their order, are read as, and how sure that is."""
        read: dict[str, dict[str, float]] = {}
        for number, unit in pairwise(words):
            if _counts(number, unit) and (readings := self._read(number, unit)):
                read.setdefault(unit, {}).update(readings)
        return read

    def _read(self, number: str, unit: str) -> Mapping[str, float]:
        stem = self._stem(unit)
        if stem in self._others or stem in self._after or len(unit) > MAX_ABBREVIATION:
            return self._others.get(stem, {})
        asked = [word for word in self._begins.get(unit[0], ()) if abbreviates(unit, word) and _is_longer(unit, word)]
        times = {word: self._after[word][number] for word in asked if number in self._after[word]}
        most = max(times.values(), default=0)
        likely = nlargest(MAX_READINGS, (word for word in times if times[word] >= LIKELY * most), key=times.__getitem__)
        return {word: SURE * times[word] / most for word in likely}

    def _learn_item(self, words: Sequence[str]) -> None:
        stems = [self._stem(word) for word in words]
        self._items.update(set(stems))
        counted = {(number, unit) for number, unit in pairwise(stems) if _counts(number, unit)}
        if not counted:
            return
        units_of: dict[str, list[str]] = defaultdict(list)
        for number, unit in counted:
            self._after[unit][number] += 1
            units_of[number].append(unit)
        for number, own in units_of.items():
            for one, other in combinations(sorted(own), 2):
                self._both[one, other][number] += 1
        short = {unit for _, unit in counted if len(unit) < MAX_ABBREVIATION}
        self._beside.update((unit, word) for word in set(stems) for unit in short if abbreviates(unit, word))

    def _same(self, units: Sequence[str]) -> dict[str, dict[str, float]]:
        """Which units are the same as others."""
        same: dict[str, dict[str, float]] = defaultdict(dict)
        items = {unit: sum(self._after[unit].values()) for unit in units}
        for (one, other), numbers in self._both.items():
            related = (
                abbreviates(one, other) or abbreviates(other, one) or not {one, other}.isdisjoint((DOUBLE, SINGLE))
            )
            fewest, share = (MIN_NUMBERS, MOSTLY) if related else (MIN_NUMBERS_UNLIKE, MOSTLY_UNLIKE)
            if _is_unit(numbers, fewest) and numbers.total() >= share * min(items[one], items[other]):
                same[one][other] = same[other][one] = SURE
        for (unit, word), times in self._beside.items():
            if unit in items and word not in items and times >= MIN_ITEMS:
                seen = times / self._items[word]
                if seen >= MOSTLY and seen >= MORE * items[unit] / self._learned:
                    same[word][unit] = SURE
        for unit in units:
            if len(unit) <= MAX_ABBREVIATION:
                least = ALIKE if len(unit) > 1 else ALIKE_LETTER
                named = [word for word in units if abbreviates(unit, word) and _is_longer(unit, word)]
                alike = {
                    word: self._alike(unit, word) for word in named if word.startswith(unit) or word[-1] == unit[-1]
                }
                best = max(alike, key=lambda word: (alike[word], word), default="")
                if best and alike[best] >= least:
                    same[unit][best] = same[best][unit] = SURE
        return dict(same)

    def _alike(self, one: str, other: str) -> float:
        """How alike the numbers before two units are: the cosine of the roots of how often each is."""
        few, many = sorted((self._after[one], self._after[other]), key=len)
        shared = sum(sqrt(times * many[number]) for number, times in few.items() if number in many)
        return shared / sqrt(few.total() * many.total())


def _counts(number: str, unit: str) -> bool:
    return number.isdigit() and len(number) <= MAX_DIGITS and unit.isalpha() and unit != BREAK


def _is_longer(unit: str, word: str) -> bool:
    """Whether a word is more than another abbreviation: `m` is short for metre, never for mm; lbs are lb."""
    plural = len(unit) > 1 and word == f"{unit}s"
    return plural or len(word) >= MIN_SPELT_OUT or not VOWELS.isdisjoint(word)


def _is_unit(numbers: Counter[str], least: int = MIN_NUMBERS) -> bool:
    return len(numbers) >= least and numbers.total() >= MIN_ITEMS
