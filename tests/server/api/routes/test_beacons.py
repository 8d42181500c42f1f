"""Events from `navigator.sendBeacon`, which cannot say that its body is JSON."""

import json
from pathlib import Path

import pytest

from server.core.settings import Settings
from tests.support.http_shop import Shop
from tests.support.memory_history import MemoryHistory
from tests.support.problems import assert_problem
from tests.support.small_shop import patient_settings

EVENT = {"user_id": 42, "item_id": "item-9", "type": "view"}
BODY = json.dumps(EVENT).encode()
TYPES = ["text/plain;charset=UTF-8", "text/plain", "application/x-www-form-urlencoded", "Text/Plain", None]


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    origins = {"cors_origins": ["https://shop.example"]}
    return patient_settings(tmp_path).model_copy(update=origins)


async def send(shop: Shop, content_type: str | None, body: bytes = BODY, **headers: str) -> int:
    named = {"Content-Type": content_type} if content_type is not None else {}
    response = await shop.client.post("/events", content=body, headers=named | headers)
    if response.status_code != 202:
        code = {400: "malformed_json", 415: "unsupported_media_type", 422: "invalid_event"}
        assert_problem(response, response.status_code, code[response.status_code])
    return response.status_code


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://shop"},
        {"Origin": "https://shop.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://behind.proxy", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ],
)
async def test_a_beacon_is_read_as_json(
    shop: Shop, history: MemoryHistory, content_type: str | None, headers: dict[str, str]
) -> None:
    assert await send(shop, content_type, **headers) == 202
    assert await send(shop, content_type, b"[" + BODY + b"," + BODY + b"]", **headers) == 202
    assert [event.user_id for event in history.events] == ["42"] * 3


@pytest.mark.parametrize("content_type", TYPES)
@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://shop.evil.example", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "https://shop.example.evil.org"},
        {"Origin": "http://[broken"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
async def test_pages_of_others_open_nothing_by_it(
    shop: Shop, history: MemoryHistory, content_type: str | None, headers: dict[str, str]
) -> None:
    assert await send(shop, content_type, **headers) == 415
    assert history.events == []


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=x", "image/png", "text/html", "application/xml"]
)
async def test_other_types_are_refused(shop: Shop, content_type: str) -> None:
    assert await send(shop, content_type) == 415


@pytest.mark.parametrize("body", [b"user_id=42&item_id=item-9&type=view", b"", b"view", b"{"])
async def test_a_beacon_that_is_no_json_is_refused(shop: Shop, history: MemoryHistory, body: bytes) -> None:
    assert await send(shop, "text/plain", body) == 400
    assert history.events == []


@pytest.mark.parametrize("path", ["/search", "/recommend", "/batch", "/users/ann/merge"])
async def test_only_events_are_read_from_beacons(shop: Shop, path: str) -> None:
    response = await shop.client.post(path, content=b'{"q": "x"}', headers={"Content-Type": "text/plain"})
    assert_problem(response, 415, "unsupported_media_type")


@pytest.mark.parametrize("kind", ["application/json", "text/plain"])
async def test_a_byte_order_mark_is_passed_over(shop: Shop, kind: str) -> None:
    """`curl -d @file` sends one where an editor of Windows wrote it."""
    mark, headers = b"\xef\xbb\xbf", {"content-type": kind}
    event = b'{"user_id": "u", "item_id": "item-9", "type": "view"}'
    for body in (event, b"[" + event + b"]", b"\r\n" + event + b"\r\n"):
        assert (await shop.client.post("/events", content=mark + body, headers=headers)).status_code == 202
    assert_problem(await shop.client.post("/events", content=mark * 2 + event, headers=headers), 400, "malformed_json")


@pytest.mark.parametrize(
    ("path", "body", "kind"),
    [
        ("/search", b'{"q": "tent"}', "application/json"),
        ("/users/ann/merge", b'{"session": "s"}', "application/json"),
        ("/batch", b'[{"kind": "search", "q": "x"}]', "application/json"),
        ("/batch", b'{"kind": "search", "q": "x"}\n', "application/x-ndjson"),
    ],
)
async def test_a_byte_order_mark_is_passed_over_everywhere(shop: Shop, path: str, body: bytes, kind: str) -> None:
    mark = b"\xef\xbb\xbf"
    response = await shop.client.post(path, content=mark + body, headers={"content-type": kind})
    assert response.status_code == 200, response.text
    assert "problem" not in response.text
