"""The model's output head, cut to the code tokens of each level.

Shapes: B beams, C codes of a level, H hidden size, V vocabulary.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from vllm.distributed import tensor_model_parallel_all_reduce

from catalog.ids.index import ItemIndex
from catalog.search.device_index import check_level_tokens
from catalog.search.level_heads import LevelHeads, Normalization, vocabulary_logsumexp
from server.engine.vllm.worker.runner import Runner

__all__ = ["CodeHeads"]


class CodeHeads:
    """The output head's rows for the code tokens of one bundle. New weights need a new one.

    level_tokens: per level, the vocabulary id of every code.
    normalize: what the probabilities of a level are to sum to one over. Over children it is the search that does it.

    Raises ValueError for a model that is not supported.
    """

    def __init__(self, runner: Runner, level_tokens: Sequence[NDArray[np.int64]], normalize: Normalization) -> None:
        self._model = runner.model
        self._level_tokens = level_tokens
        self.normalize = normalize
        self.tokens = [torch.from_numpy(tokens).to(runner.device) for tokens in level_tokens]
        processor = self._model.logits_processor
        if processor.scale != 1.0 or processor.soft_cap is not None:
            raise ValueError("models that scale or cap their logits are not supported")

    def check(self, index: ItemIndex) -> None:
        """Raise ItemIndexError unless every code of the index has a token of the model."""
        check_level_tokens(index, self._level_tokens, self._model.config.vocab_size)

    def __call__(self, level: int, hidden_BH: Tensor) -> Tensor:
        """The log-probability of every code of `level`, float32 [B, C]."""
        return self._heads(level, hidden_BH)

    @cached_property
    def _heads(self) -> LevelHeads:
        head = self._model.lm_head
        shard, bias = head.shard_indices, getattr(head, "bias", None)
        return LevelHeads(
            [_head_rows(head.weight, shard, tokens) for tokens in self.tokens],
            [None if bias is None else _head_rows(bias, shard, tokens) for tokens in self.tokens],
            self._logsumexp if self.normalize == "vocabulary" else None,
        )

    def _logsumexp(self, hidden_BH: Tensor) -> Tensor:
        return vocabulary_logsumexp(hidden_BH, self._model.compute_logits, self._model.config.vocab_size)


def _head_rows(parameter: Tensor, shard: Any, token_C: Tensor) -> Tensor:
    """The rows [C, …] of the output head's weight or bias, which tensor parallelism shards by vocabulary."""
    row_C = token_C - shard.org_vocab_start_index
    here_C = (row_C >= 0) & (token_C < shard.org_vocab_end_index)
    rows = parameter[row_C.clamp(0, len(parameter) - 1)]
    whole: Tensor = tensor_model_parallel_all_reduce(rows * here_C.view(-1, *[1] * (rows.ndim - 1)))
    return whole
