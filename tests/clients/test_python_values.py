"""The Python client takes what programs hold, numpy's values, sets and decimals too, and raises nothing but its own."""

import dataclasses
import datetime
import math
import uuid
from collections import ChainMap, UserDict, UserString, deque
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from functools import partial
from types import MappingProxyType
from typing import Any, NamedTuple

import httpx
import numpy as np
import pytest

from gemserve_client import (
    AsyncClient,
    Client,
    Event,
    GemserveError,
    InvalidArgument,
    Recommend,
    Retries,
    Search,
    Seen,
    Similar,
)
from gemserve_client.values.plain import plain, plain_id, plain_record, plain_time
from tests.clients.mock_server import ANSWER, mock_server
from tests.clients.test_python_client import sent

NAME = uuid.UUID("12345678123456781234567812345678")
CHANGE = {"request_id": "r", "inserted": [], "replaced": [], "deleted": [], "missing": [], "catalog_version": 1}
NOON = datetime.datetime(2025, 11, 20, 12, tzinfo=datetime.UTC)
NOON_MS = 1_763_640_000_000


class NAType:
    """As pandas' mark of what is missing: comparing it gives itself, which is neither true nor false."""

    def __eq__(self, other: object) -> Any:
        return self

    __ne__ = __eq__
    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError("boolean value of NA is ambiguous")


class NaTType(datetime.datetime):
    """As pandas' missing time, which is a datetime that equals nothing."""

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


class Hostile:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")

    def tolist(self) -> list[int]:
        raise RuntimeError("no list")


class Colour(Enum):
    RED = "red"


def receipt(*indexes: int) -> dict[str, Any]:
    rows = [{"index": i, "event_id": f"e{i}", "duplicate": False, "known": True} for i in indexes]
    return {"request_id": "r", "accepted": rows, "rejected": []}


IDS = [
    (np.int64(7), 7),
    (np.uint8(7), 7),
    (np.float64(7.0), 7),
    (np.float32(7.0), 7),
    (7.0, 7),
    (Decimal("7"), 7),
    (Decimal("7.0"), 7),
    (Fraction(7), 7),
    (np.array(7), 7),
    (np.str_("007"), "007"),
    (NAME, str(NAME)),
    (Colour.RED, "red"),
    (2**63 + 1, str(2**63 + 1)),
    (np.uint64(2**63 + 1), str(2**63 + 1)),
    (-(2**70), str(-(2**70))),
]
NO_IDS = [
    *(True, np.True_, 1.5, Decimal("1.5"), math.nan, math.inf, np.nan, Decimal("NaN"), Decimal("Infinity"), 1e20, 1j),
    *("half \ud800", b"bytes", ["a"], {"a"}, {"id": 1}, np.array([7]), NOON, NOON.date(), np.datetime64("2025-01-01")),
    *(np.timedelta64(1, "s"), object(), Hostile(), NAType(), NaTType(2025, 1, 1), (i for i in "a"), None, int),
]


@pytest.mark.parametrize(("given", "expected"), IDS, ids=repr)
def test_ids_of_any_type_go_everywhere(given: Any, expected: Any) -> None:
    server = mock_server(ANSWER)
    history = [given, Seen(given, "tent")]
    server.client().recommend(user=given, session=given, candidates=[given], history=history)
    visits = [expected, {"item_id": expected, "query": "tent"}]
    assert sent(server) == {"user": expected, "session": expected, "candidates": [expected], "history": visits}
    server.client().similar(given)
    assert server.requests[1].url.path.endswith(f"/items/{expected}/similar")
    server = mock_server(receipt(0))
    server.client().send_events([Event(user_id=given, item_id=given, type="view", event_id=given)])
    assert sent(server)[0] == {"user_id": expected, "item_id": expected, "type": "view", "event_id": expected}


@pytest.mark.parametrize("given", NO_IDS, ids=lambda value: type(value).__name__)
def test_what_is_no_id_is_named(given: Any) -> None:
    client = mock_server(ANSWER).client()
    calls = {
        "item_id": lambda: client.item(given),
        "item": lambda: client.similar(given),
        "session": lambda: client.merge("ann", given),
        "candidates[0]": lambda: client.search("tent", candidates=[given]),
        "history[1]": lambda: client.recommend(history=["a", given]),
    }
    if given is not None:
        calls["user"] = lambda: client.recommend(user=given)
    for name, call in calls.items():
        with pytest.raises(InvalidArgument) as raised:
            call()
        assert str(raised.value).startswith(f"{name} "), raised.value


LISTS = [
    ["a", "b"],
    ("a", "b"),
    {"a": 1, "b": 2}.keys(),
    deque(["a", "b"]),
    np.array(["a", "b"]),
    np.array(["a", "b"], object),
]


