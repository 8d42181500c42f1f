"""The constrained beam search over one item index, for the finished requests of a step.

Shapes: R requests, B beams, H hidden size.
"""

from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from catalog.ids.index import ItemIndex
from catalog.search.beam import Beams, BeamSearch, Ranked
from catalog.search.device_index import DeviceIndex
from catalog.search.guidance import NO_PRIOR, Guidance, StaticPrior
from catalog.search.restriction import FilterBitmap, Restriction
from server.engine.vllm.messages import EngineOptions, RankOptions
from server.engine.vllm.worker.code_heads import CodeHeads
from server.engine.vllm.worker.paged_beams import PagedDecoder, scratch_blocks_each
from server.engine.vllm.worker.runner import Runner

__all__ = ["ItemSearch"]


class ItemSearch:
    """Searches one item index with one model.

    filters: the installed filter bitmaps by number.
    static_prior: the installed static prior.
    counts: counters of what was done, which are added to.

    Raises ItemIndexError if index and heads do not belong together, and ValueError for identifiers that are too long.
    """

    def __init__(self, runner: Runner, index: ItemIndex, heads: CodeHeads, counts: Counter[str]) -> None:
        heads.check(index)
        scratch_blocks_each(np.zeros(1, np.int64), index.depth, runner.block_size)
        self._runner = runner
        self._heads = heads
        self._half = EngineOptions.of(runner.config).scratch_blocks // 2
        self._device_index = DeviceIndex(index, runner.device)
        self._counts = counts
        self.filters: dict[int, FilterBitmap] = {}
        self.static_prior: StaticPrior | None = None

    @property
    def index(self) -> ItemIndex:
        """The index that is searched."""
        return self._device_index.index

    def can_answer(self, option: RankOptions) -> bool:
        """Whether the filter that a request names is installed."""
        return option.filter_id is None or option.filter_id in self.filters

    def run(
        self, rows: list[int], hidden_RH: Tensor, length_R: NDArray[np.int64], options: Sequence[RankOptions]
    ) -> Iterator[Tensor]:
        """The answer of every finished request, in order.

        rows: the requests' rows in the step.
        hidden_RH: their last hidden states.
        length_R: the lengths of their prompts.
        """
        for group in self._groups(length_R, options):
            picked = torch.tensor(group, device=hidden_RH.device)
            found = self._search(
                [rows[i] for i in group], hidden_RH[picked], length_R[group], [options[i] for i in group]
            )
            for i, ((leaves, scores), score_KL) in zip(group, found, strict=True):
                k = options[i].k
                answer = np.vstack([leaves[:k], scores[:k], *([] if score_KL is None else [score_KL[:k].T])])
                yield torch.from_numpy(answer.astype(np.float64, copy=False))

    def _groups(self, length_R: NDArray[np.int64], options: Sequence[RankOptions]) -> Iterator[list[int]]:
        """The requests in order, in groups whose beams the scratch blocks can hold."""
        each_R = scratch_blocks_each(length_R, self._device_index.depth, self._runner.block_size)
        group: list[int] = []
        used = 0
        for i, option in enumerate(options):
            needed = int(each_R[i]) * min(option.width, len(self.index))
            if group and used + needed > self._half:
                yield group
                group, used = [], 0
            group.append(i)
            used += needed
            self._counts["scratch_peak"] = max(self._counts["scratch_peak"], used)
        yield group

    def _search(
        self, rows: list[int], hidden_RH: Tensor, length_R: NDArray[np.int64], options: Sequence[RankOptions]
    ) -> Iterator[tuple[Ranked, NDArray[np.float32] | None]]:
        """Each request's leaves and scores, and the scores by level of those that ask for them."""
        restriction = self._restriction(options)
        guidance = self._guidance(options, restriction)
        search = BeamSearch(
            self._device_index,
            [option.width for option in options],
            restriction,
            guidance,
            over_children=self._heads.normalize == "children",
        )
        decoder = PagedDecoder(self._runner, rows, length_R, self._device_index.depth, self._half)

        def decode(level: int, beams: Beams) -> Tensor:
            layout = search.layouts[level]
            token_B = self._heads.tokens[level - 1].index_select(0, beams.code_B)
            self._counts["beams"] += layout.beams
            return self._heads(level, decoder.step(level, token_B, beams.parent_B, layout))

        self._counts["groups"] += 1
        ranked = search.run(self._heads(0, hidden_RH), decode)
        by_level = search.level_scores() if any(option.by_level for option in options) else [None] * len(options)
        asked = (scores if option.by_level else None for scores, option in zip(by_level, options, strict=True))
        return zip(ranked, asked, strict=True)

    def _restriction(self, options: Sequence[RankOptions]) -> Restriction | None:
        if all(option.filter_id is None and option.allow is None and len(option.deny) == 0 for option in options):
            return None
        return Restriction(
            self.index,
            [option.deny for option in options],
            [None if option.filter_id is None else self.filters[option.filter_id] for option in options],
            [option.allow for option in options],
        )

    def _guidance(self, options: Sequence[RankOptions], restriction: Restriction | None) -> Guidance | None:
        if all(option.prior is None for option in options):
            return None
        priors = [option.prior or NO_PRIOR for option in options]
        return Guidance(self.index, priors, self.static_prior, restriction)
