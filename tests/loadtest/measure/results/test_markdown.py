"""Tables between marks, and what stands there until they are measured."""

import pytest

from loadtest.measure.results.markdown import names_in, rendered

TEXT = """before
<!-- results: a -->
old
<!-- /results -->
between
<!-- until: b.json -->
not yet
<!-- /until -->

after
"""


def test_what_stands_between_the_marks_is_written_and_nothing_else() -> None:
    now = rendered(TEXT, lambda name: f"table {name}", lambda file: False)
    assert now == TEXT.replace("old", "\ntable a\n")
    assert rendered(now, lambda name: f"table {name}", lambda file: False) == now
    assert names_in(now) == ["a"]


def test_what_stands_until_a_file_is_there_leaves_with_it() -> None:
    now = rendered(TEXT, lambda name: "table", lambda file: file == "b.json")
    assert now.endswith("between\nafter\n")


@pytest.mark.parametrize(
    "text",
    [
        "<!-- results: a -->\n| 1 |\n",
        "| 1 |\n<!-- /results -->\n",
        "<!-- until: a.json -->\n",
        "<!-- results: two words -->\n<!-- /results -->",
    ],
)
def test_a_mark_without_its_other_end_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="other end"):
        rendered(text, str, bool)
