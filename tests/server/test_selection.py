import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from catalog.items import Items
from server.selection import Selection


@given(st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=50), st.data())
def test_what_is_excluded_is_what_was_seen_or_is_unavailable(available: list[bool | None], data: st.DataObject) -> None:
    seen = data.draw(st.sets(st.integers(0, len(available) - 1)))
    items = Items(
        pa.table({"item_id": [str(i) for i in range(len(available))], "available": pa.array(available, pa.bool_())})
    )
    unavailable = {row for row, is_available in enumerate(available) if is_available is False}
    selection = Selection(items)
    excluded = selection.excluded(seen)
    assert list(excluded) == sorted(seen | unavailable)
    assert all(type(leaf) is int for leaf in excluded)
    assert selection.available == len(available) - len(unavailable)
