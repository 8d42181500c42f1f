"""Numbers of a column's type against quantities that it may not be able to hold."""

import math
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from catalog.filters.comparison import compare, is_among
from tests.catalog.filters.expressions import OPERATORS

COMPARE: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}

EDGES = [0, 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1, 2**64, 2**1024, 10**400]
quantities = st.one_of(
    st.sampled_from(
        [Fraction(sign * (2 * edge + part), 2) for edge in EDGES for part in (-1, 0, 1) for sign in (-1, 1)]
    ),
    st.floats(allow_nan=False, allow_infinity=False).map(Fraction),
    st.fractions(-3, 3),
)
integers = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 2**53 + 1, 2**63 - 1, -(2**63)])
doubles = st.floats(allow_nan=False) | st.sampled_from([-0.0, 2.0**53, 2.0**53 + 2, 2.0**63])
columns = st.one_of(
    st.lists(st.none() | integers).map(lambda values: pa.chunked_array([values], pa.int64())),
    st.lists(st.none() | doubles).map(lambda values: pa.chunked_array([values], pa.float64())),
)


@st.composite
def near(draw: st.DrawFn, values: pa.ChunkedArray) -> Fraction:
    """A quantity that is a value of the column, or lies between one and its neighbour, or anywhere."""
    finite = [value for value in values.to_pylist() if value is not None and not math.isinf(value)]
    if not finite or draw(st.booleans()):
        return draw(quantities)
    chosen = draw(st.sampled_from(finite))
    step = Fraction(math.ulp(chosen)) if isinstance(chosen, float) else Fraction(1)
    return Fraction(chosen) + draw(st.sampled_from([-1, 0, 1])) * step / 3


@given(columns, st.data())
def test_comparisons_are_exact(values: pa.ChunkedArray, data: st.DataObject) -> None:
    quantity = data.draw(near(values))
    for sign in OPERATORS:
        expected = [value is not None and COMPARE[sign](value, quantity) for value in values.to_pylist()]
        assert compare(values, sign, quantity).tolist() == expected, sign


@given(columns, st.data())
def test_membership_is_equality_with_one_of_the_quantities(values: pa.ChunkedArray, data: st.DataObject) -> None:
    among = data.draw(st.lists(near(values)))
    assert is_among(values, among).tolist() == [value in among for value in values.to_pylist()]


def test_neighbours_of_a_quantity_that_no_double_is() -> None:
    values = pa.chunked_array([[2.0**53, 2.0**53 + 2, None, float("nan"), float("inf")]])
    between = Fraction(2**53 + 1)
    assert compare(values, "<", between).tolist() == [True, False, False, False, False]
    assert compare(values, "<=", between).tolist() == [True, False, False, False, False]
    assert compare(values, ">", between).tolist() == [False, True, False, False, True]
    assert compare(values, ">=", between).tolist() == [False, True, False, False, True]
    assert not compare(values, "=", between).any()
