"""The pooler: answers every prompt whose computation is complete with items, inside vLLM's step.

Shapes: R finished requests, H hidden size.
"""

from collections import Counter
from collections.abc import Set
from typing import Any

import numpy as np
import torch
from torch import Tensor
from vllm.model_executor.layers.pooler.abstract import Pooler

from server.engine.vllm.messages import NOT_INSTALLED, TASK, RankOptions
from server.engine.vllm.worker.search import ItemSearch

__all__ = ["ItemPooler"]


class ItemPooler(Pooler):  # type: ignore[misc]
    """Answers each finished request with its leaves and scores.

    An answer is float64 [2, k], leaves then scores, with one more row of scores a level if the request asks for them.
    A request that names an index or a filter which is not installed is answered with NOT_INSTALLED.

    searches: by the number of the index they search.
    counts: counters of what was done.
    digest: of the weights that were loaded last.
    """

    def __init__(self) -> None:
        super().__init__()
        self.searches: dict[int, ItemSearch] = {}
        self.counts: Counter[str] = Counter()
        self.digest = ""

    def get_supported_tasks(self) -> Set[str]:
        """The pooling task that our requests name."""
        return {TASK}

    def forward(self, hidden_states: Tensor, pooling_metadata: Any) -> list[Tensor | None]:
        """An answer for every request of the step; None for those whose prompt is not complete."""
        cursor = pooling_metadata.get_pooling_cursor()
        finished = cursor.get_finished_mask()
        if not self.searches:  # vLLM measures memory with made-up requests
            return [torch.zeros(1)] * len(finished)
        self.counts["computed_tokens"] += int(cursor.num_scheduled_tokens_cpu.sum())
        answers: list[Tensor | None] = [None] * len(finished)
        params, lengths = pooling_metadata.pooling_params, cursor.prompt_lens_cpu.numpy().astype(np.int64)
        options = {row: RankOptions.of(params[row].extra_kwargs) for row, done in enumerate(finished) if done}
        for number in sorted({option.index_id for option in options.values()}):
            rows = [row for row, option in options.items() if option.index_id == number]
            search = self.searches.get(number)
            known = [row for row in rows if search is not None and search.can_answer(options[row])]
            for row in rows:
                answers[row] = NOT_INSTALLED
            if search is None or not known:
                continue
            self.counts["requests"] += len(known)
            self.counts["prompt_tokens"] += int(lengths[known].sum())
            hidden_RH = hidden_states[cursor.last_token_indices_gpu[known]]
            found = search.run(known, hidden_RH, lengths[known], [options[row] for row in known])
            for row, answer in zip(known, found, strict=True):
                answers[row] = answer
        return answers
