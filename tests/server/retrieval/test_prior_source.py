"""Where the leaves of a bundle's rows are, in any index that has them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from catalog.ids.index import ItemIndex
from server.retrieval.prior_source import leaves_of_paths


@given(st.data())
def test_every_path_has_its_leaf(data: st.DataObject) -> None:
    sizes = data.draw(st.lists(st.integers(1, 6), min_size=1, max_size=4))
    path = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    paths = data.draw(st.lists(path, min_size=1, max_size=60, unique=True))
    index, _ = ItemIndex.build(np.array(paths), sizes)
    asked = data.draw(st.lists(st.sampled_from(paths), min_size=1))
    assert leaves_of_paths(index, np.array(asked)).tolist() == [index.leaf(one) for one in asked]
