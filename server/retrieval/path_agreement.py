"""How the servers agree on the paths of new items.

A path depends on which items came before, so two servers that each code a new item may give it two paths. The first
path that is claimed in the store is the item's in this bundle, for all servers and after every restart. A server claims
what it has coded before anybody sees it, and codes anew where others were first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from catalog.ids.agreed_paths import NO_PATHS, AgreedPaths, Path
from catalog.snapshot import Snapshot
from server.core.errors import HistoryUnavailable
from server.storage.protocol import PathClaim, PathStore

__all__ = ["OwnPaths", "PathAgreement"]

MAX_ATTEMPTS = 50  # each that fails means that another server has claimed one of the paths


class OwnPaths:
    """A PathStore for one that shares with nobody: every path is granted."""

    async def paths(self, version: str, item_ids: Sequence[str]) -> dict[str, Path]:
        return {}

    async def claim(self, version: str, paths: Mapping[str, Path]) -> PathClaim:
        return PathClaim(paths, frozenset())


class PathAgreement:
    """The paths of one bundle's new items. version: the bundle's."""

    def __init__(self, version: str, store: PathStore) -> None:
        self._version = version
        self._store = store
        self._known: dict[str, Path] = {}

    async def make(
        self, before: Snapshot, item_ids: Iterable[str], change: Callable[[AgreedPaths], Snapshot]
    ) -> Snapshot:
        """The snapshot after a change, in which new items have the paths that all servers give them.

        item_ids: of items that the change may add. change: makes it of `before`, in a thread; called again where
          another server was first. Raises HistoryUnavailable, and what `change` raises.
        """
        new = [item_id for item_id in item_ids if before.items.row_of(item_id) is None]
        if not new:
            return await asyncio.to_thread(change, NO_PATHS)
        agreed = NO_PATHS.joined_by(await self._stored(new))
        for _ in range(MAX_ATTEMPTS):
            after = await asyncio.to_thread(change, agreed)
            paths = {item_id: path for item_id in new if (path := after.path_of(item_id)) is not None}
            coded = {item_id: path for item_id, path in paths.items() if agreed.of.get(item_id) != path}
            claim = await self._store.claim(self._version, coded) if coded else PathClaim({}, frozenset())
            if claim.of == coded:
                self._known = {item_id: path for item_id, path in self._known.items() if item_id not in paths}
                return after
            agreed = agreed.joined_by(claim.of, claim.taken)
        raise HistoryUnavailable(f"other servers claimed the paths of new items first, {MAX_ATTEMPTS} times")

    async def reserve(
        self, before: Snapshot, item_ids: Sequence[str], change: Callable[[AgreedPaths], Snapshot]
    ) -> None:
        """Claim what `make` would, so that it needs no store afterwards. Raises as `make`."""
        self.adopt(await self.make(before, item_ids, change), item_ids)

    def adopt(self, snapshot: Snapshot, item_ids: Iterable[str]) -> None:
        """Take the paths of these items from another snapshot of the same bundle, without asking the store."""
        self._known |= {item_id: path for item_id in item_ids if (path := snapshot.path_of(item_id)) is not None}

    async def claim_again(self, snapshot: Snapshot, item_ids: Iterable[str]) -> list[str]:
        """Claim what a snapshot has, in a store that has lost it: the items that have another path there."""
        paths = {item_id: path for item_id in item_ids if (path := snapshot.path_of(item_id)) is not None}
        claim = await self._store.claim(self._version, paths)
        return [item_id for item_id, path in paths.items() if claim.of.get(item_id) != path]

    async def _stored(self, item_ids: Sequence[str]) -> dict[str, Path]:
        asked = [item_id for item_id in item_ids if item_id not in self._known]
        found = await self._store.paths(self._version, asked) if asked else {}
        return found | {item_id: self._known[item_id] for item_id in item_ids if item_id in self._known}
