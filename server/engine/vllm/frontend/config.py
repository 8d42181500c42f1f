"""The configuration that vLLM is started with, and what a checkpoint contributes to it."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from server.core.settings import EngineSettings
from server.engine.errors import EngineError
from server.engine.protocol import RankableBundle
from server.engine.vllm.messages import EngineOptions
from server.engine.vllm.worker.kernels import PRIORITY
from server.engine.vllm.worker.plugin import architecture_for_items

__all__ = ["Checkpoint", "engine_arguments"]

UNIPROC = "vllm.v1.executor.uniproc_executor.UniProcExecutor"
"""On a CPU vLLM would put a single worker into one more process and reserve a core for it."""

IRRELEVANT = {"_name_or_path", "transformers_version", "dtype", "torch_dtype", "use_cache"}
"""Entries of config.json that may differ between checkpoints which one loaded model can hold."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a checkpoint's config.json says that vLLM must be told or that requests must respect.

    architecture: the name of the model class.
    vocabulary: the number of token ids.
    positions: the tokens of the longest sequence.
    dtype: the precision of the weights, or "auto".
    config: all of config.json.
    """

    architecture: str
    vocabulary: int
    positions: int
    dtype: str
    config: Mapping[str, Any]

    @classmethod
    def read(cls, model_dir: Path) -> "Checkpoint":
        """Read config.json in a Hugging Face directory. Raises EngineError."""
        try:
            config = json.loads((model_dir / "config.json").read_text())
            return cls(
                architecture=str(config["architectures"][0]),
                vocabulary=int(config["vocab_size"]),
                positions=int(config["max_position_embeddings"]),
                dtype=str(config.get("dtype") or config.get("torch_dtype") or "auto"),
                config=config,
            )
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise EngineError(f"{model_dir}/config.json does not describe a decoder: {error!r}") from error

    def differences(self, other: "Checkpoint") -> list[str]:
        """The entries of config.json that keep a model loaded for one from holding the weights of the other."""
        names = (self.config.keys() | other.config.keys()) - IRRELEVANT
        return sorted(name for name in names if self.config.get(name) != other.config.get(name))


def engine_arguments(
    bundle: RankableBundle, checkpoint: Checkpoint, settings: EngineSettings, *, cpu: bool
) -> dict[str, Any]:
    """Keyword arguments of vLLM's `AsyncEngineArgs` and of `LLM`."""
    options = EngineOptions(scratch_blocks=settings.scratch_blocks)
    return {
        "model": str(bundle.model_dir.resolve()),
        "hf_overrides": {"architectures": [architecture_for_items(checkpoint.architecture)]},
        "runner": "pooling",
        "skip_tokenizer_init": True,
        "load_format": "safetensors",
        "generation_config": "vllm",
        # vLLM's own "auto" turns float32 into float16
        "dtype": checkpoint.dtype if settings.dtype == "auto" else settings.dtype,
        "seed": settings.seed,
        "tensor_parallel_size": settings.tensor_parallel,
        "max_model_len": settings.max_prompt_tokens + bundle.index.depth,
        "max_num_seqs": settings.max_batch_requests,
        "max_num_batched_tokens": max(settings.max_batch_tokens, settings.max_batch_requests),
        "enable_chunked_prefill": True,
        "enable_prefix_caching": True,
        "block_size": settings.block_size,
        "kv_cache_memory_bytes": settings.kv_cache_bytes,
        "enforce_eager": cpu,
        "distributed_executor_backend": UNIPROC if cpu and settings.tensor_parallel == 1 else None,
        "scheduler_cls": "server.engine.vllm.worker.scheduler.ItemScheduler",
        "worker_extension_cls": "server.engine.vllm.worker.extension.ItemWorkerExtension",
        "ir_op_priority": PRIORITY if cpu else {},
        "additional_config": options.to_additional_config(),
    }
