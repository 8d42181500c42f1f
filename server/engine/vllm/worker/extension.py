"""What the server calls in the worker through `collective_rpc`. vLLM mixes this class into its own worker."""

from pathlib import Path
from typing import Any

import numpy as np

from catalog.ids.index import ItemIndex
from catalog.search.guidance import StaticPrior
from catalog.search.level_heads import Normalization
from catalog.search.restriction import FilterBitmap
from server.engine.vllm.messages import unpack_mask, unpack_tokens
from server.engine.vllm.worker.code_heads import CodeHeads
from server.engine.vllm.worker.pooler import ItemPooler
from server.engine.vllm.worker.runner import Runner
from server.engine.vllm.worker.search import ItemSearch

__all__ = ["ItemWorkerExtension"]


class ItemWorkerExtension:
    """Installs what is searched and reads statistics, always between two steps of the engine."""

    model_runner: Any
    _code_heads: CodeHeads

    def install_codes(self, level_tokens: list[bytes], normalize: Normalization) -> str:
        """Begin anew, with the code tokens of the weights that are loaded: no index is installed any more.

        normalize: what the probabilities of a level sum to one over.

        Returns the digest of the weights, as `checkpoint_digest` makes it.
        """
        self._pooler.searches.clear()
        self._pooler.counts.clear()
        self._code_heads = CodeHeads(Runner(self.model_runner), unpack_tokens(level_tokens), normalize)
        return self._pooler.digest

    def install_index(self, index_id: int, index_directory: str) -> None:
        """Search the index saved in this directory for requests that name this number."""
        index, runner = ItemIndex.open(Path(index_directory)), Runner(self.model_runner)
        self._pooler.searches[index_id] = ItemSearch(runner, index, self._code_heads, self._pooler.counts)

    def retire_index(self, index_id: int) -> None:
        """Forget an index and its filter bitmaps."""
        self._pooler.searches.pop(index_id, None)

    def install_filter(self, index_id: int, filter_id: int, mask: bytes) -> None:
        """Hold the leaves of an index that a filter lets through under a number."""
        search = self._pooler.searches[index_id]
        search.filters[filter_id] = FilterBitmap.of_mask(search.index, unpack_mask(mask, len(search.index)))

    def retire_filter(self, index_id: int, filter_id: int) -> None:
        """Forget a filter bitmap."""
        search = self._pooler.searches.get(index_id)
        if search is not None:
            search.filters.pop(filter_id, None)

    def install_static_prior(self, index_id: int, values: bytes) -> None:
        """Hold the static prior of an index, float32 [N], in place of the one before."""
        search = self._pooler.searches[index_id]
        search.static_prior = StaticPrior(search.index, np.frombuffer(values, np.float32))

    def item_statistics(self) -> dict[str, int]:
        """What was done since the weights were loaded, and what is held now.

        requests: that were answered.
        groups: of requests that were searched together.
        beams: one-token sequences that were computed.
        scratch_peak: the most scratch blocks that a group used.
        prompt_tokens: of all requests.
        computed_tokens: how many of these were not in the prefix cache.
        indexes, filters: how many are installed.
        """
        searches = self._pooler.searches.values()
        held = {"indexes": len(searches), "filters": sum(len(search.filters) for search in searches)}
        return dict(self._pooler.counts) | held

    @property
    def _pooler(self) -> ItemPooler:
        pooler: ItemPooler = self.model_runner.model.pooler
        return pooler
