"""The constrained beam search over one item index with one model, for the finished requests of a step.

Shapes: R requests, B beams, C codes of a level, H hidden size.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from vllm.distributed import tensor_model_parallel_all_reduce

from catalog.index import ItemIndex
from catalog.search.beam import Beams, BeamSearch, Ranked
from catalog.search.heads import LevelHeads, vocabulary_logsumexp
from catalog.search.restriction import Restriction
from catalog.search.tree import Tree, check_level_tokens
from server.engine.vllm.decoder import PagedDecoder, scratch_blocks_each
from server.engine.vllm.runner import Runner
from server.engine.vllm.wire import EngineOptions, RankOptions

__all__ = ["ItemSearch"]


class ItemSearch:
    """The search over one item index, with one model.

    level_tokens: per level, the vocabulary id of every code.
    Raises ItemIndexError if index, tokens and model do not belong together, ValueError for an unsupported model.
    """

    def __init__(self, runner: Runner, index: ItemIndex, level_tokens: Sequence[NDArray[np.int64]]) -> None:
        check_level_tokens(index, level_tokens, runner.model.config.vocab_size)
        self._runner = runner
        self._options = EngineOptions.of(runner.config)
        self._half = self._options.scratch_blocks // 2
        self._tree = Tree(index, runner.device)
        self._tokens = [torch.from_numpy(tokens).to(runner.device) for tokens in level_tokens]
        self._heads: LevelHeads | None = None
        self.counts: Counter[str] = Counter()
        scratch_blocks_each(np.zeros(1, np.int64), index.depth, runner.block_size)
        processor = runner.model.logits_processor
        if processor.scale != 1.0 or processor.soft_cap is not None:
            raise ValueError("models that scale or cap their logits are not supported")

    @classmethod
    def open(cls, runner: Runner, directory: Path, level_tokens: Sequence[NDArray[np.int64]]) -> "ItemSearch":
        """Search the index saved in `directory`. Raises ItemIndexError."""
        return cls(runner, ItemIndex.open(directory), level_tokens)

    @property
    def items(self) -> int:
        """Number of items."""
        return len(self._tree.index)

    def forget_heads(self) -> None:
        """Derive everything anew from the weights at the next search."""
        self._heads = None

    def run(
        self, rows: list[int], hidden_RH: Tensor, length_R: NDArray[np.int64], options: Sequence[RankOptions]
    ) -> Iterator[Tensor]:
        """The answers of finished requests: their rows in the step, last hidden states and prompt lengths."""
        self.counts["requests"] += len(rows)
        self.counts["prompt_tokens"] += int(length_R.sum())
        for group in self._groups(length_R, options):
            picked = torch.tensor(group, device=hidden_RH.device)
            found = self._search(
                [rows[i] for i in group], hidden_RH[picked], length_R[group], [options[i] for i in group]
            )
            for i, (leaves, scores) in zip(group, found, strict=True):
                k = options[i].k
                yield torch.from_numpy(np.stack([leaves[:k].astype(np.float64), scores[:k].astype(np.float64)]))

    def _groups(self, length_R: NDArray[np.int64], options: Sequence[RankOptions]) -> Iterator[list[int]]:
        """Requests, in order, as many together as the scratch blocks hold the beams of."""
        each_R = scratch_blocks_each(length_R, self._tree.depth, self._runner.block_size)
        group: list[int] = []
        used = 0
        for i, option in enumerate(options):
            needed = int(each_R[i]) * min(option.width, self.items)
            if group and used + needed > self._half:
                yield group
                group, used = [], 0
            group.append(i)
            used += needed
            self.counts["scratch_peak"] = max(self.counts["scratch_peak"], used)
        yield group

    def _search(
        self, rows: list[int], hidden_RH: Tensor, length_R: NDArray[np.int64], options: Sequence[RankOptions]
    ) -> list[Ranked]:
        search = BeamSearch(self._tree, [option.width for option in options], self._restriction(options))
        heads = self._heads = self._heads or self._derive_heads()
        decoder = PagedDecoder(self._runner, rows, length_R, self._tree.depth, self._half)

        def decode(level: int, beams: Beams) -> Tensor:
            layout = search.layouts[level]
            token_B = self._tokens[level - 1].index_select(0, beams.code_B)
            self.counts["beams"] += layout.beams
            return heads(level, decoder.step(level, token_B, beams.parent_B, layout))

        self.counts["groups"] += 1
        return search.run(heads(0, hidden_RH), decode)

    def _restriction(self, options: Sequence[RankOptions]) -> Restriction | None:
        excluded = [np.asarray(option.excluded, np.int64) for option in options]
        if all(len(leaves) == 0 for leaves in excluded):
            return None
        index = self._tree.index
        # the client may have known another catalogue; what is not in this one cannot come back anyway
        known = [leaves[: np.searchsorted(leaves, len(index))] for leaves in excluded]
        return Restriction(index, known)

    def _derive_heads(self) -> LevelHeads:
        model = self._runner.model

        def logsumexp(hidden_BH: Tensor) -> Tensor:
            return vocabulary_logsumexp(hidden_BH, model.compute_logits, model.config.vocab_size)

        shard, bias = model.lm_head.shard_indices, getattr(model.lm_head, "bias", None)
        return LevelHeads(
            [_head_rows(model.lm_head.weight, shard, tokens) for tokens in self._tokens],
            [None if bias is None else _head_rows(bias, shard, tokens) for tokens in self._tokens],
            logsumexp if self._options.normalize == "vocabulary" else None,
        )


def _head_rows(parameter: Tensor, shard: Any, token_C: Tensor) -> Tensor:
    """Rows [C, …] of the output head's weight or bias, which tensor parallelism shards by vocabulary."""
    row_C = token_C - shard.org_vocab_start_index
    here_C = (row_C >= 0) & (token_C < shard.org_vocab_end_index)
    rows = parameter[row_C.clamp(0, len(parameter) - 1)]
    whole: Tensor = tensor_model_parallel_all_reduce(rows * here_C.view(-1, *[1] * (rows.ndim - 1)))
    return whole
