"""The canonical text: one for all spellings, and read as the tree it was written from."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.filters.ast import Expression
from catalog.filters.parser import read_tree
from catalog.filters.unparse import write, write_name, write_value
from tests.catalog.filters.expressions import spell, trees


@given(trees)
def test_a_tree_that_is_written_and_read_is_the_same_tree(tree: Expression) -> None:
    again = read_tree(write(tree))
    assert repr(again) == repr(tree)  # tells 1 from true, as == does not


@given(trees, st.randoms(use_true_random=False))
def test_all_spellings_of_a_tree_have_one_canonical_text(tree: Expression, random: Random) -> None:
    assert write(read_tree(spell(tree, random))) == write(tree)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("a=1", "a = 1"),
        ("a == 'x'", 'a = "x"'),
        ("NOT a AND (b)", "not a and b"),
        ("not (a and b)", "not (a and b)"),
        ("(a and b) or c", "a and b or c"),
        ("a and (b or c)", "a and (b or c)"),
        ("a and (b and c)", "a and (b and c)"),
        ("not a = 1", "a != 1"),
        ("not (a in (1))", "a not in (1)"),
        ("not a contains 'x'", 'a not contains "x"'),
        ("not a < 1", "not a < 1"),
        ("not not a = 1", "not a != 1"),
        ("EXISTS ( `a` )", "exists(a)"),
        ("`a b` = TRUE", "`a b` = true"),
        ("`And`", "`And`"),
        (r"""a = '"\'\\\n' """, r'''a = "\"'\\\n"'''),
        ("a in (1.0, -0.0, 1e3, 0.50, 007, 1e300)", "a in (1, 0, 1000, 0.5, 7, 1e+300)"),
        ("a = 9007199254740993", "a = 9007199254740993"),
    ],
)
def test_canonical_texts(text: str, canonical: str) -> None:
    assert write(read_tree(text)) == canonical


def test_names_and_values_as_they_must_be_written() -> None:
    assert [write_name(name) for name in ("a.b_1", "1a", "a-b", "in", "a`b", "é")] == [
        "a.b_1",
        "`1a`",
        "`a-b`",
        "`in`",
        "`a``b`",
        "`é`",
    ]
    assert [write_value(content) for content in ("é", True, 3, -0.25)] == ['"é"', "true", "3", "-0.25"]
