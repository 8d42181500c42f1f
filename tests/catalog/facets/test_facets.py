"""Facets equal what plain Python counts, on random catalogs."""

import math
from collections import Counter
from datetime import UTC, date, datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.facets import FacetIndex, UnknownColumn, count_facet, encode
from catalog.filters.columns import holding_of

TEXTS = st.sampled_from(["", "a", "b", "é", "Z", "\U0001f3d5", "zz", "1", "true"])
MOMENTS = st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31))
KINDS = [
    (pa.string(), TEXTS),
    (pa.bool_(), st.booleans()),
    (pa.int64(), st.one_of(st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))),
    (pa.uint64(), st.one_of(st.integers(0, 3), st.integers(0, 2**64 - 1))),
    (pa.float64(), st.one_of(st.sampled_from([-0.0, 0.0, 1.0, 2.5, 1e300, -1e308]), st.floats(allow_infinity=False))),
    (pa.list_(pa.string()), st.lists(st.one_of(st.none(), TEXTS), max_size=4)),
    (pa.date32(), st.dates()),
    (pa.timestamp("us"), MOMENTS),
    (pa.timestamp("us", "UTC"), MOMENTS.map(lambda moment: moment.replace(tzinfo=UTC))),
]


@st.composite
def columns(draw):
    kind, values = draw(st.sampled_from(KINDS))
    rows = draw(st.lists(st.tuples(st.one_of(st.none(), values), st.booleans()), max_size=30))
    cut = draw(st.integers(0, len(rows)))
    chunks = [pa.array([value for value, _ in part], kind) for part in (rows[:cut], rows[cut:])]
    return pa.chunked_array(chunks[draw(st.integers(0, 1)) * (cut == 0) :], kind), [chosen for _, chosen in rows]


def values_of(rows):
    """Every value of some items, once an item, without nulls and NaN."""
    for row in rows:
        for value in set(row) if isinstance(row, list) else [row]:
            if value is not None and value == value:
                yield value


def key(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    return value.isoformat() if isinstance(value, date) else str(value)


@given(columns(), st.integers(1, 5))
def test_a_facet_is_what_python_counts(drawn, most):
    column, chosen = drawn
    facet = count_facet(encode(column, holding_of(column.type)), np.array(chosen, bool), most)
    counted = [value for value, keep in zip(column.to_pylist(), chosen, strict=True) if keep]
    counts = Counter(values_of(counted))
    ordered = sorted(counts, key=lambda value: (-counts[value], value))
    is_range = not (
        pa.types.is_string(column.type) or pa.types.is_boolean(column.type) or pa.types.is_list(column.type)
    )
    told = [] if is_range and len(counts) > most else ordered[:most]
    assert list(facet.distribution.items()) == [(key(value), counts[value]) for value in told]
    assert facet.distinct == len(counts)
    if not is_range or not counts:
        assert facet.stats is None
        return
    stats, values = facet.stats, list(counts.elements())
    if isinstance(values[0], date):
        assert (stats.min, stats.max, stats.sum) == (min(values).isoformat(), max(values).isoformat(), None)
        assert stats.min <= stats.avg <= stats.max
        return
    assert (stats.min, stats.max) == (min(values), max(values))
    if isinstance(values[0], int):
        assert stats.sum == (sum(values) if abs(sum(values)) < 2**62 else float(sum(values)))
        assert stats.avg == sum(values) / len(values)
        return
    try:
        exact = math.fsum(values)
    except OverflowError:
        exact = None
    scale = max(map(abs, values))
    assert (stats.sum is None) == (exact is None) or scale > 1e307
    if stats.sum is not None and exact is not None:
        assert math.isclose(stats.sum, exact, rel_tol=1e-9, abs_tol=1e-9 * scale)
    assert math.isclose(stats.avg, sum(value / len(values) for value in values), rel_tol=1e-9, abs_tol=1e-9 * scale)


def test_a_long_column_is_counted_piece_by_piece(monkeypatch):
    monkeypatch.setattr("catalog.facets.codes.PIECE", 7)
    brands = ["ab"[row % 2] for row in range(50)]
    lists = [["x"] * (row % 3) + ["y"] for row in range(50)]
    chosen = np.arange(50) % 5 < 3
    for column, kind in ((brands, pa.string()), (lists, pa.list_(pa.string()))):
        facet = count_facet(encode(pa.chunked_array([pa.array(column, kind)]), holding_of(kind)), chosen, 10)
        counts = Counter(
            values_of([[value] if isinstance(value, str) else value for value in np.array(column, object)[chosen]])
        )
        assert facet.distribution == counts


def test_the_mean_of_times_is_a_time():
    days = pa.chunked_array([pa.array([date(2025, 1, 1), date(2025, 1, 4)])])
    stats = count_facet(encode(days, holding_of(days.type)), np.ones(2, bool), 10).stats
    assert (stats.min, stats.avg, stats.max) == ("2025-01-01", "2025-01-02", "2025-01-04")


ITEMS = Items(
    pa.table(
        {"item_id": ["1", "2", "3"], "brand": ["A", "B", "A"], "price": [1.0, None, 2.0], "colour": ["r", None, "g"]}
    )
)


def test_names_are_found_as_filters_find_them():
    index = FacetIndex(ITEMS.table)
    assert index.find("category") == "categories"
    assert index.find("colour") == "colour"
    assert index.names == ["brand", "categories", "price", "available", "colour"]
    with pytest.raises(UnknownColumn, match="no column is named 'brnd': did you mean 'brand'"):
        index.find("brnd")
    with pytest.raises(UnknownColumn, match="items have brand, categories, price"):
        index.find("x" * 500)


def test_codes_are_carried_over_where_a_column_stays():
    first = FacetIndex(ITEMS.table)
    brand, price = first.codes("brand"), first.codes("price")
    assert first.codes("brand") is brand
    cheaper = ITEMS.table.set_column(5, "price", pa.array([1.0, None, 1.5]))
    later = first.changed(pa.concat_tables([cheaper.slice(0, 1), cheaper.slice(1)]).combine_chunks())
    again = later.changed(cheaper)
    assert later.codes("brand") is brand
    assert again.codes("brand") is brand
    assert later.codes("price") is not price
    assert later.codes("price").values.to_pylist() == [1.0, 1.5]
    moved = later.changed(ITEMS.table.take([2, 1, 0]))
    assert moved.codes("colour").code_E.tolist() == [0, 2, 1]
    assert moved.codes("brand").code_E.tolist() == [0, 1, 0]
