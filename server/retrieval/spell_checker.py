"""Spelling correction while a catalog serves: its words are counted in a thread, and joined by those of new items."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from catalog.data.items import Items
from catalog.text.query_terms import TypedWords
from catalog.text.spelling import Lexicon

__all__ = ["SpellChecker"]


class SpellChecker:
    """Corrects queries by the words of the catalog, and by those that people typed before the model was trained.

    Words of deleted items stay known; those of records that were replaced until a restart.
    """

    def __init__(self, items: Items, typed: TypedWords) -> None:
        self._items = items
        self._typed = typed
        self._lexicon: Lexicon | None = None
        self._loading = asyncio.Lock()
        self._widened: tuple[Lexicon, Sequence[str], Lexicon] | None = None

    async def load(self) -> Lexicon:
        """The words as they are now; they are counted when first asked for."""
        async with self._loading:
            if self._lexicon is None:
                self._lexicon = await asyncio.to_thread(Lexicon.of, self._items, self._typed.people)
            return self._lexicon

    async def add(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Add the words of these items, so that none of them is corrected from now on."""
        await self.load()
        async with self._loading:
            assert self._lexicon is not None
            self._lexicon = await asyncio.to_thread(self._lexicon.with_records, records)

    async def correct(self, query: str, *, prefix: bool = False, further: Sequence[str] = ()) -> str | None:
        """The query with misspelled words replaced; None where there are none.

        prefix: whether its last word may be the beginning of one.
        further: texts whose words are known too; the same list again costs nothing.
        """
        lexicon = self._lexicon or await self.load()
        if further:
            lexicon = await self._with(lexicon, further)
        if lexicon.knows(query):
            return None
        corrected = await asyncio.to_thread(partial(lexicon.correct, query, prefix=prefix))
        return None if corrected == query else corrected

    async def _with(self, lexicon: Lexicon, further: Sequence[str]) -> Lexicon:
        known = self._widened
        if known is None or known[0] is not lexicon or known[1] is not further:
            wider = await asyncio.to_thread(lexicon.with_records, [{"text": text} for text in further])
            self._widened = known = (lexicon, further, wider)
        return known[2]
