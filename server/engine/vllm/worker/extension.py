"""What the client calls in the worker, through `collective_rpc`. vLLM mixes this class into its own worker."""

from pathlib import Path
from typing import Any

from catalog.ids.index import ItemIndex
from catalog.search.restriction import LeafSet
from server.engine.vllm.messages import unpack_members, unpack_tokens
from server.engine.vllm.worker.heads import CodeHeads
from server.engine.vllm.worker.pooler import ItemPooler
from server.engine.vllm.worker.runner import Runner
from server.engine.vllm.worker.search import ItemSearch

__all__ = ["ItemWorkerExtension"]


class ItemWorkerExtension:
    """Installs what is searched and reads statistics. All of it between two steps of the engine."""

    model_runner: Any
    _code_heads: CodeHeads

    def install_codes(self, level_tokens: list[bytes]) -> str:
        """Begin anew, with the code tokens of the weights that are loaded: no snapshot is installed any more.

        Returns the digest of the weights, as `checkpoint_digest` makes it.
        """
        self._pooler.searches.clear()
        self._pooler.counts.clear()
        self._code_heads = CodeHeads(Runner(self.model_runner), unpack_tokens(level_tokens))
        return self._pooler.digest

    def install_snapshot(self, snapshot: int, index_directory: str) -> None:
        """Search the index saved in this directory for requests that name the snapshot."""
        index, runner = ItemIndex.open(Path(index_directory)), Runner(self.model_runner)
        self._pooler.searches[snapshot] = ItemSearch(runner, index, self._code_heads, self._pooler.counts)

    def retire_snapshot(self, snapshot: int) -> None:
        """Forget a snapshot and its leaf sets."""
        self._pooler.searches.pop(snapshot, None)

    def install_set(self, snapshot: int, leaf_set: int, members: bytes) -> None:
        """Hold a leaf set of a snapshot."""
        search = self._pooler.searches[snapshot]
        search.leaf_sets[leaf_set] = LeafSet.of_mask(search.index, unpack_members(members, len(search.index)))

    def retire_set(self, snapshot: int, leaf_set: int) -> None:
        """Forget a leaf set."""
        search = self._pooler.searches.get(snapshot)
        if search is not None:
            search.leaf_sets.pop(leaf_set, None)

    def item_statistics(self) -> dict[str, int]:
        """requests, groups (searched together), beams (one-token sequences computed), scratch_peak (blocks);
        prompt_tokens, and computed_tokens: how many of them were not found in the prefix cache; snapshots, leaf_sets:
        how many are held."""
        searches = self._pooler.searches.values()
        held = {"snapshots": len(searches), "leaf_sets": sum(len(search.leaf_sets) for search in searches)}
        return dict(self._pooler.counts) | held

    @property
    def _pooler(self) -> ItemPooler:
        pooler: ItemPooler = self.model_runner.model.pooler
        return pooler