@pytest.mark.parametrize("given", LISTS, ids=lambda value: type(value).__name__)
def test_lists_of_any_type_are_lists(given: Any) -> None:
    server = mock_server(ANSWER)
    server.client().search("tent", candidates=given, fields=given)
    assert sent(server) == {"q": "tent", "candidates": ["a", "b"], "fields": ["a", "b"]}


@pytest.mark.parametrize("given", [{"a", "b"}, frozenset({"a", "b"})])
def test_a_set_is_a_list_where_order_means_nothing(given: Any) -> None:
    server = mock_server(ANSWER)
    server.client().search("tent", candidates=given, fields=given)
    assert sorted(sent(server)["candidates"]) == sorted(sent(server)["fields"]) == ["a", "b"]
    with pytest.raises(InvalidArgument, match=r"^history is a set, whose elements have no order: give a list"):
        server.client().recommend(history=given)


def test_a_generator_lasts_for_every_page() -> None:
    server = mock_server(ANSWER | {"next_cursor": "c1"}, ANSWER)
    question = Search("tent", candidates=(name for name in "ab"), fields=iter(["price"]))
    assert len(list(server.client().pages(question))) == 2
    assert [sent(server, i)["candidates"] for i in (0, 1)] == [["a", "b"]] * 2
    assert [sent(server, i)["fields"] for i in (0, 1)] == [["price"]] * 2


def test_an_endless_generator_is_refused() -> None:
    with pytest.raises(InvalidArgument, match=r"^candidates has over 1,000,000 elements"):
        Search("tent", candidates=iter(int, 1))


@pytest.mark.parametrize("given", [7, object(), {"a": 1}, b"ab", 1.5])
def test_what_is_no_list_is_named(given: Any) -> None:
    for name in ("candidates", "history"):
        with pytest.raises(InvalidArgument, match=f"^{name} is no list, "):
            mock_server(ANSWER).client().recommend(user="ann", **{name: given})


@pytest.mark.parametrize(
    ("name", "given", "expected"),
    [
        ("k", np.int32(3), 3),
        ("k", 10.0, 10.0),
        ("timeout_ms", Decimal("500"), 500),
        ("min_score", Decimal("-1.5"), -1.5),
        ("min_score", np.float32(-0.5), -0.5),
        ("explain", np.True_, True),
        ("filter", np.str_("price < 3"), "price < 3"),
    ],
)
def test_numbers_and_texts_of_any_type_are_sent(name: str, given: Any, expected: Any) -> None:
    server = mock_server(ANSWER)
    server.client().search("tent", **{name: given})
    assert sent(server) == {"q": "tent", name: expected}
    server.client().similar("a", **{name: given})
    list_of = dict(server.requests[1].url.params)
    assert list_of == {name: str(expected).lower() if isinstance(expected, bool) else str(expected)}


@pytest.mark.parametrize(
    "given", [math.nan, -math.inf, np.nan, Decimal("sNaN"), NAType(), "\udfff", 1j, b"x", Hostile()]
)
def test_what_json_has_no_word_for_is_named(given: Any) -> None:
    client = mock_server(ANSWER, CHANGE).client()
    for name in ("k", "min_score", "filter", "cursor"):
        with pytest.raises(InvalidArgument, match=f"^{name} "):
            client.search("tent", **{name: given})
        with pytest.raises(InvalidArgument, match=f"^{name} "):
            client.similar("a", **{name: given})
    with pytest.raises(InvalidArgument, match=r"^q "):
        client.search(given)
    with pytest.raises(InvalidArgument, match=r"^record\.price "):
        client.put_item("a", {"price": given})
    with pytest.raises(InvalidArgument, match=r"^records\[1\]\.tags\[0\] "):
        client.put_items([{"id": "a"}, {"id": "b", "tags": [given]}])
    with pytest.raises(InvalidArgument, match=r"^limit "):
        client.history("ann", limit=given)
    with pytest.raises(InvalidArgument, match=r"^weights\.m1 "):
        client.set_traffic({"m1": given})
    with pytest.raises(InvalidArgument, match=r"^question 1: q "):
        list(client.batch([Search("tent"), Search(given)]))


