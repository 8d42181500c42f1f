"""Which column of a table a filter means, and what it holds."""

import pyarrow as pa
import pytest

from catalog.errors import FilterError
from catalog.filters.ast import Column
from catalog.filters.columns import Holding, find_column
from catalog.filters.faults import Span


def column(name: str) -> Column:
    return Column(name, Span(3, len(name)))


def table(*names: str) -> pa.Table:
    return pa.table({name: [name] for name in names})


def test_aliases_stand_for_the_columns_of_the_contract_only_where_no_column_has_their_name() -> None:
    both = table("item_id", "id", "categories", "category")
    assert [find_column(both, column(name)).values[0].as_py() for name in ("id", "category")] == ["id", "category"]
    usual = table("item_id", "categories")
    assert [find_column(usual, column(name)).name for name in ("id", "category")] == ["item_id", "categories"]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("prise", "the items have no column prise; did you mean price? The columns are item_id, price, `list price`"),
        ("PRICE", "did you mean price?"),
        ("list_price", "did you mean `list price`?"),
        ("zebra", "the items have no column zebra. The columns are item_id, price, `list price`"),
        ("category", "the items have no column category. The"),
        ("two words", "the items have no column `two words`"),
    ],
)
def test_an_unknown_column_is_told_with_those_there_are(name: str, said: str) -> None:
    with pytest.raises(FilterError) as refused:
        find_column(table("item_id", "price", "list price"), column(name))
    assert said in str(refused.value)
    assert (refused.value.position, refused.value.length) == (3, len(name))


def test_of_very_many_columns_some_are_listed() -> None:
    with pytest.raises(FilterError, match=r"c38, c39 and 60 more$"):
        find_column(table(*(f"c{number}" for number in range(100))), column("zebra"))


@pytest.mark.parametrize(
    ("kind", "holding"),
    [
        (pa.string(), Holding.STRINGS),
        (pa.large_string(), Holding.STRINGS),
        (pa.string_view(), Holding.STRINGS),
        (pa.int8(), Holding.NUMBERS),
        (pa.uint64(), Holding.NUMBERS),
        (pa.float16(), Holding.NUMBERS),
        (pa.float64(), Holding.NUMBERS),
        (pa.bool_(), Holding.BOOLEANS),
        (pa.list_(pa.string()), Holding.LISTS),
        (pa.date32(), Holding.MOMENTS),
        (pa.timestamp("ns", "Europe/Berlin"), Holding.MOMENTS),
    ],
)
def test_what_columns_of_a_type_hold(kind: pa.DataType, holding: Holding) -> None:
    assert find_column(pa.table({"a": pa.array([], kind)}), column("a")).holding is holding


@pytest.mark.parametrize(
    "kind",
    [
        pa.struct({"x": pa.int64()}),
        pa.list_(pa.int64()),
        pa.binary(),
        pa.duration("s"),
        pa.time32("s"),
        pa.decimal128(5, 2),
        pa.null(),
    ],
)
def test_columns_of_other_types_cannot_be_filtered_on(kind: pa.DataType) -> None:
    with pytest.raises(FilterError, match=r"a holds .*, which no filter can test: use a column of strings"):
        find_column(pa.table({"a": pa.array([], kind)}), column("a"))
