"""Completions: the queries that begin with what was typed, by how many people typed them lately.

The keys of all queries stand in one sorted list, so that those with one beginning are neighbours. One slip is forgiven
from MIN_FORGIVEN letters on, behind the first letter: a letter too many, too few, another one, or two that are swapped.

Shapes: Q queries.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from threading import Lock

import numpy as np
from numpy.typing import NDArray

from catalog.suggestions.screen import is_private
from catalog.suggestions.typed_queries import MIN_PEOPLE, TypedQueries, commonest, key_of, shown_form, weight_at

__all__ = ["Completion", "Completions"]

MIN_FORGIVEN = 4
MAX_TYPED = 60
"""Letters that are looked up; slips are forgiven in shorter ones only."""
MAX_PAIRS = 200_000
"""People and queries that are remembered beside what a bundle has; then who typed nothing for the longest time goes."""
LAST = chr(0x10FFFF)

Last = dict[str, int]


@dataclass(frozen=True, slots=True)
class Completion:
    """A query that completes what was typed, from `start` of its text on, in Unicode code points."""

    text: str
    start: int


@dataclass(slots=True)
class Live:
    """One query since the bundle: when each person typed it last, and how they wrote it."""

    last: Last = field(default_factory=dict)
    form: dict[str, str] = field(default_factory=dict)


class Completions:
    """The queries of a bundle and those that came since. Threads may share it."""

    def __init__(self, published: TypedQueries) -> None:
        self._lock = Lock()
        self._published = {key: query for query in published.queries if (key := key_of(query.text))}
        self._live: dict[str, Live] = {}
        self._keys_of: OrderedDict[str, set[str]] = OrderedDict()  # of people; who typed something last is last
        self._pairs = 0
        self._keys = sorted(self._published)
        self._text = {key: query.text for key, query in self._published.items()}
        self._weight_Q: NDArray[np.float64] = np.array([self._published[key].weight for key in self._keys], np.float64)
        self._last_Q: NDArray[np.int64] = np.array([self._published[key].last for key in self._keys], np.int64)

    def __len__(self) -> int:
        """How many queries may be suggested."""
        return len(self._keys)

    def add(self, person: str, query: str, timestamp: int) -> None:
        """Count a query that led a person to an item. timestamp: Unix ms."""
        if is_private(query) or not (key := key_of(query)):
            return
        with self._lock:
            own = self._live.setdefault(key, Live())
            if person not in own.last:
                self._pairs += 1
                own.form[person] = shown_form(query)
            own.last[person] = max(timestamp, own.last.get(person, 0))
            self._keys_of.setdefault(person, set()).add(key)
            self._keys_of.move_to_end(person)
            self._place(key)
            while self._pairs > MAX_PAIRS:
                self._forget(next(iter(self._keys_of)))

    def erase(self, person: str) -> None:
        """Take back what a person typed since the bundle; what fewer than MIN_PEOPLE typed then is gone."""
        with self._lock:
            if person in self._keys_of:
                self._forget(person)

    def complete(self, typed: str, most: int, allows: Callable[[str], bool] = lambda text: True) -> list[Completion]:
        """The best completions, at most so many: those without a slip first, of these the ones that most people typed,
        the recent ones counting more, and the latest of equal ones. Of nothing typed, the best of all.

        allows: says which texts may be shown.
        """
        beginning = key_of(typed)[:MAX_TYPED]
        if typed[-1:].isspace() and beginning:
            beginning += " "
        with self._lock:
            found: dict[str, Completion] = {}
            spans = [self._span(beginning, len(beginning))]
            if MIN_FORGIVEN <= len(beginning.rstrip()) < MAX_TYPED:
                spans.append([span for near in self._near(beginning) for span in near])
            for group in spans:
                for place, length in self._ranked(group):
                    if len(found) >= most:
                        return list(found.values())
                    key = self._keys[place]
                    text = self._text[key]
                    if key not in found and allows(text):
                        found[key] = Completion(text, _typed_part(text, key, length))
            return list(found.values())

    def _span(self, beginning: str, length: int) -> list[tuple[int, int, int]]:
        """Where the keys with a beginning stand: the first, behind the last, and how much of a key was typed."""
        low, high = bisect_left(self._keys, beginning), bisect_left(self._keys, beginning + LAST)
        return [(low, high, length)] if high > low else []

    def _near(self, typed: str) -> Iterator[list[tuple[int, int, int]]]:
        """The spans of all that is one slip away."""
        for place in range(1, len(typed)):
            before, rest = typed[:place], typed[place:]
            if not self._span(before, place):
                return
            if len(rest) > 1:
                yield self._span(before + rest[1:], len(typed) - 1)
                yield self._span(before + rest[1] + rest[0] + rest[2:], len(typed))
            for letter in self._next_letters(before):
                if letter != rest[0]:
                    yield self._span(before + letter + rest[1:], len(typed))
                    yield self._span(before + letter + rest, len(typed) + 1)

    def _next_letters(self, before: str) -> Iterator[str]:
        """What stands behind a beginning in the keys."""
        place, end = bisect_left(self._keys, before), bisect_left(self._keys, before + LAST)
        while place < end:
            letter = self._keys[place][len(before) : len(before) + 1]
            if letter:
                yield letter
            place = bisect_left(self._keys, before + letter + LAST, place, end) if letter else place + 1

    def _ranked(self, spans: list[tuple[int, int, int]]) -> Iterator[tuple[int, int]]:
        """The places in some spans, the best first, and how much of each key was typed; more than few when wanted."""
        if not spans:
            return
        place_C = np.concatenate([np.arange(low, high) for low, high, _ in spans])
        length_C = np.concatenate([np.full(high - low, length) for low, high, length in spans])
        weight_C, begin, size = self._weight_Q[place_C], 0, 64
        while begin < len(place_C):
            chosen_C = np.arange(len(place_C))
            if size < len(place_C):
                least = np.partition(weight_C, len(weight_C) - size)[len(weight_C) - size]
                chosen_C = np.flatnonzero(weight_C >= least)
            order = np.lexsort((place_C[chosen_C], -self._last_Q[place_C[chosen_C]], -weight_C[chosen_C]))
            ranked = chosen_C[order]
            yield from zip(place_C[ranked[begin:]].tolist(), length_C[ranked[begin:]].tolist(), strict=True)
            begin, size = len(ranked), 16 * size

    def _place(self, key: str) -> None:
        """Have the list hold a query as it is counted now, or not at all."""
        published, live = self._published.get(key), self._live.get(key)
        since = len(live.last) if live else 0
        people = since + (published.people if published else 0)
        place = bisect_left(self._keys, key)
        listed = place < len(self._keys) and self._keys[place] == key
        if people < MIN_PEOPLE:
            if listed:
                del self._keys[place], self._text[key]
                self._weight_Q, self._last_Q = np.delete(self._weight_Q, place), np.delete(self._last_Q, place)
            return
        times = list(live.last.values()) if live else []
        weight = sum(map(weight_at, times)) + (published.weight if published else 0.0)
        last = max([*times, published.last if published else 0])
        if listed:
            self._weight_Q[place], self._last_Q[place] = weight, last
        else:
            self._keys.insert(place, key)
            self._weight_Q = np.insert(self._weight_Q, place, weight)
            self._last_Q = np.insert(self._last_Q, place, last)
        if published is not None:
            self._text[key] = published.text
        elif live is not None:
            self._text[key] = commonest(Counter(live.form.values()))

    def _forget(self, person: str) -> None:
        for key in self._keys_of.pop(person):
            own = self._live[key]
            del own.last[person], own.form[person]
            self._pairs -= 1
            if not own.last:
                del self._live[key]
            self._place(key)


def _typed_part(text: str, key: str, length: int) -> int:
    """Where the part of a text begins that completes so many characters of its key."""
    if text == key:
        return min(length, len(text))
    beginning = key[:length].rstrip()
    ends = (end for end in range(len(text) + 1) if len(key_of(text[:end])) >= len(beginning))
    return next(islice(ends, 1), len(text))
