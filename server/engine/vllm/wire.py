"""What travels between the client and the engine's own process, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from catalog.search.heads import Normalization

__all__ = ["TASK", "EngineOptions", "RankOptions", "pack_tokens", "unpack_tokens"]

TASK = "plugin"
"""The pooling task of our requests."""

KEY = "gemserve"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of the whole engine, read by scheduler and worker from vLLM's `additional_config`.

    scratch_blocks: blocks of the key-value cache that belong to the beams.
    """

    scratch_blocks: int
    normalize: Normalization

    def to_additional_config(self) -> dict[str, Any]:
        """For vLLM's `additional_config`."""
        return {KEY: asdict(self)}

    @classmethod
    def of(cls, vllm_config: Any) -> "EngineOptions":
        """The options in a VllmConfig."""
        return cls(**vllm_config.additional_config[KEY])


@dataclass(frozen=True, slots=True)
class RankOptions:
    """Options of one request, in the `extra_kwargs` of its PoolingParams."""

    k: int
    width: int
    excluded: Sequence[int]

    def to_extra_kwargs(self) -> dict[str, Any]:
        """For PoolingParams."""
        return {"k": self.k, "width": self.width, "excluded": list(self.excluded)}

    @classmethod
    def of(cls, extra_kwargs: Mapping[str, Any]) -> "RankOptions":
        """The options in PoolingParams."""
        return cls(**extra_kwargs)


def pack_tokens(level_tokens: Sequence[NDArray[np.integer]]) -> list[bytes]:
    """The vocabulary ids of every level, as bytes."""
    return [np.ascontiguousarray(tokens, np.int64).tobytes() for tokens in level_tokens]


def unpack_tokens(packed: Sequence[bytes]) -> list[NDArray[np.int64]]:
    """The inverse of `pack_tokens`."""
    return [np.frombuffer(tokens, np.int64).copy() for tokens in packed]
