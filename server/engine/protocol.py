"""The protocol of engines: given a prompt, an engine returns the best leaves.

An engine holds the weights of one bundle. It may hold several item indexes, each installed under a number, so that
requests under way finish on the index they began with while the catalog changes. The filters that many requests share
are installed once per index, as filter bitmaps under numbers of their own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.ids.index import ItemIndex
from catalog.search.guidance import Prior
from catalog.search.level_heads import Normalization
from server.core.settings import EngineSettings
from server.engine.errors import EngineError

__all__ = ["PUBLISHED", "Engine", "RankRequest", "RankableBundle", "Ranking", "check_limits", "normalization"]

PUBLISHED = 0
"""The number of a bundle's own index, which `start` and `reload` install."""


@dataclass(frozen=True, slots=True)
class RankRequest:
    """Asks for the `k` best items after a prompt.

    prompt: token ids.
    k: how many items to return.
    width: how many beams the search keeps, at least `k`.
    request_id: names the request in logs and in vLLM.
    deny: leaves that must not come back, strictly increasing.
    allow: the only leaves that may come back, strictly increasing; None for any.
    filter_id: the number of an installed filter bitmap; None for every leaf.
    index_id: the number of the installed index that is searched.
    by_level: return the scores of every level too, which costs the engine some 50 µs.
    prior: what guides the search, beside the static prior of the index; None leaves the score to the model.

    Raises EngineError when the fields contradict each other.
    """

    prompt: Sequence[int]
    k: int
    width: int
    request_id: str
    deny: Sequence[int] = ()
    allow: Sequence[int] | None = None
    filter_id: int | None = None
    index_id: int = PUBLISHED
    by_level: bool = False
    prior: Prior | None = None

    def __post_init__(self) -> None:
        if len(self.prompt) == 0:
            raise EngineError("the prompt is empty: render at least one token")
        if self.k < 1:
            raise EngineError(f"k is {self.k}: ask for at least one item")
        if self.width < self.k:
            raise EngineError(
                f"a beam of width {self.width} cannot give k = {self.k} items: raise the width to {self.k}"
            )
        _check_leaves(self.deny, "denied")
        _check_leaves(self.allow or (), "allowed")


def _check_leaves(leaves: Sequence[int], what: str) -> None:
    if any(left >= right for left, right in pairwise(leaves)):
        raise EngineError(f"{what} leaves must be strictly increasing: sort them and drop repeats")
    if len(leaves) > 0 and leaves[0] < 0:
        raise EngineError(f"{what} leaf {leaves[0]} is negative: leaves count from 0")


def check_limits(request: RankRequest, settings: EngineSettings, leaves: int) -> None:
    """Raise EngineError if a request exceeds the limits of an engine with these settings and `leaves` items."""
    if request.width > settings.max_width:
        raise EngineError(
            f"beam width {request.width} is over this engine's {settings.max_width}: ask for less or raise max_width"
        )
    if len(request.prompt) > settings.max_prompt_tokens:
        raise EngineError(
            f"the prompt has {len(request.prompt)} tokens, this engine takes {settings.max_prompt_tokens}:"
            " shorten the history, or raise max_prompt_tokens if the model has more positions"
        )
    listed = () if request.prior is None else request.prior.leaves
    for what, named in (("denied", request.deny), ("allowed", request.allow or ()), ("listed", listed)):
        if len(named) > 0 and named[-1] >= leaves:
            raise EngineError(f"{what} leaf {named[-1]} is outside the catalog of {leaves} items")


