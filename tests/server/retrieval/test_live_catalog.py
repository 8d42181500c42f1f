"""Changes of a live catalog that fail halfway."""

from typing import cast

import numpy as np
import pytest
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.data.changes import Upsert
from server.engine.errors import EngineError
from server.retrieval.live_catalog import LiveCatalog
from tests.support.small_shop import RecordingEngine, ShopBundle

NEW = [Upsert({"item_id": "new", "title": "new"})]


class FullEngine(RecordingEngine):
    """Has no memory for filters while `full`."""

    full = False

    async def install_filter(self, index_id: int, filter_id: int, member_N: NDArray[np.bool_]) -> None:
        if self.full:
            raise EngineError("out of memory")
        await super().install_filter(index_id, filter_id, member_N)

    @property
    def indexes(self) -> set[int]:
        return set(self._installed._indexes)


async def test_an_index_whose_filter_cannot_be_installed_is_retired() -> None:
    engine = FullEngine()
    await engine.start()
    catalog = LiveCatalog(cast(Bundle, ShopBundle()), engine)
    engine.full = True
    for change in (lambda: catalog.apply(NEW), lambda: catalog.apply_remote({"new": NEW[0]}, 1)):
        with pytest.raises(EngineError, match="out of memory"):
            await change()
        assert engine.indexes == {0}
        assert catalog.searcher.installed == 0
    engine.full = False
    await catalog.apply(NEW)
    assert catalog.searcher.installed in engine.indexes
    await catalog.close()
