"""The synonyms that queries are read with, the same for all models of a server, ready for each model's language."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from catalog.priors.words import Synonyms, SynonymSet

__all__ = ["SynonymReader"]


class SynonymReader:
    """The sets of synonyms as they are now, by their ids. They are replaced as a whole."""

    def __init__(self) -> None:
        self.sets: Mapping[str, SynonymSet] = {}
        self._ready: dict[str | None, Synonyms] = {}

    async def replace(self, sets: Mapping[str, SynonymSet]) -> None:
        """Read queries with these from now on."""
        languages = [*self._ready]
        ready = {language: await _made(sets, language) for language in languages}
        self.sets, self._ready = dict(sets), ready

    async def of(self, language: str | None) -> Synonyms:
        """The synonyms for a catalog in this language; made when first asked for."""
        if (found := self._ready.get(language)) is not None:
            return found
        sets = self.sets
        made = await _made(sets, language)
        if sets is self.sets:
            self._ready[language] = made
        return made


async def _made(sets: Mapping[str, SynonymSet], language: str | None) -> Synonyms:
    return await asyncio.to_thread(Synonyms, tuple(sets.values()), language)
