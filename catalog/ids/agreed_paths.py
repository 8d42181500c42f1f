"""Paths that are settled before new items are coded: those that other servers gave the items, or gave others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from catalog.ids.index import ItemIndex

__all__ = ["NO_PATHS", "AgreedPaths", "Path", "free_of"]

Path = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class AgreedPaths:
    """What is settled about the paths of one bundle's new items.

    of: by item id, the path that the item has or is to have.
    taken: these paths and further ones of items that the index may not have yet.
    """

    of: Mapping[str, Path] = field(default_factory=dict)
    taken: frozenset[Path] = frozenset()

    def joined_by(self, of: Mapping[str, Path], taken: Collection[Path] = ()) -> AgreedPaths:
        """With further ones, which replace what was known of the same items."""
        return AgreedPaths({**self.of, **of}, self.taken.union(of.values(), taken))


NO_PATHS = AgreedPaths()


def free_of(index: ItemIndex, paths: Collection[Path]) -> list[Path]:
    """Those of the paths that no item of an index has, each once."""
    return [path for path in dict.fromkeys(paths) if index.leaf(path) is None]
