"""The one thing the service knows about engines: give it a prompt, get the best leaves."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.index import ItemIndex
from server.engine.errors import EngineError

__all__ = ["Engine", "RankRequest", "RankableBundle", "Ranking"]


@dataclass(frozen=True, slots=True)
class RankRequest:
    """One ranking wanted: the `k` best items after `prompt`, found with a beam of `width`.

    `prompt` is token ids; `excluded` is strictly increasing leaf numbers that must not come back.

    Raises EngineError when the fields contradict each other.
    """

    prompt: Sequence[int]
    k: int
    width: int
    request_id: str
    excluded: Sequence[int] = ()

    def __post_init__(self) -> None:
        if len(self.prompt) == 0:
            raise EngineError("the prompt is empty: render at least one token")
        if self.k < 1:
            raise EngineError(f"k is {self.k}: ask for at least one item")
        if self.width < self.k:
            raise EngineError(
                f"a beam of width {self.width} cannot give k = {self.k} items: raise the width to {self.k}"
            )
        if any(left >= right for left, right in pairwise(self.excluded)):
            raise EngineError("excluded leaves must be strictly increasing: sort them and drop repeats")
        if len(self.excluded) > 0 and self.excluded[0] < 0:
            raise EngineError(f"excluded leaf {self.excluded[0]} is negative: leaves count from 0")


@dataclass(frozen=True, slots=True)
class Ranking:
    """`min(k, allowed)` distinct leaves, best first, and the log-probability of each."""

    leaves: tuple[int, ...]
    scores: tuple[float, ...]

    @classmethod
    def of(cls, leaves: NDArray[Any], scores: NDArray[Any]) -> "Ranking":
        """From arrays. Raises EngineError if the model has given scores that are no numbers."""
        if not np.isfinite(scores).all():
            raise EngineError("the model gives scores that are not finite numbers: check its weights and dtype")
        return cls(tuple(leaves.astype(int).tolist()), tuple(scores.tolist()))


class RankableBundle(Protocol):
    """What an engine needs of a bundle."""

    @property
    def model_dir(self) -> Path:
        """A Hugging Face checkpoint."""

    @property
    def index_dir(self) -> Path:
        """A saved ItemIndex."""

    @property
    def index(self) -> ItemIndex:
        """That index."""

    @property
    def level_tokens(self) -> Sequence[NDArray[np.int64]]:
        """Per level, the vocabulary id of every code."""


class Engine(Protocol):
    """Answers rank requests, many at a time: vLLM, transformers, or a fake for HTTP tests."""

    async def start(self) -> None:
        """Load everything; return when requests can be answered. Raises EngineError."""

    async def rank(self, request: RankRequest) -> Ranking:
        """Raises EngineError for a request over the engine's limits, EngineUnavailable without an engine."""

    async def check(self) -> None:
        """Return when the engine can answer. Raises EngineUnavailable."""

    async def stop(self) -> None:
        """Release everything, child processes included; harmless when not started."""
