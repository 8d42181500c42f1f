"""What the rest of the server knows about engines: give one a prompt, get the best leaves.

An engine has the weights of one bundle and may hold several *snapshots* of its catalog, each an item index under a
number, so that requests under way finish on the one they began with. Within a snapshot, *leaf sets* that many requests
are limited to are installed once, under numbers of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.ids.index import ItemIndex
from server.core.engine_settings import EngineSettings
from server.engine.errors import EngineError

__all__ = ["PUBLISHED", "Engine", "RankRequest", "RankableBundle", "Ranking", "check_limits"]

PUBLISHED = 0
"""The snapshot of a bundle's own index, which `start` and `reload` install."""


@dataclass(frozen=True, slots=True)
class RankRequest:
    """One ranking wanted: the `k` best items after `prompt`, found with a beam of `width`.

    `prompt` is token ids. Leaf numbers, strictly increasing: `excluded` must not come back; only `included` may, where
    given. `snapshot` and `leaf_set` are numbers of what was installed; None is every leaf. `by_level` asks for every
    level's scores too, which costs the engine some 50 µs.

    Raises EngineError when the fields contradict each other.
    """

    prompt: Sequence[int]
    k: int
    width: int
    request_id: str
    excluded: Sequence[int] = ()
    included: Sequence[int] | None = None
    leaf_set: int | None = None
    snapshot: int = PUBLISHED
    by_level: bool = False

    def __post_init__(self) -> None:
        if len(self.prompt) == 0:
            raise EngineError("the prompt is empty: render at least one token")
        if self.k < 1:
            raise EngineError(f"k is {self.k}: ask for at least one item")
        if self.width < self.k:
            raise EngineError(
                f"a beam of width {self.width} cannot give k = {self.k} items: raise the width to {self.k}"
            )
        _check_leaves(self.excluded, "excluded")
        _check_leaves(self.included or (), "included")


def _check_leaves(leaves: Sequence[int], what: str) -> None:
    if any(left >= right for left, right in pairwise(leaves)):
        raise EngineError(f"{what} leaves must be strictly increasing: sort them and drop repeats")
    if len(leaves) > 0 and leaves[0] < 0:
        raise EngineError(f"{what} leaf {leaves[0]} is negative: leaves count from 0")


def check_limits(request: RankRequest, settings: EngineSettings, leaves: int) -> None:
    """Raises EngineError if the request is over a limit of an engine with these settings and `leaves` items."""
    if request.width > settings.max_width:
        raise EngineError(
            f"beam width {request.width} is over this engine's {settings.max_width}: ask for less or raise max_width"
        )
    if len(request.prompt) > settings.max_prompt_tokens:
        raise EngineError(
            f"the prompt has {len(request.prompt)} tokens, this engine takes {settings.max_prompt_tokens}:"
            " shorten the history, or raise max_prompt_tokens if the model has more positions"
        )
    for what, named in (("excluded", request.excluded), ("included", request.included or ())):
        if len(named) > 0 and named[-1] >= leaves:
            raise EngineError(f"{what} leaf {named[-1]} is outside the catalog of {leaves} items")


@dataclass(frozen=True, slots=True)
class Ranking:
    """`min(k, allowed)` distinct leaves, best first, and the log-probability of each.

    level_scores: where they were asked for, the log-probabilities of each leaf's codes, which sum to its score.
    """

    leaves: tuple[int, ...]
    scores: tuple[float, ...]
    level_scores: tuple[tuple[float, ...], ...] | None = None

    @classmethod
    def of(cls, leaves: NDArray[Any], scores: NDArray[Any], level_scores_KL: NDArray[Any] | None = None) -> "Ranking":
        """From arrays. Raises EngineError if the model has given scores that are no numbers."""
        if not np.isfinite(scores).all():
            raise EngineError("the model gives scores that are not finite numbers: check its weights and dtype")
        levels = None if level_scores_KL is None else tuple(map(tuple, level_scores_KL.tolist()))
        return cls(tuple(leaves.astype(int).tolist()), tuple(scores.tolist()), levels)


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
    """Answers rank requests, many at a time: vLLM, transformers, or a fake for HTTP tests.

    Everything here raises EngineUnavailable where no engine is running.
    """

    @property
    def alive(self) -> bool:
        """Whether it can be asked: started, not stopped, and its process has not died. Costs nothing, so every request
        may look; one that hangs is alive until the engine gives it up."""

    async def start(self) -> None:
        """Load everything; return when requests can be answered. Raises EngineError."""

    async def rank(self, request: RankRequest) -> Ranking:
        """Raises EngineError for a request over the engine's limits or for a snapshot that is not installed."""

    async def install(self, snapshot: int, index: ItemIndex) -> None:
        """Hold this index under a number, from the next step on. Raises EngineError."""

    async def retire(self, snapshot: int) -> None:
        """Forget a snapshot and its leaf sets, once no request under way uses it."""

    async def install_set(self, snapshot: int, leaf_set: int, member_N: NDArray[np.bool_]) -> None:
        """Hold a set of the snapshot's leaves under a number. Raises EngineError."""

    async def retire_set(self, snapshot: int, leaf_set: int) -> None:
        """Forget a leaf set, once no request under way uses it."""

    async def reload(self, bundle: RankableBundle) -> None:
        """Take another bundle's weights and index in place of all there was, while no request is under way.

        Raises EngineError, before anything is changed if the bundle cannot be loaded in place; an engine that fails
        later may hold anything until the next `reload` succeeds.
        """

    async def check(self) -> None:
        """Return when the engine can answer."""

    async def stop(self) -> None:
        """Release everything, child processes included; harmless when not started."""
