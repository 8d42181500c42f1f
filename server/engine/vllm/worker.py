"""What the client calls in the worker, through `collective_rpc`. vLLM mixes this class into its own worker."""

from pathlib import Path
from typing import Any

from server.engine.vllm.pooler import ItemPooler
from server.engine.vllm.runner import Runner
from server.engine.vllm.search import ItemSearch
from server.engine.vllm.wire import unpack_tokens

__all__ = ["ItemWorkerExtension"]


class ItemWorkerExtension:
    """Installs items and reads statistics."""

    model_runner: Any

    def install_items(self, index_directory: str, level_tokens: list[bytes]) -> int:
        """Search the index in `index_directory` from the next step on; its number of items."""
        runner = Runner(self.model_runner)
        search = ItemSearch.open(runner, Path(index_directory), unpack_tokens(level_tokens))
        self._pooler.install(search)
        return search.items

    def item_statistics(self) -> dict[str, int]:
        """requests, groups (searched together), beams (one-token sequences computed), scratch_peak (blocks);
        prompt_tokens, and computed_tokens: how many of them were not found in the prefix cache."""
        return self._pooler.statistics()

    @property
    def _pooler(self) -> ItemPooler:
        pooler: ItemPooler = self.model_runner.model.pooler
        return pooler
