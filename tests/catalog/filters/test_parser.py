"""What is no filter, where the mistake begins, and what is said about it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.errors import FilterError
from catalog.filters.ast import And, Comparison, Not, Or, Truth
from catalog.filters.parser import MAX_CONDITIONS, MAX_DEPTH, MAX_LIST, MAX_SCANS, read_tree


def refusal(text: str) -> FilterError:
    with pytest.raises(FilterError) as refused:
        read_tree(text)
    return refused.value


# Each text is followed by a line that marks the characters that the error points at.
BAD = [
    ("", "", "the filter is empty: write a condition, as in price < 200"),
    ("   ", "   ", "the filter is empty"),
    ("a = ", "    ", "expected a value, found the end"),
    ("a = 1 and", "         ", "expected a column name, found the end"),
    ("not", "   ", "expected a column name, found the end"),
    ("a = tents", "    ^^^^^", 'expected a value, found tents: put text in quotes: "tents"'),
    ("a = t-shirts", "    ^^^^^^^^", 'put text in quotes: "t-shirts"'),
    ("a = In", "    ^^", 'put text in quotes: "in"'),
    ("a = null", "    ^^^^", "ask whether a value is missing by not exists(…)"),
    ("a = `b`", "    ^^^", "a column is compared with a value, not with a column"),
    ("a = = 1", "    ^", "expected a value, found ="),
    ("a && b", "  ^^", "&& has no meaning here: write and"),
    ("a & b", "  ^", "& has no meaning here: write and"),
    ("a || b", "  ^^", "|| has no meaning here: write or"),
    ("!a", "^", "! has no meaning here: write not"),
    ("a =< 1", "  ^^", "=< has no meaning here: write <="),
    ("a => 1", "  ^^", "=> has no meaning here: write >="),
    ("a <> 1", "  ^^", "<> has no meaning here: write !="),
    ("a ≤ 1", "  ^", "≤ has no meaning here: write <="),
    ("a: 1", " ^", ": has no meaning here: write ="),
    ("a = “x”", "    ^", '“ has no meaning here: write a straight quote: "'),
    ("a = ‘x’", "    ^", "‘ has no meaning here: write a straight quote: '"),
    ("a in [1]", "     ^", "[ has no meaning here: write ("),
    ("a = $5", "    ^", "$ has no meaning here: put texts in quotes"),
    ("a = \x07", "    ^", "U+0007 has no meaning here"),
    ("a = 'x", "    ^", "this ' is never closed: add ' where the text ends"),
    ('a = "x\\"', "    ^", 'this " is never closed'),
    ('a = "x\\', "      ^", "\\ is no escape"),
    ('a = "x\\q"', "      ^^", "\\q is no escape: those are \\\\, \\\", \\', \\n, \\r, \\t"),
    ("a and `b", "      ^", "this ` is never closed: add ` where the column name ends"),
    ("a and `b``", "      ^", "this ` is never closed"),
    ("`` = 1", "^^", "a column name is missing between the backquotes"),
    ("größe = 1", "^^^^^", "put the column name in backquotes: `größe`"),
    ("item-id = 1", "^^^^^^^", "put the column name in backquotes: `item-id`"),
    (
        "a > 2024-05-01",
        "    ^^^^^^^^^^",
        "2024-05-01 is not a number: write numbers as in 12, -0.5 or 1e6, and put dates",
    ),
    ("a = 12px", "    ^^^^", "12px is not a number"),
    ("a = 1.2.3", "    ^^^^^", "1.2.3 is not a number"),
    ("a = .5", "    ^^", ".5 is not a number"),
    ("a = +5", "    ^^", "+5 is not a number"),
    ("a = ٣", "    ^", "٣ is not a number"),
    ("a = 1e999", "    ^^^^^", "1e999 is beyond all numbers"),
    ("a = - 5", "    ^", "- has no meaning here"),
    ("200 > a", "^^^", "a condition begins with its column, as in price < 200"),
    ('"a" = 1', "^^^", "a condition begins with its column"),
    ("true", "^^^^", "a condition begins with its column"),
    ("in (1)", "^^", "`in` in backquotes for the column of this name"),
    ("and b", "^^^", "expected a column name, found and"),
    ("()", " ^", "expected a column name, found )"),
    ("(a = 1", "      ", "expected and, or, or the ) that closes the ( at character 1, found the end"),
    ("b or ((a)", "         ", "the ) that closes the ( at character 6, found the end"),
    ("(a = 1 b", "       ^", "expected and, or, or the ) that closes the ( at character 1, found b"),
    ("a)", " ^", "this ) closes nothing: remove it, or add the ( that it closes"),
    ("(a)) or b", "   ^", "this ) closes nothing"),
    ("a = 1 b", "      ^", "expected and, or, or the end, found b"),
    ("(a) (b)", "    ^", "expected and, or, or the end, found ("),
    ("a b", "  ^", "expected =, !=, <, <=, >, >=, in or contains after the column, found b"),
    ("a 5", "  ^", "contains after the column, found 5"),
    ("a like 'x'", "  ^^^^", "like cannot stand after a column: write contains"),
    ("a is null", "  ^^", "write =, or exists(a) to ask whether a value is there"),
    ("a BETWEEN 1 and 2", "  ^^^^^^^", "write two comparisons, by >= and <="),
    ("`x y` exists", "      ^^^^^^", "exists cannot stand after a column: write exists(`x y`)"),
    ("exists a", "       ^", "expected a ( and the column, found a"),
    ("exists(a", "        ", "expected the ) that closes the ( at character 7, found the end"),
    ("exists(1)", "       ^", "expected a column name, found 1"),
    ("a in 1", "     ^", "expected a ( and the list of values, found 1"),
    ("a in ()", "      ^", "expected a value, found )"),
    ("a in (1,)", "        ^", "expected a value, found )"),
    ("a in (1 2)", "        ^", "expected a comma or the ) that closes the ( at character 6, found 2"),
    ("a in (1", "       ", "expected a comma or the ) that closes the ( at character 6, found the end"),
    ("a not = 1", "      ^", "expected in or contains after not, found ="),
    ("a contains 5", "           ^", 'contains looks for text: put 5 in quotes: "5"'),
    ("a contains", "          ", "expected a value, found the end"),
]


@pytest.mark.parametrize(("text", "marked", "said"), BAD, ids=[text for text, _, _ in BAD])
def test_a_mistake_is_pointed_at_and_explained(text: str, marked: str, said: str) -> None:
    error = refusal(text)
    position = len(marked) - len(marked.lstrip()) if "^" in marked else len(text)
    assert (error.position, error.length) == (position, marked.count("^"))
    assert said in str(error)
    assert str(error).startswith(f"character {position + 1}: ")


def test_a_long_word_is_not_repeated_whole() -> None:
    assert len(str(refusal(f"a = {'x' * 4000}"))) < 200


def test_the_first_of_two_mistakes_is_the_one_that_is_told() -> None:
    assert refusal("a = b && c").position == 4


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a or b and c", "a or (b and c)"),
        ("not a and b", "(not a) and b"),
        ("not a = 1 or b", "(not (a = 1)) or b"),
        ("a in (1) and b", "(a in (1)) and b"),
        ("a<-3", "a < -3"),
        ('a="x"and b', 'a = "x" and b'),
        ("a='it\\'s'", 'a="it\'s"'),
    ],
)
def test_what_binds_tighter(text: str, tree: str) -> None:
    assert read_tree(text) == read_tree(tree)


def test_the_tree_of_a_filter() -> None:
    match read_tree('a != "x" and b or c'):
        case Or((And((Not(Comparison(a, "=", x)), Truth(b))), Truth(c))):
            assert (a.name, x.value, b.name, c.name) == ("a", "x", "b", "c")
            assert (a.span.position, x.span.position, x.span.length, c.span.position) == (0, 5, 3, 18)
        case other:
            pytest.fail(repr(other))


NESTS = [("(", ")"), ("not ", ""), ("NOT(", ")")]


@pytest.mark.parametrize(("opening", "closing"), NESTS)
def test_nesting_has_a_limit(opening: str, closing: str) -> None:
    levels = len(re.findall(r"not|\(", opening.lower()))
    most = MAX_DEPTH // levels
    read_tree(opening * most + "a" + closing * most)
    error = refusal(opening * (most + 1) + "a" + closing * (most + 1))
    assert error.position == len(opening * most)
    assert f"more than {MAX_DEPTH} brackets and nots" in str(error)


def test_what_lies_side_by_side_is_not_nested() -> None:
    sides = ["(((not a)))", "not ((not a))"] * (MAX_CONDITIONS // 2)
    assert sum(side.count("(") for side in sides) > MAX_DEPTH
    read_tree(" and ".join(sides))


@pytest.mark.parametrize("text", ["(" * 4096, "not " * 1024, "(a or " * 600, "not(" * 1000, "a or " * 800 + "a"])
def test_long_texts_never_exhaust_the_stack(text: str) -> None:
    with pytest.raises(FilterError, match=r"brackets and nots|this is condition"):
        read_tree(text)


@pytest.mark.parametrize("between", [" and ", " or ", " and not "])
def test_conditions_have_a_limit(between: str) -> None:
    read_tree(between.join(["a < 1"] * MAX_CONDITIONS))
    error = refusal(between.join(["a < 1"] * (MAX_CONDITIONS + 1)))
    assert error.position == len(f"a < 1{between}") * MAX_CONDITIONS
    assert f"a filter has at most {MAX_CONDITIONS}" in str(error)


def test_contains_has_a_limit_of_its_own() -> None:
    scan = 'a not contains "x" or '
    read_tree(scan * MAX_SCANS + "a")
    error = refusal(scan * MAX_SCANS + "b contains 'y'")
    assert (error.position, error.length) == (len(scan) * MAX_SCANS + 2, len("contains"))
    assert f"a filter has at most {MAX_SCANS}" in str(error)


def test_lists_have_a_limit() -> None:
    read_tree(f"a in ({'1,' * (MAX_LIST - 1)}1)")
    error = refusal(f"a in ({'1,' * MAX_LIST}1)")
    assert error.position == len("a in (") + 2 * MAX_LIST
    assert "a list has at most 1,000 values" in str(error)


KEYWORDS = ["and", "or", "not", "in", "exists", "contains", "true", "false"]
SYMBOLS = ["(", ")", ",", "=", "==", "!=", "<", "<=", ">", ">=", "!", "&", "|", "-", "+", ".", "`", '"', "'", "\\", "$"]
OTHERS = [
    "a",
    "price",
    "`x`y",
    "``",
    '"x"',
    "'y'",
    "\n",
    "1",
    "-2.5",
    "1e5",
    "1e999",
    "2024-01-01",
    "“",
    "≤",
    "é",
    "\x00",
]
PIECES = [*KEYWORDS, *SYMBOLS, *OTHERS]


@given(
    st.lists(st.sampled_from([*PIECES, " "])).map("".join) | st.lists(st.sampled_from(PIECES)).map(" ".join) | st.text()
)
def test_any_text_is_a_filter_or_a_filter_error(text: str) -> None:
    try:
        read_tree(text)
    except FilterError as error:
        assert 0 <= error.position <= error.position + error.length <= len(text)  # noqa: PT017