def test_a_record_holds_values_of_any_type() -> None:
    server = mock_server(CHANGE)
    record = {
        "title": np.str_("Tent"),
        "price": Decimal("79.90"),
        "stock": np.int64(3),
        "available": np.True_,
        "categories": np.array(["Tents", "Two"]),
        "tags": frozenset({"new"}),
        "released": datetime.date(2025, 11, 20),
        "changed": NOON,
        "measured": np.datetime64("2025-11-20T12:00:00"),
        "code": NAME,
        "nothing": None,
    }
    server.client().put_item(np.int64(7), record)
    assert server.requests[0].url.path.endswith("/items/7")
    assert sent(server) == {
        "title": "Tent",
        "price": 79.9,
        "stock": 3,
        "available": True,
        "categories": ["Tents", "Two"],
        "tags": ["new"],
        "released": "2025-11-20",
        "changed": "2025-11-20T12:00:00+00:00",
        "measured": "2025-11-20T12:00:00",
        "code": str(NAME),
        "nothing": None,
    }
    with pytest.raises(InvalidArgument, match=r"^record has the name int 1: names are text"):
        server.client().put_item("a", {1: "x"})  # type: ignore[dict-item]
    for nothing in (None, 7, "text", [1]):
        with pytest.raises(InvalidArgument, match=r"^changes "):
            server.client().patch_item("a", nothing)  # type: ignore[arg-type]


@dataclasses.dataclass
class Tent:
    title: str
    price: np.float32


class Rope(NamedTuple):
    title: str = "Tent"
    price: float = 79.9


class Row:
    """As rows of sqlite3 and pandas are."""

    def keys(self) -> list[str]:
        return ["title", "price"]

    def __getitem__(self, name: str) -> object:
        return {"title": UserString("Tent"), "price": Decimal("79.9")}[name]


PAIRS = [("title", "Tent"), ("price", 79.9)]


@pytest.mark.parametrize(
    "record",
    [
        Tent("Tent", np.float32(79.9)),
        Rope(),
        Row(),
        UserDict(PAIRS),
        ChainMap(dict(PAIRS)),
        MappingProxyType(dict(PAIRS)),
        PAIRS,
    ],
)
def test_whatever_has_named_members_is_a_record(record: Any) -> None:
    server = mock_server(CHANGE)
    server.client().put_item("a", record)
    assert sent(server) == {"title": "Tent", "price": 79.9}


@pytest.mark.parametrize("nothing", ["", [], (), set(), iter([]), np.array([]), np.void(b"x"), Tent, b""])
def test_what_is_empty_clears_no_item(nothing: Any) -> None:
    client = mock_server(CHANGE).client()
    with pytest.raises(InvalidArgument, match=r"^record "):
        client.put_item("a", nothing)
    assert plain_record({}, "record") == plain_record(UserDict(), "record") == {}


@pytest.mark.parametrize("kind", [np.float16, np.float32])
def test_short_floats_keep_their_digits(kind: Any) -> None:
    assert plain(kind(0.1), "x") == 0.1
    assert plain(np.array([0.1, 2.5], kind), "x") == [0.1, 2.5]
    assert plain([np.array([[0.1], [0.2]], kind)], "x") == [[[0.1], [0.2]]]
    assert plain_id(kind(7), "x") == 7
    with pytest.raises(InvalidArgument, match=r"^x\[0\] "):
        plain(np.array([np.nan], kind), "x")


def test_times_of_numpy_are_never_read_as_numbers() -> None:
    times = np.array(["2025-11-20T12:00:00.000000001"], "datetime64[ns]")
    assert plain(times, "x") == ["2025-11-20T12:00:00.000000001"]
    for duration in (np.timedelta64(5, "ns"), np.array([5], "timedelta64[ns]"), datetime.timedelta(1)):
        with pytest.raises(InvalidArgument):
            plain(duration, "x")


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidArgument, match="has more than 32 lists and objects in each other"):
        plain(endless, "x")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NOON, NOON_MS),
        (NOON.astimezone(datetime.timezone(datetime.timedelta(hours=5))), NOON_MS),
        (np.int64(NOON_MS), NOON_MS),
        (float(NOON_MS), NOON_MS),
        (Decimal(NOON_MS), NOON_MS),
        ("2025-11-20T12:00:00Z", "2025-11-20T12:00:00Z"),
    ],
)
def test_the_time_of_an_event(given: Any, expected: Any) -> None:
    assert plain_time(given, "timestamp") == expected
    assert plain_id(7, "user") == 7


BAD_TIMES = [
    NOON.replace(tzinfo=None),
    NOON.date(),
    np.datetime64("2025-11-20"),
    np.datetime64("NaT"),
    NaTType(2025, 1, 1),
]
BAD_MEMBERS: list[dict[str, Any]] = [
    *({"timestamp": time} for time in BAD_TIMES),
    *({"timestamp": number} for number in (math.nan, math.inf, Decimal("NaN"))),
    *({"user_id": name} for name in NO_IDS if name is not None),
    *({"query": text} for text in (math.nan, "\ud800", b"x", NAType(), Hostile())),
    {"type": math.nan},
]


