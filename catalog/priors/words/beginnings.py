"""Beginnings: which titles begin with what somebody has typed so far, spaces and signs aside."""

from __future__ import annotations

import unicodedata
from bisect import bisect_left
from collections.abc import Iterable

__all__ = ["Beginnings"]

MIN_LETTERS = 2
"""Letters and digits of the shortest beginning that says anything."""
MAX_BEGUN = 100
"""Titles with one beginning, above which it says too little."""
MAX_KEPT = 120
"""Letters and digits of a title that are compared."""
LAST = chr(0x10FFFF)
MANY = 64
"""New titles from which on they are sorted together with all others, rather than put in their places one by one."""


class Beginnings:
    """The titles of items in order. Titles that items had before stay until the item has another again."""

    def __init__(self) -> None:
        self._typed: list[tuple[str, int]] = []
        self._title_of: dict[int, str] = {}

    def add(self, items: Iterable[int], titles: Iterable[str]) -> None:
        """Add titles, or give items others."""
        new = []
        for item, title in zip(items, titles, strict=False):
            text = _letters(title)
            if self._title_of.get(item) != text:
                self._title_of[item] = text
                new.append((text, item))
        if len(new) > MANY:
            self._typed = sorted({*self._typed, *new})
        else:
            for pair in new:
                place = bisect_left(self._typed, pair)
                if self._typed[place : place + 1] != [pair]:  # as it had this title before
                    self._typed.insert(place, pair)

    def of(self, typed: str) -> list[tuple[int, float]]:
        """The items whose titles begin with what was typed, and which share of its title that is."""
        beginning = _letters(typed)
        if len(beginning) < MIN_LETTERS:
            return []
        pairs = self._typed
        first, end = bisect_left(pairs, (beginning,)), bisect_left(pairs, (beginning + LAST,))
        if end - first > MAX_BEGUN:
            return []
        return [
            (item, len(beginning) / len(text)) for text, item in pairs[first:end] if self._title_of.get(item) == text
        ]


def _letters(text: str) -> str:
    """The first letters and digits of a text, without case and accents."""
    plain = unicodedata.normalize("NFKD", text[: 4 * MAX_KEPT])
    return "".join(filter(str.isalnum, plain.casefold()))[:MAX_KEPT]
