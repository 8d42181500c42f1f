"""Cursors: signed, of one query, for an hour, and small enough for a URL."""

import uuid
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.api.transport.protocol import MAX_URL_BYTES
from server.core.errors import Problem
from server.query.cursor import MAX_SHOWN, MAX_URL_CURSOR, CursorCodec, Page
from server.query.types import Query

NOW = {0: 1_700_000_000.0}
SECRET = "a secret of sixteen"
OLD, OLDER = "0123456789abcdef", "fedcba9876543210"
CURSORS = CursorCodec((SECRET,), clock=lambda: NOW[0])
QUERY = Query(request_id="first", kind="search", text="tent", k=3, candidates=["b", "a"])


def cursor_of(query: Query = QUERY, ids: tuple[str, ...] = ("1", "2", "3"), page: Page | None = None) -> str:
    cursor = CURSORS.next_cursor(query, page or CURSORS.decode(query), ids)
    assert cursor is not None
    return cursor


def codec(*signed_with: str) -> CursorCodec:
    return CursorCodec(signed_with, clock=lambda: NOW[0])


def refusal(cursors: CursorCodec, query: Query) -> str:
    with pytest.raises(Problem) as caught:
        cursors.decode(query)
    assert caught.value.kind.status == 422
    return caught.value.kind.code


def test_a_cursor_remembers_what_was_shown_and_the_first_request() -> None:
    second = replace(QUERY, request_id="second", cursor=cursor_of())
    page = CURSORS.decode(second)
    assert page == Page(("1", "2", "3"), "first")
    third = replace(QUERY, request_id="third", cursor=cursor_of(second, ("κ/\n", "5", "6"), page))
    assert CURSORS.decode(third) == Page(("1", "2", "3", "κ/\n", "5", "6"), "first")


@given(ids=st.lists(st.text(min_size=1), min_size=3, max_size=50), thread=st.text(max_size=64))
def test_every_page_comes_back_as_it_went_out(ids: list[str], thread: str) -> None:
    page = Page(tuple(ids), thread)
    cursor = cursor_of(ids=("κ/\n", "2", "3"), page=page)
    assert CURSORS.decode(replace(QUERY, cursor=cursor)) == Page((*ids, "κ/\n", "2", "3"), thread)


def test_how_an_answer_is_given_may_change_between_pages() -> None:
    other = replace(QUERY, k=7, fields=["title"], explain=True, timeout_ms=5, candidates=["a", "b", "a"])
    assert CURSORS.decode(replace(other, cursor=cursor_of())).shown == ("1", "2", "3")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "recommend"},
        {"text": "Tent"},
        {"user": "ada"},
        {"session": "s"},
        {"history": (("x", None),)},
        {"exclude_seen": frozenset()},
        {"exclude_seen": frozenset({"purchase"})},
        {"exclude_seen": frozenset({"purchase", "cart"})},
        {"filter": "price < 3"},
        {"candidates": ["a"]},
        {"min_score": -3.0},
        {"correct": True},
    ],
)
def test_a_cursor_of_another_query_is_refused(change: dict[str, object]) -> None:
    assert refusal(CURSORS, replace(QUERY, cursor=cursor_of(), **change)) == "foreign_cursor"  # type: ignore[arg-type]


def test_a_cursor_is_good_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = replace(QUERY, cursor=cursor_of())
    monkeypatch.setitem(NOW, 0, NOW[0] + 3_600)
    assert CURSORS.decode(asked).shown
    monkeypatch.setitem(NOW, 0, NOW[0] + 1)
    assert refusal(CURSORS, asked) == "expired_cursor"


@pytest.mark.parametrize("ids", [("1", "2", "3"), ("long enough to be deflated " * 30, "2", "3")])
def test_a_cursor_with_one_bit_changed_is_refused(ids: tuple[str, ...]) -> None:
    """Anywhere: also in the spare bits that base64 has behind a signature."""
    cursor = cursor_of(ids=ids)
    for place in range(len(cursor)):
        for bit in range(7):
            damaged = cursor[:place] + chr(ord(cursor[place]) ^ 1 << bit) + cursor[place + 1 :]
            assert refusal(CURSORS, replace(QUERY, cursor=damaged)) == "invalid_cursor", (place, bit)


