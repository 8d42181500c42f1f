"""The table of docs/data.md says what becomes of every Arrow type."""

from tests.support.arrow_types import DOCUMENT, with_table


def test_the_table_of_column_types_is_what_the_code_does() -> None:
    document = DOCUMENT.read_text(encoding="utf-8")
    assert document == with_table(document), "`python -m tests.support.arrow_types` writes it"
