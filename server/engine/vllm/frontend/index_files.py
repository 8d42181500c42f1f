"""The indexes that the engine's process has been told to map, as files that it can reach."""

import shutil
import tempfile
from pathlib import Path

from catalog.ids.index import ItemIndex
from server.engine.errors import EngineError

__all__ = ["IndexFiles"]


class IndexFiles:
    """Saved indexes by the number of their snapshot, in temporary folders of its own."""

    def __init__(self) -> None:
        self._leaves: dict[int, int] = {}
        self._folders: dict[int, Path] = {}

    def leaves(self, snapshot: int) -> int:
        """How many leaves a snapshot has. Raises EngineError if it is not here."""
        if snapshot not in self._leaves:
            raise EngineError(f"snapshot {snapshot} is not installed: install it before it is asked for")
        return self._leaves[snapshot]

    def put(self, snapshot: int, index: ItemIndex) -> Path:
        """Save an index; the folder it is in."""
        folder = Path(tempfile.mkdtemp(prefix="gemserve-index-"))
        index.save(folder)
        self._folders[snapshot] = folder
        self._leaves[snapshot] = len(index)
        return folder

    def lend(self, snapshot: int, index: ItemIndex) -> None:
        """Note an index that is saved elsewhere."""
        self._leaves[snapshot] = len(index)

    def remove(self, snapshot: int) -> None:
        """Delete a folder of our own. What is mapped from it stays readable until it is no longer mapped."""
        self._leaves.pop(snapshot, None)
        folder = self._folders.pop(snapshot, None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Remove all."""
        for snapshot in list(self._leaves):
            self.remove(snapshot)
