"""The plugin that vLLM calls in each of its processes (entry point `vllm.general_plugins` in pyproject.toml)."""

from server.engine.vllm.worker import kernels
from server.engine.vllm.worker.orphan import end_with_parent

__all__ = ["architecture_for_items", "register"]

DECODER = "ForCausalLM"
ITEMS = "ForItems"


def architecture_for_items(architecture: str) -> str:
    """The name our subclass of a decoder is registered under: `Qwen2ForCausalLM` gives `Qwen2ForItems`."""
    return architecture.removesuffix(DECODER) + ITEMS


def register() -> None:
    """Register our kernels, and every decoder that vLLM knows as a model of items, without importing any.

    vLLM's own processes end with the one that started them from now on.
    """
    end_with_parent()
    from vllm import ModelRegistry

    for architecture in tuple(ModelRegistry.get_supported_archs()):
        if architecture.endswith(DECODER):
            name = architecture_for_items(architecture)
            ModelRegistry.register_model(name, f"server.engine.vllm.worker.model:{name}")
    kernels.register()
