"""Masks against a plain evaluation of the tree, row by row, by Python's own comparisons."""

import operator
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from catalog.filters.ast import (
    And,
    Column,
    Comparison,
    Condition,
    Containment,
    Existence,
    Expression,
    Membership,
    Not,
    Or,
    Truth,
)
from catalog.filters.evaluate import mask
from catalog.filters.filter import parse
from tests.catalog.filters.expressions import NOWHERE, OPERATORS, as_read, combined, value

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

Row = Mapping[str, Any]


def meets(row: Row, expression: Expression) -> bool:
    match expression:
        case And(terms):
            return all(meets(row, term) for term in terms)
        case Or(terms):
            return any(meets(row, term) for term in terms)
        case Not(term):
            return not meets(row, term)
        case _:
            content = row[expression.column.name]
            contents = content if isinstance(content, list) else [content]
            return any(passes(each, expression) for each in contents if not is_missing(each))


def is_missing(content: Any) -> bool:
    return content is None or content != content  # the second: NaN


def passes(content: Any, condition: Condition) -> bool:
    match condition:
        case Existence():
            return True
        case Truth():
            return content is True
        case Comparison(_, sign, literal):
            return COMPARE[sign](plain(content), literal_for(content, literal.value))
        case Membership(_, literals):
            return any(plain(content) == literal_for(content, literal.value) for literal in literals)
        case Containment(_, literal):
            return lowered(str(literal.value)) in lowered(content)


def plain(content: Any) -> Any:
    """Dates and times as aware datetimes, everything else as it is."""
    if isinstance(content, datetime):
        return content if content.tzinfo else content.replace(tzinfo=UTC)
    return datetime.combine(content, time(), UTC) if isinstance(content, date) else content


def literal_for(content: Any, literal: Any) -> Any:
    return plain(datetime.fromisoformat(literal)) if isinstance(content, date) else literal


def lowered(text: str) -> str:
    return "".join(letter.lower() for letter in text)


INTEGERS = [0, 1, -1, 3, 2**31, 2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63)]
FLOATS = [0.0, -0.0, 0.1, 0.5, 1.0, -1.5, 2.0**53, 2.0**63, 1e300, 5e-324, 1.7976931348623157e308]
INFINITE = [float("inf"), float("-inf"), float("nan")]
TEXTS = [
    "",
    "a",
    "A",
    "ab",
    "äÄ",
    "straße",
    "ΣΑΣ",
    "σ",
    "\U0001f600",
    "\uffff",
    'quo"te',
    "back\\",
    "two\nlines",
    "\x00",
]
MOMENTS = [
    "1969-12-31",
    "1970-01-01",
    "2024-02-29T12:00:00",
    "2024-02-29T12:00:00.000001Z",
    "2024-02-29 23:30:00-01:00",
    "0001-01-01",
    "9999-12-31T23:59:59.999999",
]
instants = st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1)) | st.just(datetime(2024, 2, 29, 12))

COLUMNS: Mapping[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "title": (pa.string(), st.sampled_from(TEXTS) | st.text("aAbBäÄΣσ", max_size=4)),
    "long": (pa.large_string(), st.sampled_from(TEXTS)),
    "seen": (pa.string_view(), st.sampled_from(TEXTS)),
    "tags": (pa.list_(pa.string()), st.lists(st.none() | st.sampled_from(TEXTS), max_size=3)),
    "count": (pa.int64(), st.sampled_from(INTEGERS) | st.integers(-5, 5)),
    "tiny": (pa.int8(), st.integers(-128, 127)),
    "huge": (pa.uint64(), st.sampled_from([0, 1, 2**53 + 1, 2**63, 2**64 - 1])),
    "ratio": (pa.float64(), st.sampled_from(FLOATS) | st.sampled_from(INFINITE) | st.floats(-2, 2)),
    "small": (pa.float32(), st.floats(width=32)),
    "half": (pa.float16(), st.floats(width=16).map(np.float16)),
    "flag": (pa.bool_(), st.booleans()),
    "any `name`": (pa.bool_(), st.booleans()),
    "day": (pa.date32(), instants.map(datetime.date)),
    "date": (pa.date64(), instants.map(datetime.date)),
    "at": (pa.timestamp("us"), instants),
    "zoned": (pa.timestamp("ms", "Asia/Kolkata"), instants.map(lambda at: at.replace(microsecond=0, tzinfo=UTC))),
    "whole": (pa.timestamp("s"), instants.map(lambda at: at.replace(microsecond=0))),
}

TEXT_VALUES = COLUMNS["title"][1]
NUMBER_VALUES = st.sampled_from([*INTEGERS, 2**64 - 1, 2**64, 10**400, -(10**400), 127, 128]) | st.sampled_from(
    [as_read(number) for number in FLOATS]
)
VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(("title", "long", "seen", "tags"), TEXT_VALUES),
    **dict.fromkeys(("count", "tiny", "huge", "ratio", "small", "half"), NUMBER_VALUES | st.floats(-2, 2).map(as_read)),
    **dict.fromkeys(("flag", "any `name`"), st.booleans()),
    **dict.fromkeys(
        ("day", "date", "at", "zoned", "whole"), st.sampled_from(MOMENTS) | instants.map(datetime.isoformat)
    ),
}
UNORDERED = {"tags", "flag", "any `name`"}


