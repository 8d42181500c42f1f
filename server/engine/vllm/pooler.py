"""Answers every prompt whose computation is complete with items, inside vLLM's step.

Shapes: R finished requests, H hidden size.
"""

from collections.abc import Set
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.model_executor.layers.pooler.abstract import Pooler

from server.engine.vllm.search import ItemSearch
from server.engine.vllm.wire import TASK, RankOptions

__all__ = ["ItemPooler"]


class ItemPooler(Pooler):  # type: ignore[misc]
    """Answers each finished request with leaves and scores, float64 [2, k]."""

    def __init__(self) -> None:
        super().__init__()
        self._search: ItemSearch | None = None

    def get_supported_tasks(self) -> Set[str]:
        """The pooling task our requests name."""
        return {TASK}

    def install(self, search: ItemSearch) -> None:
        """Answer with this search from the next step on."""
        self._search = search

    def forget_heads(self) -> None:
        """The weights have changed."""
        if self._search is not None:
            self._search.forget_heads()

    def statistics(self) -> dict[str, int]:
        """What has been done since the items were installed."""
        return {} if self._search is None else dict(self._search.counts)

    def forward(self, hidden_states: Tensor, pooling_metadata: Any) -> list[Tensor | None]:
        """An answer for every request of the step, None for those whose prompt is not complete."""
        cursor = pooling_metadata.get_pooling_cursor()
        finished = cursor.get_finished_mask()
        if self._search is None:  # vLLM measures memory with made-up requests
            return [torch.zeros(1)] * len(finished)
        rows = [row for row, done in enumerate(finished) if done]
        self._search.counts["computed_tokens"] += int(cursor.num_scheduled_tokens_cpu.sum())
        answers: list[Tensor | None] = [None] * len(finished)
        if rows:
            options = [RankOptions.of(pooling_metadata.pooling_params[row].extra_kwargs) for row in rows]
            hidden_RH = hidden_states[cursor.last_token_indices_gpu[rows]]
            lengths = cursor.prompt_lens_cpu[rows].numpy().astype(np.int64)
            for row, answer in zip(rows, self._search.run(rows, hidden_RH, lengths, options), strict=True):
                answers[row] = answer
        return answers
