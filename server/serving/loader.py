"""How a published bundle becomes a deployment that can answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from catalog.bundle.bundle import Bundle
from server.core.settings import EngineSettings, Settings
from server.engine.protocol import Engine
from server.serving.deployment import Deployment

__all__ = ["Loader"]


class Loader:
    """`open_version` and `make` open bundles and make their engines."""

    def __init__(
        self,
        settings: Settings,
        open_version: Callable[[Settings, str], Bundle],
        make: Callable[[Bundle, EngineSettings], Engine],
    ) -> None:
        self._settings = settings
        self._open_version = open_version
        self._make = make

    async def launch(self, version: str, before: Deployment | None) -> Deployment:
        """A bundle in an engine of its own, ready; its items are changed as they are in `before`.

        Raises CatalogError, EngineError and StartupError; then nothing of it is left.
        """
        deployment = await asyncio.to_thread(self._open, version, None)
        try:
            # Counting the words of a million items takes as long as an engine's start.
            await asyncio.gather(deployment.engine.start(), deployment.catalog.load())
            await deployment.prepare(None if before is None else before.catalog)
        except BaseException:
            await deployment.stop()
            raise
        return deployment

    async def open_for(self, engine: Engine, version: str) -> Deployment:
        """A bundle that a running engine is about to load in place of its own. Raises CatalogError and StartupError."""
        deployment = await asyncio.to_thread(self._open, version, engine)
        await deployment.catalog.load()
        return deployment

    def _open(self, version: str, engine: Engine | None) -> Deployment:
        bundle = self._open_version(self._settings, version)
        return Deployment(bundle, engine or self._make(bundle, self._settings.engine), self._settings.engine)
