"""Which overrides a query meets, of ten thousand, without looking at each."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from catalog.errors import FilterError
from catalog.filters import parse
from catalog.priors.words import words_in_order
from server.core.per_entry import PerEntry
from server.storage.overrides import Override

__all__ = ["OverrideReader"]

Words = tuple[str, ...]
Key = TypeVar("Key")


class OverrideReader:
    """The overrides as they are now. They are replaced as a whole."""

    def __init__(self) -> None:
        self._keys: PerEntry[Override, _Keys] = PerEntry(_keys_of)
        self._index = _Index({}, {})

    async def replace(self, overrides: Mapping[str, Override]) -> None:
        """Answer queries with these from now on."""
        self._index = await asyncio.to_thread(lambda: _Index(overrides, self._keys.of(overrides)))

    def meeting(self, texts: Sequence[str], filter_by: str | None, tags: Sequence[str], now: float) -> list[Override]:
        """The overrides that apply to a query, the first to apply in front.

        texts: what was typed, in each way that it is read; empty where nothing was.
        filter_by: the query's own.
        now: Unix seconds.
        """
        return self._index.meeting(texts, filter_by, tags, now)


@dataclass(frozen=True, slots=True)
class _Keys:
    """The words of a rule's query, and its filter in its canonical form."""

    words: Words
    filter_by: str | None


def _keys_of(one: Override) -> _Keys:
    query, filter_by = one.rule.query, one.rule.filter_by
    words = () if query is None else words_in_order(query)
    return _Keys(words, None if filter_by is None else _canonical(filter_by) or filter_by)


class _Index:
    """Overrides by one thing of each that a query has to have, which is looked up."""

    def __init__(self, overrides: Mapping[str, Override], keys: Mapping[str, _Keys]) -> None:
        self._of_words: defaultdict[Words, list[Override]] = defaultdict(list)
        self._inside: defaultdict[Words, list[Override]] = defaultdict(list)
        self._of_filter: defaultdict[str, list[Override]] = defaultdict(list)
        self._of_tag: defaultdict[str, list[Override]] = defaultdict(list)
        self._filters: dict[str, str] = {}
        """The canonical form of every rule's filter."""
        for name, one in overrides.items():
            self._add(one, keys[name])
        self._lengths = sorted({len(words) for words in self._inside})

    def meeting(self, texts: Sequence[str], filter_by: str | None, tags: Sequence[str], now: float) -> list[Override]:
        if not (self._of_words or self._inside or self._of_filter or self._of_tag):
            return []
        wanted = _canonical(filter_by) if self._filters else None
        found = {one.id: one for one in self._looked_up(texts, wanted, tags) if self._meets(one, wanted, tags)}
        return sorted((one for one in found.values() if one.holds(now)), key=lambda one: one.order)

    def _add(self, one: Override, keys: _Keys) -> None:
        rule = one.rule
        if rule.filter_by is not None and keys.filter_by is not None:
            self._filters[rule.filter_by] = keys.filter_by
        if rule.query is not None:
            (self._of_words if rule.match == "exact" else self._inside)[keys.words].append(one)
        elif rule.filter_by is not None:
            self._of_filter[self._filters[rule.filter_by]].append(one)
        for tag in rule.tags if rule.query is None and rule.filter_by is None else ():
            self._of_tag[tag].append(one)

    def _looked_up(self, texts: Sequence[str], filter_by: str | None, tags: Sequence[str]) -> Iterator[Override]:
        for words in {words_in_order(text) for text in texts}:
            yield from _found(self._of_words, [words])
            for length in self._lengths:
                yield from _found(self._inside, {words[at : at + length] for at in range(len(words) - length + 1)})
        if filter_by is not None:
            yield from _found(self._of_filter, [filter_by])
        yield from _found(self._of_tag, tags)

    def _meets(self, one: Override, filter_by: str | None, tags: Sequence[str]) -> bool:
        """Whether the query has what else its rule names."""
        rule = one.rule
        if rule.filter_by is not None and self._filters[rule.filter_by] != filter_by:
            return False
        return not rule.tags or any(tag in rule.tags for tag in tags)


def _found(index: Mapping[Key, list[Override]], keys: Iterable[Key]) -> Iterator[Override]:
    for key in keys:
        yield from index.get(key, ())


def _canonical(filter_by: str | None) -> str | None:
    """The one spelling of a filter; None where it is none, as whoever evaluates it says."""
    if filter_by is not None:
        with suppress(FilterError):
            return parse(filter_by).text
    return None
