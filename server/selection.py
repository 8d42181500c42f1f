"""The filter: which items may be shown. Decided here and nowhere else."""

from collections.abc import Collection, Sequence

import numpy as np
import pyarrow.compute as pc

from catalog.items import Items

__all__ = ["Selection"]


class Selection:
    """What of one catalogue may be shown: items that are available, less those a request excludes."""

    def __init__(self, items: Items) -> None:
        shown = pc.fill_null(items.table["available"], True).to_numpy(zero_copy_only=False)
        self._unavailable = np.flatnonzero(~shown)
        self._unavailable_list: list[int] = self._unavailable.tolist()
        self.available = len(items) - len(self._unavailable)

    def excluded(self, seen: Collection[int] = ()) -> Sequence[int]:
        """Leaf numbers that must not come back, strictly increasing: the unavailable ones and those `seen`."""
        if not seen:
            return self._unavailable_list
        excluded: list[int] = np.union1d(self._unavailable, np.fromiter(seen, np.int64, len(seen))).tolist()
        return excluded
