"""The files of the indexes that the engine's process maps into its memory."""

import shutil
import tempfile
from pathlib import Path

from catalog.ids.index import ItemIndex
from server.engine.errors import EngineError

__all__ = ["IndexFiles"]


class IndexFiles:
    """Saved indexes by number, in temporary folders of its own."""

    def __init__(self) -> None:
        self._leaves: dict[int, int] = {}
        self._folders: dict[int, Path] = {}

    def leaves(self, index_id: int) -> int:
        """How many leaves an index has. Raises EngineError if it is not installed."""
        if index_id not in self._leaves:
            raise EngineError(f"index {index_id} is not installed: install it before it is asked for")
        return self._leaves[index_id]

    def put(self, index_id: int, index: ItemIndex) -> Path:
        """Save an index; the folder it is in. It takes time, so it is called in a thread.

        If the index is removed meanwhile, no folder is left. Raises OSError; then none is left either.
        """
        folder = Path(tempfile.mkdtemp(prefix="gemserve-index-"))
        self._folders[index_id] = folder
        self._leaves[index_id] = len(index)
        try:
            index.save(folder)
        finally:
            if self._folders.get(index_id) is not folder:
                shutil.rmtree(folder, ignore_errors=True)
        return folder

    def reference(self, index_id: int, index: ItemIndex) -> None:
        """Note an index that is saved elsewhere."""
        self._leaves[index_id] = len(index)

    def remove(self, index_id: int) -> None:
        """Delete an index's folder. What is mapped from it stays readable until it is no longer mapped."""
        self._leaves.pop(index_id, None)
        folder = self._folders.pop(index_id, None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove all."""
        for index_id in list(self._leaves):
            self.remove(index_id)