@st.composite
def suitable_conditions(draw: st.DrawFn) -> Condition:
    name = draw(st.sampled_from(list(COLUMNS)))
    column, literals = Column(name, NOWHERE), VALUES[name].map(value)
    kinds: list[st.SearchStrategy[Condition]] = [
        st.builds(Comparison, st.just(column), st.just("="), literals, st.just(NOWHERE)),
        st.builds(Membership, st.just(column), st.lists(literals, min_size=1, max_size=4).map(tuple)),
        st.builds(Existence, st.just(column)),
    ]
    if name not in UNORDERED:
        kinds.append(st.builds(Comparison, st.just(column), st.sampled_from(OPERATORS), literals, st.just(NOWHERE)))
    if name in {"title", "long", "seen"}:
        texts = st.text("aAbBäÄΣσß\x00\n", max_size=2).map(value)
        kinds.append(st.builds(Containment, st.just(column), texts, st.just(NOWHERE)))
    if name in {"flag", "any `name`"}:
        kinds.append(st.builds(Truth, st.just(column)))
    return draw(st.one_of(kinds))


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    rows = draw(st.integers(0, 6))
    table = pa.table(
        {
            "item_id": [f"item {row}" for row in range(rows)],
            **{
                name: pa.array(draw(st.lists(st.none() | contents, min_size=rows, max_size=rows)), kind)
                for name, (kind, contents) in COLUMNS.items()
            },
        }
    )
    begin, cut = sorted((draw(st.integers(0, rows)), draw(st.integers(0, rows))))
    return pa.concat_tables([table.slice(begin, cut - begin), table.slice(cut), table.slice(0, begin)])


@given(tables(), combined(suitable_conditions()))
def test_a_mask_is_what_a_plain_evaluation_says(table: pa.Table, expression: Expression) -> None:
    expected = [meets(row, expression) for row in table.to_pylist()]
    assert mask(expression, Items(table).table).tolist() == expected


@given(tables(), st.lists(suitable_conditions(), min_size=20, max_size=20))
def test_a_mask_of_one_condition_is_what_a_plain_evaluation_says(
    table: pa.Table, conditions: Sequence[Condition]
) -> None:
    rows = table.to_pylist()
    for condition in conditions:
        assert mask(condition, Items(table).table).tolist() == [meets(row, condition) for row in rows], condition


def numbered(**columns: Any) -> Items:
    rows = len(next(iter(columns.values())))
    return Items(pa.table({"item_id": [str(row) for row in range(rows)], **columns}))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("price < 10", [0]),
        ("not price < 10", [1, 2]),
        ("price != 5", [1, 2]),
        ("exists(price)", [0, 1]),
        ("category = 'Tents'", [0]),
        ("category != 'Tents'", [1, 2]),
        ("category not in ('Tents', 'Tarps')", [2]),
        ("exists(category)", [0, 1]),
        ("id in ('0', '2')", [0, 2]),
        ("title contains 'WREN'", [1]),
        ("title not contains 'wren'", [0, 2]),
        ("exists(rating)", [0]),
        ("not rating < 4", [0, 1, 2]),
        ("rating != 3", [0, 1, 2]),
        ("rating not in (4.5)", [1, 2]),
        ("available", [0]),
        ("not available", [1, 2]),
        ("available and price > 1 or id = '2'", [0, 2]),
    ],
)
def test_missing_values_meet_nothing_and_not_is_plain_negation(text: str, rows: list[int]) -> None:
    items = numbered(
        title=["Lagoon", "Norrvik Wren", None],
        price=[5.0, 20.0, None],
        rating=[4.5, float("nan"), None],
        categories=[["Camping", "Tents"], ["Tarps"], []],
        available=[True, False, None],
    )
    assert np.flatnonzero(parse(text).mask(items)).tolist() == rows


def test_lists_below_a_null_are_not_elements() -> None:
    offsets, below = pa.array([0, 1, 3, 4], pa.int32()), pa.array(["a", "b", "c", "d"])
    tags = pa.ListArray.from_arrays(offsets, below, mask=pa.array([False, True, False]))
    items = numbered(tags=tags)
    assert [parse(f"tags = '{tag}'").mask(items).tolist() for tag in "abd"] == [
        [True, False, False],
        [False, False, False],
        [False, False, True],
    ]


def test_nanoseconds_are_compared_exactly() -> None:
    items = numbered(at=pa.array([1_000_000_000, 1_000_000_001, 999_999_999], pa.timestamp("ns", "UTC")))
    assert parse('at = "1970-01-01T00:00:01Z"').mask(items).tolist() == [True, False, False]
    assert parse('at > "1970-01-01T00:00:01Z"').mask(items).tolist() == [False, True, False]
    assert parse('at < "2500-01-01"').mask(items).tolist() == [True, True, True]  # beyond what 64 bits can count
