"""Reads prices in what people type, where items have prices: `tent under 200` becomes a filter that can be undone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pyarrow as pa

from catalog.data.items import Items
from catalog.errors import FilterError
from catalog.filters import parse
from catalog.priors.words import ReadAs
from catalog.text.price_phrases import find_price, units_of

__all__ = ["PriceRange", "PriceReader", "Understanding", "joined_filter"]

COLUMN = "price"


@dataclass(frozen=True, slots=True)
class PriceRange:
    """The lowest and the highest price that is wanted, both included; None for any."""

    min: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class Understanding:
    """What was understood in a query.

    filter: which items it asks for, as an expression; None where it says nothing about prices.
    price: the same in numbers.
    query: the rest of it, perhaps nothing.
    synonyms: words of it that are also read as others.
    """

    filter: str | None
    price: PriceRange | None
    query: str
    synonyms: tuple[ReadAs, ...] = ()


class PriceReader:
    """Reads the prices in queries to one catalog; in none, where its items have no prices.

    What its numbers count (`3 kg`) is learned from the items as they were published.
    """

    def __init__(self, items: Items) -> None:
        self._items = items
        self._has_prices = _has_prices(items)
        self._units: frozenset[str] | None = None
        self._loading = asyncio.Lock()

    async def load(self) -> frozenset[str]:
        """What numbers count in this catalog, where it has prices. Learned when first asked for."""
        async with self._loading:
            if self._units is None and self._has_prices:
                self._units = await asyncio.to_thread(lambda: units_of(self._items.texts_in_pieces()))
            return self._units or frozenset()

    async def read(self, query: str) -> Understanding | None:
        """What a query says about prices; None where it says nothing."""
        if not self._has_prices:
            return None
        found = find_price(query, await self.load() if self._units is None else self._units)
        if found is None:
            return None
        tests = [
            f"{COLUMN} {sign} {_number(end)}"
            for sign, end in ((">=", found.low), ("<=", found.high))
            if end is not None
        ]
        return Understanding(" and ".join(tests), PriceRange(found.low, found.high), found.rest)


def joined_filter(own: str | None, understood: str) -> str | None:
    """Both filters as one; None where they would be too long together, or `own` is none at all."""
    if own is None:
        return understood
    joined = f"({own}) and {understood}"
    try:
        parse(own)
        parse(joined)
    except FilterError:
        return None
    return joined


def _has_prices(items: Items) -> bool:
    names = items.table.column_names
    if COLUMN not in names:
        return False
    column = items.table[COLUMN]
    numeric = pa.types.is_floating(column.type) or pa.types.is_integer(column.type)
    return bool(numeric and column.null_count < len(column))


def _number(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")
