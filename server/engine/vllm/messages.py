"""What travels between the client and the engine's own process, as plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from catalog.search.heads import Normalization

__all__ = [
    "NOT_INSTALLED",
    "TASK",
    "EngineOptions",
    "RankOptions",
    "pack_members",
    "pack_tokens",
    "unpack_members",
    "unpack_tokens",
]

TASK = "plugin"
"""The pooling task of our requests."""

NOT_INSTALLED = torch.zeros(0)
"""The answer to a request that names a snapshot or leaf set which the worker does not have."""

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
    included: Sequence[int] | None
    leaf_set: int | None
    snapshot: int
    by_level: bool

    def to_extra_kwargs(self) -> dict[str, Any]:
        """For PoolingParams."""
        listed = {"excluded": list(self.excluded), "included": None if self.included is None else list(self.included)}
        numbers = {"k": self.k, "width": self.width, "leaf_set": self.leaf_set, "snapshot": self.snapshot}
        return listed | numbers | {"by_level": self.by_level}

    @classmethod
    def of(cls, extra_kwargs: Mapping[str, Any]) -> "RankOptions":
        """The options in PoolingParams."""
        return cls(**extra_kwargs)


def pack_members(member_N: NDArray[np.bool_]) -> bytes:
    """Which leaves are in a set, a bit each."""
    return np.packbits(member_N).tobytes()


def unpack_members(packed: bytes, leaves: int) -> NDArray[np.bool_]:
    """The inverse of `pack_members`."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=leaves).view(np.bool_)


def pack_tokens(level_tokens: Sequence[NDArray[np.integer]]) -> list[bytes]:
    """The vocabulary ids of every level, as bytes."""
    return [np.ascontiguousarray(tokens, np.int64).tobytes() for tokens in level_tokens]


def unpack_tokens(packed: Sequence[bytes]) -> list[NDArray[np.int64]]:
    """The inverse of `pack_tokens`."""
    return [np.frombuffer(tokens, np.int64).copy() for tokens in packed]
