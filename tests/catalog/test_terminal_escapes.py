import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.terminal_escapes import printable


@given(st.text())
def test_every_line_is_printable_and_no_line_is_added(message: str) -> None:
    shown = printable(message)
    assert all(line.isprintable() for line in shown.split("\n"))
    assert shown.count("\n") == message.count("\n")
    shown.encode()  # lone surrogates could not be


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("item 'zelt-größe' 帐篷", "item 'zelt-größe' 帐篷"),
        ("two\nlines", "two\nlines"),
        ("\x1b[2J\r\x00", "\\x1b[2J\\r\\x00"),
        ("\u202egnp.exe", "\\u202egnp.exe"),
        ("a\u200bb\u2028c\ud800", "a\\u200bb\\u2028c\\ud800"),
        (ValueError("\x07"), "\\x07"),
    ],
)
def test_what_could_change_a_terminal_is_written_as_an_escape(message: object, shown: str) -> None:
    assert printable(message) == shown
