"""Filters that are right in syntax and wrong for the columns of a table."""

import pyarrow as pa
import pytest

from catalog.data.items import Items
from catalog.errors import FilterError
from catalog.filters.parser import read_tree
from catalog.filters.typecheck import check

ITEMS = Items(
    pa.table(
        {
            "item_id": ["a"],
            "title": ["Tent"],
            "price": [1.0],
            "year": [1999],
            "available": [True],
            "categories": [["Tents"]],
            "released": pa.array([0], pa.timestamp("s")),
            "photo": [b"\x00"],
        }
    )
)

UNSUITABLE = [
    (
        'price = "x"',
        "        ^^^",
        'price holds numbers, so it cannot be compared with "x": write a number without quotes',
    ),
    ("price = true", "        ^^^^", "price holds numbers, so it cannot be compared with true"),
    ('year in (1, "2")', "            ^^^", "year holds numbers"),
    ("title < 3", "        ^", 'title holds strings, so it cannot be compared with 3: put it in quotes: "3"'),
    ("title in ('a', true)", "               ^^^^", 'put it in quotes: "true"'),
    ("id < 7", "     ^", "item_id holds strings"),
    ("id = 7.5", "     ^^^", "item_id holds strings"),
    ("id in (1, true)", "          ^^^^", 'put it in quotes: "true"'),
    ("category = 5", "           ^", "categories holds lists of strings"),
    ("category in ('a', 5)", "                  ^", 'put it in quotes: "5"'),
    (
        "available = 1",
        "            ^",
        "available holds true or false, so it cannot be compared with 1: write true or false",
    ),
    ("available = 'yes'", "            ^^^^^", "write true or false, without quotes"),
    ("available < true", "          ^", "which have no order: < cannot compare them, use = or !="),
    ("category >= 'a'", "         ^^", "categories holds lists of strings, which have no order"),
    ("released > 2024", "           ^^^^", "released holds dates or times"),
    ("released > 'May'", "           ^^^^^", "write an ISO 8601 date or time, in quotes"),
    ("released = '2024-01-01T00:00:00.1234567'", "           " + "^" * 29, "no finer than microseconds"),
    ("title", "^^^^^", 'title holds strings and is no condition by itself: compare it, as in title = "text"'),
    ("not price", "    ^^^^^", "as in price = 12.5"),
    ("released or available", "^^^^^^^^", "released holds dates or times and is no condition by itself"),
    ("price contains 'x'", "      ^^^^^^^^", "price holds numbers; contains looks into strings: use = or in"),
    ("category contains 'x'", "         ^^^^^^^^", "categories holds lists of strings; contains looks into strings"),
    ("photo = 'x'", "^^^^^", "photo holds binary, which no filter can test"),
    (
        "exists(photo)",
        "       ^^^^^",
        "use a column of strings, numbers, true or false, lists of strings, dates or times",
    ),
    ("available and (price < 3 or titel = 'x')", "                            ^^^^^", "did you mean title?"),
]


@pytest.mark.parametrize(("text", "marked", "said"), UNSUITABLE, ids=[text for text, _, _ in UNSUITABLE])
def test_a_condition_that_does_not_suit_its_column_is_pointed_at(text: str, marked: str, said: str) -> None:
    with pytest.raises(FilterError) as refused:
        check(read_tree(text), ITEMS.table)
    position = len(marked) - len(marked.lstrip())
    assert (refused.value.position, refused.value.length) == (position, marked.count("^"))
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"character {position + 1}: ")


@pytest.mark.parametrize(
    "text",
    [
        "price = 1 and year < 2.5 and title >= 'a' and id in ('a', 'b')",
        "category = 'a' or category in ('a') or exists(category) or exists(title)",
        "available and available = false and available in (true, false)",
        "released < '2024-05-01' and released in ('2024-05-01T12:00:00+02:00')",
        "title contains ''",
    ],
)
def test_conditions_that_suit_their_columns_pass(text: str) -> None:
    check(read_tree(text), ITEMS.table)
