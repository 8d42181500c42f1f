"""What is loaded: a bundle, the engine that runs its model, and the filter over its items. They change together."""

from __future__ import annotations

from dataclasses import dataclass

from catalog.bundle import Bundle, Manifest, current_bundle, open_bundle
from catalog.items import Items
from catalog.prompts import PromptFormat
from server.engine.protocol import Engine
from server.engine.settings import EngineSettings
from server.errors import StartupError
from server.selection import Selection
from server.settings import Settings

__all__ = ["Deployment", "open_deployment"]


@dataclass(frozen=True, slots=True)
class Deployment:
    manifest: Manifest
    items: Items
    prompts: PromptFormat
    selection: Selection
    engine: Engine

    @property
    def version(self) -> str:
        return self.manifest.version


def open_deployment(settings: Settings) -> Deployment:
    """Opens and verifies the current bundle; the engine is made, but not started.

    Raises CatalogError, naming the file, where the bundle is missing, incomplete or damaged, and StartupError where it
    does not fit the settings.
    """
    bundle = open_bundle(current_bundle(settings.bundles))
    items, prompts = bundle.items, bundle.prompts
    if prompts.max_tokens > settings.engine.max_prompt_tokens:
        raise StartupError(
            f"prompts of {bundle.path} have up to {prompts.max_tokens} tokens and the engine takes "
            f"{settings.engine.max_prompt_tokens}: raise --engine.max-prompt-tokens"
        )
    # No longer than prompts get: a model need not have room for more.
    limits = settings.engine.model_copy(update={"max_prompt_tokens": prompts.max_tokens})
    return Deployment(bundle.manifest, items, prompts, Selection(items), make_engine(bundle, limits))


def make_engine(bundle: Bundle, settings: EngineSettings) -> Engine:
    """The engine that the bundle's model needs. Imported here: vLLM takes seconds that a T5 bundle need not pay."""
    if bundle.manifest.engine == "vllm":
        from server.engine.vllm.client import VllmEngine

        return VllmEngine(bundle, settings)
    from server.engine.transformers import TransformersEngine

    return TransformersEngine(bundle, settings)
