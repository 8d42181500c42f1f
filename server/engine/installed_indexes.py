"""The indexes that an engine in this process holds, each with its static prior and the filter bitmaps of requests."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from catalog.errors import ItemIndexError
from catalog.ids.index import ItemIndex
from catalog.search.guidance import StaticPrior
from catalog.search.restriction import FilterBitmap
from server.engine.errors import EngineError

__all__ = ["InstalledIndex", "InstalledIndexes"]


@dataclass(slots=True)
class InstalledIndex:
    """One index, its filter bitmaps by number, and its static prior."""

    index: ItemIndex
    static_prior: StaticPrior | None = None
    filters: dict[int, FilterBitmap] = field(default_factory=dict)

    def filter(self, filter_id: int | None) -> FilterBitmap | None:
        """The filter bitmap under this number, None for None. Raises EngineError."""
        if filter_id is None:
            return None
        if filter_id not in self.filters:
            raise EngineError(f"filter {filter_id} is not installed: install it before it is asked for")
        return self.filters[filter_id]


class InstalledIndexes:
    """The installed indexes by number."""

    def __init__(self) -> None:
        self._indexes: dict[int, InstalledIndex] = {}

    def __getitem__(self, index_id: int) -> InstalledIndex:
        """Raises EngineError."""
        if index_id not in self._indexes:
            raise EngineError(f"index {index_id} is not installed: install it before it is asked for")
        return self._indexes[index_id]

    def install(self, index_id: int, index: ItemIndex) -> None:
        self._indexes[index_id] = InstalledIndex(index)

    def retire(self, index_id: int) -> None:
        self._indexes.pop(index_id, None)

    def install_filter(self, index_id: int, filter_id: int, member_N: NDArray[np.bool_]) -> None:
        """Raises EngineError for a filter of another catalog."""
        installed = self[index_id]
        try:
            installed.filters[filter_id] = FilterBitmap.of_mask(installed.index, member_N)
        except ItemIndexError as error:
            raise EngineError(str(error)) from error

    def retire_filter(self, index_id: int, filter_id: int) -> None:
        if index_id in self._indexes:
            self._indexes[index_id].filters.pop(filter_id, None)

    def install_static_prior(self, index_id: int, value_N: NDArray[np.floating]) -> None:
        """Raises EngineError for a prior of another catalog, or one that is not finite."""
        installed = self[index_id]
        try:
            installed.static_prior = StaticPrior(installed.index, value_N)
        except ItemIndexError as error:
            raise EngineError(str(error)) from error

    def clear(self) -> None:
        self._indexes.clear()
