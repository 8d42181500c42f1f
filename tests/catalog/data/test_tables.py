"""What the readers of items and events are built on."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.tables import first_occurrences


@given(st.lists(st.none() | st.sampled_from("abc"), max_size=20), st.integers(0, 20))
def test_first_occurrences_are_first_and_every_null_is_one(values, cut):
    column = pa.chunked_array([values[:cut], values[cut:]], pa.string())
    expected = [value is None or value not in values[:place] for place, value in enumerate(values)]
    assert first_occurrences(column).to_pylist() == expected