@pytest.mark.parametrize(
    "bad", BAD_MEMBERS, ids=lambda bad: f"{next(iter(bad))}={type(next(iter(bad.values()))).__name__}"
)
def test_an_event_that_cannot_be_sent_does_not_cost_the_others(bad: dict[str, Any]) -> None:
    server = mock_server(receipt(0, 1))
    event = {"user_id": "ann", "item_id": "A", "type": "view", "event_id": "e"}
    told = server.client().send_events([Event(**event), Event(**event | bad), Event(**event)])
    assert len(sent(server)) == 2
    assert [row.index for row in told.accepted] == [0, 2]
    (refused,) = told.rejected
    (name,) = bad
    assert (refused.index, refused.code, refused.field) == (1, "invalid_argument", name)
    assert refused.reason.startswith(f"event 1: {name} ")


def test_events_may_be_mappings_generators_and_one_alone() -> None:
    row = {"user_id": np.int64(7), "item_id": "A", "type": "view"}
    for events in (row, Event(**row), (Event(**row) for _ in range(1)), [row], {"e": row}.values(), np.array([row])):
        server = mock_server(receipt(0))
        assert len(server.client().send_events(events).accepted) == 1
        assert sent(server)[0]["user_id"] == 7


@pytest.mark.parametrize("bad", [None, 7, "text", {"user": 1}, {"user_id": 1}, {1: 2}, Search("x"), [Event]])
def test_what_is_no_event_does_not_cost_the_others(bad: Any) -> None:
    server = mock_server(receipt(0))
    told = server.client().send_events([bad, Event(user_id="ann", item_id="A", type="view")])
    assert [row.index for row in told.accepted] == [1]
    assert [(row.index, row.reason[:8]) for row in told.rejected] == [(0, "event 0:")]


@pytest.mark.parametrize("events", [None, 7, "text", b"x", object()])
def test_what_is_no_list_of_events_is_refused(events: Any) -> None:
    with pytest.raises(InvalidArgument, match=r"^events is no list"):
        mock_server(receipt()).client().send_events(events)


def test_nothing_is_sent_where_no_event_can_be() -> None:
    server = mock_server(receipt())
    told = server.client().send_events([Event(user_id=math.nan, item_id="A", type="view")] * 1_001)
    assert [row.index for row in told.rejected] == list(range(1_001))
    assert server.requests == []


async def test_the_client_that_awaits_does_the_same() -> None:
    server = mock_server(receipt(0))
    event = {"user_id": np.int64(7), "item_id": "A", "type": "view"}
    async with server.async_client() as client:
        told = await client.send_events([Event(**event, query="\ud800"), Event(**event)])
        assert ([row.index for row in told.accepted], [row.index for row in told.rejected]) == ([1], [0])
        with pytest.raises(InvalidArgument, match=r"^candidates\[0\] "):
            await client.search("x", candidates=[math.nan])


@pytest.mark.parametrize("question", [None, "tent", {"q": "tent"}, Similar(math.nan), Recommend(user=b"x")])
def test_a_question_of_a_batch_is_named(question: Any) -> None:
    with pytest.raises(GemserveError, match=r"^question 1: "):
        list(mock_server(ANSWER).client().batch([Search("x"), question]))


@pytest.mark.parametrize("url", ["http://[broken", "http://shop:port", None, 7, "http://sh\x00p"])
def test_an_address_that_is_none_is_refused(url: Any) -> None:
    with pytest.raises(GemserveError):
        Client(url).version()


@pytest.mark.parametrize("end", ["?key=1", "#top", "/?", "/a?b#c", "#"])
@pytest.mark.parametrize("kind", [Client, AsyncClient])
def test_an_address_with_more_than_a_path_is_refused(kind: type[Client | AsyncClient], end: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^the address has [?#] in it: give .* path alone"):
        kind(f"https://shop.example/gemserve{end}")


@pytest.mark.parametrize("address", ["https://shop.example/gemserve", "https://shop.example/gemserve/"])
def test_an_address_keeps_its_path(address: str) -> None:
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(503)

    client = Client(address, retries=Retries(attempts=1), transport=httpx.MockTransport(answer))
    for ask in (client.version, partial(client.item, "a/b"), partial(client.search, "tent")):
        with pytest.raises(GemserveError):
            ask()
    assert asked == [f"https://shop.example/gemserve/{path}" for path in ("version", "items/a%2Fb", "search")]


def test_a_request_id_that_no_header_can_hold_is_refused() -> None:
    client = Client("http://shop", request_id=lambda: "ä", transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    with pytest.raises(InvalidArgument, match="the request cannot be made"):
        client.version()
