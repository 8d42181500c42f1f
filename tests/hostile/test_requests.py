"""Requests that are HTTP and mean no good: whatever they hold, the answer is a proper one, and nothing is let out."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from server.api.schemas.json_text import MAX_DEPTH
from tests.hostile.conftest import Target
from tests.hostile.texts import IDS, QUERIES, ids, queries
from tests.support.problems import assert_problem
from tests.support.small_shop import NAMES

FEW = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def client(target: Target) -> httpx.Client:
    with httpx.Client(base_url=target.url, timeout=60) as client:
        yield client


def judge(response: httpx.Response) -> Any:
    """The parsed answer, which must be a proper one."""
    assert response.status_code < 500, response.text
    assert all(value.isascii() and value.isprintable() for value in response.headers.values())
    body = json.loads(response.content.decode("utf-8", "strict"))
    if response.status_code >= 400:
        assert_problem(response, response.status_code, body["code"])
        assert len(response.content) < 10_000
    else:
        assert response.headers["content-type"] == "application/json"
    return body


def judge_at(place: tuple[str, str], response: httpx.Response) -> None:
    """The same, where the answer to a batch or an import is a line for each of its own."""
    if place[1] in {"/batch", "/items/import"} and response.status_code == 200:
        assert all(json.loads(line).keys() >= {"index"} for line in response.text.splitlines())
    else:
        judge(response)


def path_of(text: str) -> str:
    return quote(text, safe="").replace(".", "%2E")


filters = st.builds(
    lambda column, test, text: f'{column} {test} "{text}"',
    st.sampled_from(["title", "id", "category", "price", "`title`", "nothing", "available"]),
    st.sampled_from(["=", "!=", "contains", "<", "in (", "not in ("]),
    queries,
)
names = st.sampled_from(["brand", "price", "categories", "title", "item_id", "available", "_relevance", "nothing", "*"])
optional = {
    "user": ids,
    "session": ids,
    "filter": filters,
    "k": st.integers(-1, 300),
    "fields": queries,
    "cursor": queries,
    "facets": names | queries,
    "max_facet_values": st.integers(-1, 120),
    "disjunctive_facets": st.sampled_from([True, False, "", "perhaps"]),
    "sort_by": st.builds("{}:{}".format, names, st.sampled_from(["asc", "desc", "", "up"])) | queries,
    "group_by": names | queries,
    "group_limit": st.integers(-1, 12),
    "max_per": st.builds("{}:{}".format, names, st.integers(-1, 300)) | queries,
    "diversity": st.floats(-0.5, 1.5) | queries,
    "pinned_hits": st.builds("{}:{}".format, st.sampled_from(NAMES) | ids, st.integers(-1, 1_100)) | queries,
    "hidden_hits": ids,
    "override_tags": queries,
    "exclude_seen": st.sampled_from(["true", "purchase,view", "impression", "*"]) | queries,
}
parameters = st.fixed_dictionaries({"q": queries}, optional=optional)


@FEW
@given(asked=parameters)
def test_questions_in_a_url(client: httpx.Client, asked: dict[str, Any]) -> None:
    answer = judge(client.get("/search", params=asked))
    for item in answer.get("items", []):
        assert item["id"] in NAMES


@FEW
@given(path=st.sampled_from(["/items", "/popular", "/recommend", "/suggest", "/analytics/queries"]), asked=parameters)
def test_other_questions_in_a_url(client: httpx.Client, path: str, asked: dict[str, Any]) -> None:
    """Which know some of these names: each is named that they do not."""
    judge(client.get(path, params={name: value for name, value in asked.items() if name != "q" or path == "/suggest"}))


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | queries
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(queries, inner, max_size=3), max_leaves=6
)
KEYS = [
    "q",
    "user",
    "k",
    "filter",
    "history",
    "candidates",
    "fields",
    "user_id",
    "item_id",
    "type",
    "timestamp",
    "query",
    "event_id",
    *optional,
    "rule",
    "includes",
    "excludes",
    "boost",
    "filter_by",
    "starts_at",
    "priority",
    "synonyms",
    "root",
    "columns",
    "items",
]
bodies = st.dictionaries(st.sampled_from([*KEYS, "id", "title", "price", "categories", "kind"]), values, max_size=6)
PLACES = [
    ("POST", "/search"), ("POST", "/recommend"), ("POST", "/events"), ("PUT", "/items/item-9"), ("POST", "/items"),
    ("PATCH", "/items/item-9"), ("POST", "/users/a/merge"), ("POST", "/batch"), ("PUT", "/admin/traffic"),
    ("PUT", "/overrides/a"), ("PUT", "/synonyms/a"), ("PATCH", "/schema"), ("POST", "/items/import"),
    ("POST", "/similar"),
]  # fmt: skip


@FEW
@given(place=st.sampled_from(PLACES), body=bodies | values)
def test_bodies_of_json(client: httpx.Client, place: tuple[str, str], body: Any) -> None:
    response = client.request(*place, json=body)
    judge_at(place, response)


@FEW
@given(
    place=st.sampled_from(PLACES),
    body=st.binary(max_size=60),
    kind=st.sampled_from(["application/json", "text/xml", ""]),
)
def test_bodies_of_anything(client: httpx.Client, place: tuple[str, str], body: bytes, kind: str) -> None:
    judge_at(place, client.request(*place, content=body, headers={"content-type": kind}))


BAD_JSON = [
    b"[" * 100_000, b'{"a":' * 100_000, b"[" * 1_000 + b"]" * 1_000, b'{"q":' + b"[" * 900 + b"]" * 900 + b"}", b"{",
    b"", b"\x00", b'{"q":"tent","k":1e999}', b'{"q":"tent","k":-1e999}', b'{"q":"tent","k":NaN}',
    b'{"q":"tent","min_score":Infinity}', b'{"q":"tent","k":' + b"9" * 1_000_000 + b"}", b'{"q":"\\ud800"}',
    b'{"q":"\xed\xa0\x80"}', b'{"q":"\xff"}', b"\xef\xbb\xbf{", b"\xff\xfe{\x00}\x00", b'{"q":"tent",}',
    b"{'q':'tent'}", b'{"q":"tent"}{}', b'{"q":"a\tb"}',
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=[path for _, path in PLACES])
def test_json_that_is_none_or_breaks_its_reader(client: httpx.Client, place: tuple[str, str]) -> None:
    for body in BAD_JSON:
        response = client.request(*place, content=body, headers={"content-type": "application/json"})
        assert_problem(response, 400, "malformed_json")


def test_a_line_of_a_batch_that_nests_too_deeply_costs_itself_alone(client: httpx.Client) -> None:
    """What it calls itself is repeated in its answer, and could not be written."""

    def line(depth: int) -> bytes:
        return b'{"kind":"search","q":"tent","k":1,"id":' + b"[" * depth + b"]" * depth + b"}\n"

    kind = {"content-type": "application/x-ndjson"}
    response = client.post(
        "/batch", content=line(MAX_DEPTH - 1) + line(300) + line(2_000) + line(0)[:-2] + b"7}", headers=kind
    )
    answers = sorted(map(json.loads, response.text.splitlines()), key=lambda answer: answer["index"])
    assert ["answer" in answer for answer in answers] == [True, False, False, True]
    assert {answers[i]["problem"]["code"] for i in (1, 2)} == {"malformed_json"}


def test_of_a_key_that_comes_twice_the_last_counts(client: httpx.Client) -> None:
    body = b'{"q":"tent","k":1,"k":2}'
    answer = judge(client.post("/search", content=body, headers={"content-type": "application/json"}))
    assert len(answer["items"]) == 2


@pytest.mark.parametrize("place", ["/items/{}", "/items/{}/similar", "/users/{}/history"])
@pytest.mark.parametrize(
    "text",
    ["%ED%A0%80", "%FF", "%00", "%C0%AF", "..%2F..%2Fetc", "%0A", "%E2%80%AE", "a" * 300, "%25", "%7B07%7D", "%"],
)
def test_addresses(client: httpx.Client, place: str, text: str) -> None:
    response = client.get(place.format(text))
    judge(response)
    assert response.status_code in {200, 404, 422}


def test_a_literal_cannot_leave_its_quotes(client: httpx.Client) -> None:
    """However it is written, a text in a filter is compared as a text: it never lets one more item through."""
    for text in QUERIES:
        written = text.replace("\\", "\\\\").replace('"', '\\"')
        response = client.post("/search", json={"q": "tent", "k": 30, "filter": f'title = "{written}" and price < 1e9'})
        assert judge(response).get("items", []) == []
    for attack in ('" or available or title = "', '" or true or "', "\" or id != '", '") or (available'):
        escaped = attack.replace('"', '\\"')
        assert judge(client.get("/search", params={"q": "tent", "filter": f'title = "{escaped}"'}))["items"] == []


def test_no_two_people_are_one(client: httpx.Client) -> None:
    """Each records an item of their own, and has that one afterwards, whatever they are called."""
    mine = {user: NAMES[number % len(NAMES)] for number, user in enumerate(IDS)}
    events = [{"user_id": user, "type": "view", "item_id": item, "event_id": "one"} for user, item in mine.items()]
    assert not judge(client.post("/events", json=events))["rejected"]
    for user, item in mine.items():
        past = judge(client.get(f"/users/{path_of(user)}/history"))
        assert [event["item_id"] for event in past["events"]] == [item], user
    gone, *others = IDS
    assert judge(client.delete(f"/users/{path_of(gone)}"))["events_erased"] == 1
    assert all(judge(client.get(f"/users/{path_of(user)}/history"))["events"] for user in others)