@given(place=st.integers(0, 400), letter=st.characters(), removed=st.integers(0, 3))
def test_a_cursor_with_characters_put_in_or_left_out_is_refused(place: int, letter: str, removed: int) -> None:
    cursor = cursor_of()
    place %= len(cursor) + 1
    damaged = cursor[:place] + letter + cursor[place + removed :]
    if damaged != cursor:
        assert refusal(CURSORS, replace(QUERY, cursor=damaged)) == "invalid_cursor"


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "====", "A" * 5, "A" * 40, "a b", "0" * 100_000, "...", "a.b.c", "\ud800.a.b"]
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    assert refusal(CURSORS, replace(QUERY, cursor=cursor)) == "invalid_cursor"


def test_servers_share_cursors_if_they_share_the_secret() -> None:
    asked = replace(QUERY, cursor=cursor_of())
    assert codec(SECRET).decode(asked).shown
    assert refusal(codec(OLD), asked) == "invalid_cursor"


def test_a_server_without_a_secret_takes_its_own_cursors_alone() -> None:
    one, other = CursorCodec(None), CursorCodec(None)
    cursor = one.next_cursor(QUERY, Page((), "first"), ("1", "2", "3"))
    asked = replace(QUERY, cursor=cursor)
    assert one.decode(asked).shown == ("1", "2", "3")
    assert refusal(other, asked) == refusal(CURSORS, asked) == "invalid_cursor"
    assert refusal(one, replace(QUERY, cursor=cursor_of())) == "invalid_cursor"


def test_old_cursors_go_on_while_their_secret_is_listed() -> None:
    asked = replace(QUERY, cursor=codec(OLD).next_cursor(QUERY, Page((), "first"), ("1", "2", "3")))
    for listed in ((SECRET, OLD), (SECRET, OLD, OLDER), (SECRET, OLDER, OLD), (OLD, SECRET)):
        assert codec(*listed).decode(asked) == Page(("1", "2", "3"), "first")
    for listed in ((SECRET,), (SECRET, OLDER)):
        assert refusal(codec(*listed), asked) == "invalid_cursor"


def test_the_first_secret_of_the_list_signs() -> None:
    """So the last one may be taken away an hour after another was put before it."""
    asked = replace(QUERY, cursor=codec(SECRET, OLD).next_cursor(QUERY, Page((), "first"), ("1", "2", "3")))
    assert codec(SECRET).decode(asked).shown
    assert refusal(codec(OLD), asked) == "invalid_cursor"


@pytest.mark.parametrize("listed", [(), ("",), (SECRET, ""), ("", SECRET), ("x",), "a secret of sixteen"])
def test_what_is_no_secret_signs_nothing(listed: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="at least one secret of 16 characters"):
        CursorCodec(listed)


def test_pages_end_where_fewer_came_back_and_after_a_thousand_items() -> None:
    assert CURSORS.next_cursor(QUERY, Page((), "r"), ("1", "2")) is None
    before = Page(tuple(map(str, range(MAX_SHOWN - 4))), "r")
    assert CURSORS.next_cursor(QUERY, before, ("x", "y", "z")) is not None
    assert CURSORS.next_cursor(QUERY, Page((*before.shown, "w"), "r"), ("x", "y", "z")) is None


@pytest.mark.parametrize(
    ("make", "fewest"), [(lambda: str(uuid.uuid4()), 400), (lambda: f"SKU-{uuid.uuid4().int % 10**6}", 990)]
)
def test_a_cursor_fits_a_url(make, fewest: int) -> None:  # type: ignore[no-untyped-def]
    query, page = replace(QUERY, k=10, max_cursor=MAX_URL_CURSOR), Page((), "r" * 64)
    while (cursor := CURSORS.next_cursor(query, page, [make() for _ in range(10)])) is not None:
        assert len(cursor) <= MAX_URL_CURSOR < MAX_URL_BYTES - 4_000
        page = CURSORS.decode(replace(query, cursor=cursor))
    assert len(page.shown) >= fewest


def test_a_body_may_hold_longer_ones() -> None:
    page = Page(tuple(str(uuid.uuid4()) for _ in range(980)), "r")
    cursor = cursor_of(QUERY, tuple(str(uuid.uuid4()) for _ in range(3)), page)
    assert len(CURSORS.decode(replace(QUERY, cursor=cursor)).shown) == 983
