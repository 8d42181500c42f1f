"""What is loaded: a bundle, the engine that runs its model, and its catalogue. They change together."""

from __future__ import annotations

from collections.abc import Sequence

from catalog.bundle import Bundle, Manifest, open_bundle
from catalog.changes import Change
from server.catalogue import LiveCatalogue
from server.engine.protocol import Engine
from server.engine.settings import EngineSettings
from server.errors import StartupError
from server.settings import Settings
from server.verification import verify

__all__ = ["Deployment", "make_engine", "open_served_bundle"]


class Deployment:
    """One bundle, being served by one engine."""

    def __init__(self, bundle: Bundle, engine: Engine, settings: EngineSettings) -> None:
        self.bundle = bundle
        self.engine = engine
        self.catalogue = LiveCatalogue(bundle, engine)
        self._settings = settings

    @property
    def manifest(self) -> Manifest:
        return self.bundle.manifest

    @property
    def version(self) -> str:
        return self.bundle.version

    async def prepare(self, changes: Sequence[Change] = ()) -> None:
        """Have the engine, which has loaded the bundle, prove itself and take over earlier changes to the catalogue.

        Raises EngineError, and CatalogError for changes that this bundle's catalogue cannot take.
        """
        await verify(self.bundle, self.engine, self._settings)
        if changes:
            await self.catalogue.apply(changes)
        with self.catalogue.use() as view:
            async with view.selection.limit(None):  # before anybody waits for it
                pass

    async def stop(self) -> None:
        """End the engine."""
        await self.catalogue.close()
        await self.engine.stop()


def open_served_bundle(settings: Settings, version: str) -> Bundle:
    """Opens and verifies a bundle by name.

    Raises CatalogError, naming the file, where it is missing, incomplete or damaged, and StartupError where it does not
    fit the settings.
    """
    bundle = open_bundle(settings.bundles / version)
    if bundle.prompts.max_tokens > settings.engine.max_prompt_tokens:
        raise StartupError(
            f"prompts of {bundle.path} have up to {bundle.prompts.max_tokens} tokens and the engine takes "
            f"{settings.engine.max_prompt_tokens}: raise --engine.max-prompt-tokens"
        )
    return bundle


def make_engine(bundle: Bundle, settings: EngineSettings) -> Engine:
    """The engine that the bundle's model needs. Imported here: vLLM takes seconds that a T5 bundle need not pay."""
    # No longer than prompts get: a model need not have room for more.
    limits = settings.model_copy(update={"max_prompt_tokens": bundle.prompts.max_tokens})
    if bundle.manifest.engine == "vllm":
        from server.engine.vllm.client import VllmEngine

        return VllmEngine(bundle, limits)
    from server.engine.transformers import TransformersEngine

    return TransformersEngine(bundle, limits)
