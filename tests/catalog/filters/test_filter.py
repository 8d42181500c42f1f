"""Filters as their callers see them."""

from random import Random

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.errors import CatalogError, FilterError
from catalog.filters import Filter, compile_filter, parse
from catalog.filters.ast import Expression
from catalog.filters.filter import MAX_CHARACTERS
from catalog.filters.parser import MAX_CONDITIONS, MAX_DEPTH
from tests.catalog.filters.expressions import spell, trees


@pytest.fixture
def items() -> Items:
    return Items(
        pa.table(
            {
                "item_id": ["a", "b", "c"],
                "price": [100.0, 250.0, None],
                "available": [True, False, True],
                "categories": [["Tents"], ["Tents"], ["Tarps"]],
            }
        )
    )


def test_a_filter_is_read_once_and_asked_of_items(items: Items) -> None:
    chosen = parse("category = 'Tents'  and price<200 AND available")
    assert chosen.text == 'category = "Tents" and price < 200 and available'
    mask = chosen.mask(items)
    assert (mask.dtype, mask.tolist()) == (np.dtype(bool), [True, False, False])
    assert compile_filter("price > 200 or not exists(price)", items).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "text", ["available", "not available", "price < 5", "category = 'x'", "exists(id)", "id > 'a' or id < 'b'"]
)
def test_a_mask_cannot_be_written_to(items: Items, text: str) -> None:
    mask = compile_filter(text, items)
    with pytest.raises(ValueError, match="read-only"):
        mask[0] = True


def test_no_items_make_an_empty_mask() -> None:
    empty = Items(pa.table({"item_id": pa.array([], pa.string())}))
    for text in ("available", "not category = 'x'", "price < 3 and title contains 'x'"):
        assert compile_filter(text, empty).shape == (0,)


@given(trees, st.randoms(use_true_random=False))
def test_filters_that_say_the_same_are_equal_and_serve_as_one_key(tree: Expression, random: Random) -> None:
    one, other = parse(spell(tree, random)), parse(spell(tree, random))
    assert one == other
    assert len({one: 1, other: 2}) == 1
    assert parse(one.text) == one
    assert one != parse(f"not ({one.text})")


def test_errors_are_the_catalogs_and_point_into_the_text_as_given(items: Items) -> None:
    with pytest.raises(CatalogError):
        parse("a =")
    with pytest.raises(FilterError) as refused:
        parse("   available   and  prise<3").mask(items)
    assert (refused.value.position, refused.value.length) == (20, 5)


def test_syntax_is_judged_without_a_catalog_and_columns_only_with_one(items: Items) -> None:
    unknown = parse("nothing = 'like this'")
    with pytest.raises(FilterError, match="no column nothing"):
        unknown.mask(items)


def test_all_conditions_are_checked_before_one_is_computed(items: Items, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("catalog.filters.filter.mask", lambda *_: pytest.fail("computed"))
    with pytest.raises(FilterError, match="no column prise"):
        compile_filter("available or prise < 3", items)


def test_a_filter_has_a_greatest_length() -> None:
    most = f'a = "{"x" * (MAX_CHARACTERS - 6)}"'
    assert parse(most).text == most
    with pytest.raises(FilterError, match="has 4,097 characters, at most 4,096 are read") as refused:
        parse(most + " ")
    assert (refused.value.position, refused.value.length) == (MAX_CHARACTERS, 1)
    with pytest.raises(FilterError, match="has 4,098 characters in its canonical form"):
        parse(f'a="{"x" * (MAX_CHARACTERS - 4)}"')


def test_the_deepest_filter_can_be_asked_of_items(items: Items) -> None:
    for opening, closing in (("(", ")"), ("not ", "")):
        assert compile_filter(opening * MAX_DEPTH + "available" + closing * MAX_DEPTH, items).tolist() == [
            True,
            False,
            True,
        ]
    nested = "(available and " * (MAX_CONDITIONS - 1) + "available" + ")" * (MAX_CONDITIONS - 1)
    assert compile_filter(nested, items).tolist() == [True, False, True]
    assert parse(parse(nested).text) == parse(nested)


def test_half_a_surrogate_pair_is_refused() -> None:
    with pytest.raises(FilterError, match="half a surrogate pair") as refused:
        parse('a = "\ud800"')
    assert (refused.value.position, refused.value.length) == (5, 1)


WORDS = ["and", "or", "not", "in", "exists", "contains", "true", "price", "available", "category", "id", "nothing"]
SIGNS = [
    "(",
    ")",
    ",",
    "=",
    "!=",
    "<",
    '"Tents"',
    "'x'",
    "3",
    "-1e99",
    "9" * 400,
    '"',
    "`",
    "`price`",
    "\ud800",
    "“",
    "&&",
]


@given(text=st.lists(st.sampled_from([*WORDS, *SIGNS]), max_size=12).map(" ".join) | st.text())
def test_whatever_the_text_it_is_a_mask_or_a_filter_error(text: str) -> None:
    items = Items(pa.table({"item_id": ["a", "b"], "price": [3.0, None], "categories": [["Tents"], []]}))
    try:
        assert compile_filter(text, items).shape == (2,)
    except FilterError as error:
        assert 0 <= error.position <= error.position + error.length <= len(text)  # noqa: PT017


def test_a_filter_shows_its_text() -> None:
    assert repr(parse("a=1")) == "Filter(text='a = 1')"
    assert isinstance(parse("a"), Filter)
