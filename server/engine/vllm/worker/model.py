"""Decoders that vLLM runs as pooling models; their pooler answers a finished prompt with items.

The classes `<Decoder>ForItems` of this module are made when they are imported, each from the decoder that vLLM has
registered as `<Decoder>ForCausalLM`: `from server.engine.vllm.worker.model import Qwen2ForItems`.
"""

from collections.abc import Iterable
from typing import Any

import torch
from vllm import ModelRegistry

from server.engine.vllm.worker.plugin import DECODER, ITEMS
from server.engine.vllm.worker.pooler import ItemPooler
from server.engine.weights_digest import WeightsDigest


def __getattr__(name: str) -> Any:
    architecture = name.removesuffix(ITEMS) + DECODER
    if not name.endswith(ITEMS) or architecture not in ModelRegistry.models:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = model = _for_items(ModelRegistry.models[architecture].load_model_cls(), name)
    return model


def _for_items(decoder: type[Any], name: str) -> type[Any]:
    class ForItems(decoder):  # type: ignore[misc]
        is_pooling_model = True
        default_seq_pooling_type = "LAST"
        default_tok_pooling_type = "ALL"

        def __init__(self, *, vllm_config: Any, prefix: str = "") -> None:
            super().__init__(vllm_config=vllm_config, prefix=prefix)
            self.pooler = ItemPooler()

        def load_weights(self, weights: Iterable[tuple[str, torch.Tensor]]) -> set[str]:
            digest = WeightsDigest()
            loaded: set[str] = super().load_weights(digest.watch(weights))
            self.pooler.digest = digest.hexdigest()
            return loaded

    ForItems.__name__ = ForItems.__qualname__ = name
    ForItems.__module__ = __name__
    return ForItems
