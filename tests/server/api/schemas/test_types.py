import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from server.api.schemas.types import MAX_QUERY_LENGTH, UNPRINTABLE, Identifier, clean_query

IDS = TypeAdapter(Identifier)
any_text = st.text(st.characters(codec=None, categories=None), max_size=60)  # lone surrogates included


@given(any_text)
def test_a_query_is_one_printable_line_or_refused(text: str) -> None:
    try:
        query = clean_query(text)
    except PydanticCustomError:
        return
    assert query == query.strip()
    assert query
    assert not UNPRINTABLE.search(query)
    query.encode()  # can be written as UTF-8
    assert clean_query(query) == query


@pytest.mark.parametrize(
    ("typed", "cleaned"),
    [
        ("  two  person\ttent ", "two person tent"),
        ("tent\x00\x1b[31m", "tent [31m"),
        ("lone \ud800 half", "lone half"),
        ("Zelt für Zwei", "Zelt für Zwei"),
        ("帐篷\u2028帐篷", "帐篷 帐篷"),
    ],
)
def test_what_becomes_of_a_query(typed: str, cleaned: str) -> None:
    assert clean_query(typed) == cleaned


def test_the_longest_query() -> None:
    assert clean_query("x" * MAX_QUERY_LENGTH)
    with pytest.raises(PydanticCustomError, match="over 1000 characters"):
        clean_query("x" * (MAX_QUERY_LENGTH + 1))


@given(any_text)
def test_an_id_is_kept_as_it_is_or_refused(text: str) -> None:
    try:
        name = IDS.validate_python(text)
    except ValidationError:
        return
    assert name == text
    assert name.encode()


@pytest.mark.parametrize("name", ["a/b", "a:b", "{a}", "*", "Ω", "🏕", "a b", "%41", "x" * 256, "مرحبا"])
def test_ids_of_any_script(name: str) -> None:
    assert IDS.validate_python(name) == name


@pytest.mark.parametrize("name", ["", " ", "\u3000", "a\nb", "a\x00", "\x7f", "\ud800", "a\ufffd", "x" * 257])
def test_what_is_no_id(name: str) -> None:
    with pytest.raises(ValidationError):
        IDS.validate_python(name)
