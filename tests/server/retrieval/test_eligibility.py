import itertools

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.ids.index import ItemIndex
from catalog.snapshot import Snapshot
from server.engine.protocol import RankRequest
from server.retrieval.eligibility import EligibleItems
from tests.support.fake_engine import FakeEngine


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=50), st.data())
async def test_shown_is_what_is_present_and_available_and_meets_the_filter(
    available: list[bool | None], data: st.DataObject
) -> None:
    size = len(available)
    codes_NL = np.arange(size)[:, None]
    index, _ = ItemIndex.build(codes_NL, [size])
    columns = {"item_id": [str(i) for i in range(size)], "available": pa.array(available, pa.bool_())}
    items = Items(pa.table({**columns, "price": [float(i) for i in range(size)]}))
    deleted = data.draw(st.sets(st.sampled_from(range(size))))
    snapshot = Snapshot.published(items, codes_NL, index).delete(map(str, deleted))
    limit = data.draw(st.none() | st.integers(0, size))
    engine = FakeEngine(index)
    await engine.start()
    eligible = EligibleItems(snapshot, engine, 0, itertools.count())
    shown = {row for row in range(size) if available[row] is not False} - deleted
    assert eligible.shown == len(shown)
    async with eligible.limit(None if limit is None else f"price < {limit}") as filter_id:
        ranking = await engine.rank(RankRequest([1], size, size, "r", filter_id=filter_id))
    assert set(ranking.leaves) == {row for row in shown if limit is None or row < limit}
    assert eligible.leaves_of(["3", "x", "1", "3"]) == sorted({row for row in (1, 3) if row < size})