@dataclass(frozen=True, slots=True)
class Ranking:
    """What an engine found.

    leaves: `min(k, eligible)` distinct leaves, best first.
    scores: the log-probability of each, or its guided score where the request had a prior.
    level_scores: where they were asked for, the log-probabilities of each leaf's codes, which sum to the leaf's.
    """

    leaves: tuple[int, ...]
    scores: tuple[float, ...]
    level_scores: tuple[tuple[float, ...], ...] | None = None

    def at(self, places: Sequence[int]) -> "Ranking":
        """The leaves at some places, in the order of these."""
        levels = self.level_scores
        return Ranking(
            tuple(self.leaves[place] for place in places),
            tuple(self.scores[place] for place in places),
            None if levels is None else tuple(levels[place] for place in places),
        )

    def less(self, score_K: Sequence[float]) -> "Ranking":
        """The same leaves in the same order, with their scores less these."""
        if not any(score_K):
            return self
        scores = tuple(own - other for own, other in zip(self.scores, score_K, strict=True))
        return Ranking(self.leaves, scores, self.level_scores)

    def then(self, later: "Ranking") -> "Ranking":
        """This one, and another behind it."""
        levels = None
        if self.level_scores is not None and later.level_scores is not None:
            levels = self.level_scores + later.level_scores
        return Ranking(self.leaves + later.leaves, self.scores + later.scores, levels)

    @classmethod
    def of(cls, leaves: NDArray[Any], scores: NDArray[Any], level_scores_KL: NDArray[Any] | None = None) -> "Ranking":
        """A ranking from arrays. Raises EngineError if a score is not a finite number."""
        if not np.isfinite(scores).all():
            raise EngineError("the model gives scores that are not finite numbers: check its weights and dtype")
        levels = None if level_scores_KL is None else tuple(map(tuple, level_scores_KL.tolist()))
        return cls(tuple(leaves.astype(int).tolist()), tuple(scores.tolist()), levels)


def normalization(bundle: "RankableBundle", settings: EngineSettings) -> Normalization:
    """What the probabilities of a level sum to one over: what the bundle was trained for, or the whole vocabulary."""
    return bundle.normalize if settings.normalize == "codes" else settings.normalize


class RankableBundle(Protocol):
    """The parts of a bundle that an engine needs."""

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

    @property
    def normalize(self) -> Literal["codes", "children"]:
        """What the probabilities of a level sum to one over, as the model was trained."""


class Engine(Protocol):
    """Answers rank requests, many at a time: vLLM, transformers, or a fake for HTTP tests.

    Every method raises EngineUnavailable while no engine runs.
    """

    @property
    def alive(self) -> bool:
        """Whether the engine can be asked: it was started, is not stopped, and its process has not died.

        The look is free, so every request may take it. An engine that hangs counts as alive until it is given up.
        """

    async def start(self) -> None:
        """Load everything; return when requests can be answered.

        Raises EngineError. If it raises or is cancelled, nothing that it started goes on running.
        """

    async def rank(self, request: RankRequest) -> Ranking:
        """Raises EngineError for a request over the engine's limits, or one that names what is not installed."""

    async def install(self, index_id: int, index: ItemIndex) -> None:
        """Hold this index under a number, from the next step on. Raises EngineError; then nothing is held."""

    async def retire(self, index_id: int) -> None:
        """Forget an index and its filter bitmaps, once no request under way uses it."""

    async def install_filter(self, index_id: int, filter_id: int, member_N: NDArray[np.bool_]) -> None:
        """Hold the leaves of an index that a filter lets through under a number. Raises EngineError."""

    async def retire_filter(self, index_id: int, filter_id: int) -> None:
        """Forget a filter bitmap, once no request under way uses it."""

    async def install_static_prior(self, index_id: int, value_N: NDArray[np.floating]) -> None:
        """Hold the static prior of an index, a value for every leaf, instead of the one before. Raises EngineError."""

    async def reload(self, bundle: RankableBundle) -> None:
        """Replace weights and index by another bundle's, while no request is under way.

        Raises EngineError. A bundle that cannot be loaded in place is refused before anything is changed; after a later
        failure the engine may hold anything until the next `reload` succeeds.
        """

    async def check(self) -> None:
        """Return when the engine can answer."""

    async def stop(self) -> None:
        """Release everything, child processes included; harmless when not started."""
