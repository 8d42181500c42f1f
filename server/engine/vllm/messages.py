"""Messages between the server's process and the engine's, made of plain values."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from catalog.search.guidance import Prior
from server.engine.protocol import RankRequest

__all__ = [
    "NOT_INSTALLED",
    "TASK",
    "EngineOptions",
    "RankOptions",
    "pack_mask",
    "pack_tokens",
    "to_extra_kwargs",
    "unpack_mask",
    "unpack_tokens",
]

TASK = "plugin"
"""The pooling task of our requests."""

NOT_INSTALLED = torch.zeros(0)
"""The answer to a request that names an index or a filter which the worker does not have."""

KEY = "gemserve"


@dataclass(frozen=True, slots=True)
class EngineOptions:
    """Options of the whole engine, which scheduler and worker read from vLLM's `additional_config`.

    scratch_blocks: how many blocks of the key-value cache belong to the beams.
    """

    scratch_blocks: int

    def to_additional_config(self) -> dict[str, Any]:
        """The options for vLLM's `additional_config`."""
        return {KEY: asdict(self)}

    @classmethod
    def of(cls, vllm_config: Any) -> "EngineOptions":
        """The options in a VllmConfig."""
        return cls(**vllm_config.additional_config[KEY])


@dataclass(frozen=True, slots=True)
class RankOptions:
    """A rank request as the worker reads it. Prompt and id reach it as vLLM's own.

    deny, allow: leaves, int64.

    The other fields are those of `RankRequest`.
    """

    k: int
    width: int
    deny: NDArray[np.int64]
    allow: NDArray[np.int64] | None
    filter_id: int | None
    index_id: int
    by_level: bool
    prior: Prior | None

    @classmethod
    def of(cls, extra_kwargs: Mapping[str, Any]) -> "RankOptions":
        """The options in what `to_extra_kwargs` made."""
        deny, allow, prior = extra_kwargs["deny"], extra_kwargs["allow"], extra_kwargs["prior"]
        arrays = {
            "deny": np.frombuffer(deny, np.int64),
            "allow": None if allow is None else np.frombuffer(allow, np.int64),
            "prior": None if prior is None else _unpack_prior(prior),
        }
        return cls(**{**extra_kwargs, **arrays})


def to_extra_kwargs(request: RankRequest) -> dict[str, Any]:
    """A request for the `extra_kwargs` of vLLM's PoolingParams.

    The lists travel as bytes, because vLLM copies and encodes a list number by number.
    """
    return {
        "k": request.k,
        "width": request.width,
        "deny": np.asarray(request.deny, np.int64).tobytes(),
        "allow": None if request.allow is None else np.asarray(request.allow, np.int64).tobytes(),
        "filter_id": request.filter_id,
        "index_id": request.index_id,
        "by_level": request.by_level,
        "prior": None if request.prior is None else _pack_prior(request.prior),
    }


def _pack_prior(prior: Prior) -> tuple[bytes, bytes, float, float]:
    leaves, values = np.asarray(prior.leaves, np.int64), np.asarray(prior.values, np.float32)
    return leaves.tobytes(), values.tobytes(), prior.model_weight, prior.static_weight


def _unpack_prior(packed: Sequence[Any]) -> Prior:
    leaves, values, model_weight, static_weight = packed
    return Prior(np.frombuffer(leaves, np.int64), np.frombuffer(values, np.float32), model_weight, static_weight)


def pack_mask(member_N: NDArray[np.bool_]) -> bytes:
    """Which leaves a filter lets through, a bit each."""
    return np.packbits(member_N).tobytes()


def unpack_mask(packed: bytes, leaves: int) -> NDArray[np.bool_]:
    """The inverse of `pack_mask`."""
    return np.unpackbits(np.frombuffer(packed, np.uint8), count=leaves).view(np.bool_)


def pack_tokens(level_tokens: Sequence[NDArray[np.integer]]) -> list[bytes]:
    """The vocabulary ids of every level's codes, as bytes."""
    return [np.ascontiguousarray(tokens, np.int64).tobytes() for tokens in level_tokens]


def unpack_tokens(packed: Sequence[bytes]) -> list[NDArray[np.int64]]:
    """The inverse of `pack_tokens`."""
    return [np.frombuffer(tokens, np.int64).copy() for tokens in packed]
