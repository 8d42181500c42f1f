"""Items are sorted as Python sorts them, on random catalogs."""

from datetime import date

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.facets import FacetIndex, SortFault, SortKey, first_of, places, read_sort

COLUMNS = {
    "brand": (pa.string(), st.sampled_from(["", "a", "Z", "é", "zz"])),
    "price": (pa.float64(), st.sampled_from([-0.0, 0.0, 2.5, 1e300])),
    "stock": (pa.int64(), st.integers(-2, 2)),
    "new": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), st.sampled_from([date(2025, 1, 1), date(1999, 12, 31)])),
}


@st.composite
def catalogs(draw):
    size = draw(st.integers(0, 25))
    columns = {
        name: pa.array(draw(st.lists(st.one_of(st.none(), values), min_size=size, max_size=size)), kind)
        for name, (kind, values) in COLUMNS.items()
    }
    keys = draw(st.lists(st.tuples(st.sampled_from([*COLUMNS]), st.booleans()), min_size=1, max_size=3))
    chosen = [row for row in range(size) if draw(st.booleans())]
    return pa.table(columns), [SortKey(*key) for key in keys], chosen


def python_order(table, keys, rows):
    """Sorted by one key after the other, the last first: Python's sort is stable."""
    for key in reversed(keys):
        values = table[key.column].to_pylist()
        some = sorted((r for r in rows if values[r] is not None), key=values.__getitem__, reverse=key.descending)
        rows = some + [row for row in rows if values[row] is None]
    return rows


@given(catalogs())
def test_places_sort_as_python_does(drawn):
    table, keys, chosen = drawn
    row_K = np.array(chosen, np.int64)
    ordered = row_K[np.argsort(places(keys, FacetIndex(table), row_K), kind="stable")].tolist()
    assert ordered == python_order(table, keys, chosen)


@given(catalogs())
def test_places_that_do_not_fit_are_numbered_anew(drawn):
    table, keys, chosen = drawn
    row_K = np.array(chosen, np.int64)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("catalog.facets.order.LIMIT", 3)
        ordered = row_K[np.argsort(places(keys, FacetIndex(table), row_K), kind="stable")].tolist()
    assert ordered == python_order(table, keys, chosen)


@given(st.lists(st.tuples(st.integers(0, 3), st.floats(0, 1), st.integers(0, 2)), max_size=30), st.integers(1, 12))
def test_the_first_are_the_first_of_all(rows, most):
    columns = [np.array([row[part] for row in rows]) for part in range(3)] + [np.arange(len(rows))]
    expected = sorted(range(len(rows)), key=lambda place: (rows[place], place))[:most]
    assert first_of(columns, most).tolist() == expected


ITEMS = Items(
    pa.table(
        {"item_id": ["1"], "brand": ["a"], "price": [1.0], "a:b": [1], "asc": ["x"], "x:desc": [2], "tags": [["t"]]}
    )
)


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("price", [("price", False)]),
        ("price:asc", [("price", False)]),
        (" price : DESC , brand:desc ", None),
        ("price:DESC, brand:desc", [("price", True), ("brand", True)]),
        ("id:desc", [("item_id", True)]),
        ("a:b", [("a:b", False)]),
        ("a:b:desc", [("a:b", True)]),
        ("x:desc", [("x:desc", False)]),
        ("asc", [("asc", False)]),
        ("_relevance", [("_relevance", True)]),
        ("price:asc,_relevance:desc,brand", [("price", False), ("_relevance", True), ("brand", False)]),
        ("available,price,price", [("available", False), ("price", False), ("price", False)]),
    ],
)
def test_orders_are_read(text, keys):
    if keys is None:
        with pytest.raises(SortFault):
            read_sort(text, FacetIndex(ITEMS.table))
        return
    assert read_sort(text, FacetIndex(ITEMS.table)) == tuple(SortKey(*key) for key in keys)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "character 1: no column is named ''"),
        ("prise:asc", "character 1: no column is named 'prise': did you mean 'price'?"),
        ("price:asc, brnd", "character 12: no column is named 'brnd': did you mean 'brand'?"),
        ("price:up", "character 7: 'up' is no direction: write price:asc or price:desc"),
        ("price:asc,,brand", "character 11: no column is named ''"),
        ("_relevance:asc", "character 1: _relevance has the best first"),
        ("_relevence", "did you mean '_relevance'?"),
        ("relevance:desc", "did you mean '_relevance'?"),
        ("brand,categories:asc", "character 7: 'categories' holds lists, which have no order"),
        ("brand,tags", "character 7: 'tags' holds lists"),
        ("brand,price,a:b,asc", "character 17: at most 3 columns sort"),
        ("x" * 900, "character 1: no column is named 'xxx"),
    ],
)
def test_a_bad_order_is_told_with_its_place(text, message):
    with pytest.raises(SortFault) as raised:
        read_sort(text, FacetIndex(ITEMS.table))
    assert message in str(raised.value)
    assert len(str(raised.value)) < 1_000
