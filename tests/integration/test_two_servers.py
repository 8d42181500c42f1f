"""Two servers, each a process of its own, on one Redis: what one is told changes what the other finds, and back."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from tests.support.server_process import PATIENT, ServerProcess
from tests.support.small_shop import NAMES
from tests.support.vllm_server import OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # two processes start

QUERY = "something to lie on"
MAX_SECONDS = 30.0
"""A second is meant, and a busy machine is no fault."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two servers, and an item that both have."""

    clients: Sequence[httpx.Client]
    item: str


@pytest.fixture(scope="module")
def servers(redis_server: str) -> Iterator[Pair]:
    redis = f"{redis_server.removesuffix('/0')}/3"  # other tests empty the first, and these servers outlive a test
    started = [
        ServerProcess(
            *("--bundles", "unused", "--redis", redis, *OPTIONS, *PATIENT),
            module="tests.support.fake_server",
            imported="server",
        )
        for _ in range(2)
    ]
    clients = [httpx.Client(base_url=process.url, timeout=60) for process in started]
    yield Pair(clients, NAMES[9])
    for client, process in zip(clients, started, strict=True):
        client.close()
        assert process.stop() == 0


def eventually(condition: Callable[[], bool]) -> float:
    """How many seconds it took."""
    begun = time.monotonic()
    while not condition():
        assert time.monotonic() < begun + MAX_SECONDS
        time.sleep(0.02)
    return time.monotonic() - begun


def found(client: httpx.Client, **asked: object) -> dict[str, Any]:
    answer: dict[str, Any] = client.get("/search", params={"q": QUERY, **asked}).raise_for_status().json()  # type: ignore[dict-item]
    assert answer["degraded"] is False
    return answer


def score(client: httpx.Client, item: str) -> float:
    return float(found(client, candidates=item, k=1)["items"][0]["score"])


def order(client: httpx.Client) -> list[str]:
    return [item["id"] for item in found(client, k=30, user="bob")["items"]]


def test_what_one_person_took_another_finds_at_the_other_server_until_they_are_erased(servers: Pair) -> None:
    one, other = servers.clients
    before, first = score(other, servers.item), order(other)
    assert score(one, servers.item) == pytest.approx(before)
    event = {"user_id": "ada", "type": "click", "item_id": servers.item, "query": QUERY}
    assert one.post("/events", json=[event]).status_code == 202
    eventually(lambda: score(other, servers.item) > before)
    eventually(lambda: score(one, servers.item) > before)
    assert score(one, servers.item) == pytest.approx(score(other, servers.item))
    assert order(other).index(servers.item) <= first.index(servers.item)
    assert other.delete("/users/ada").status_code == 200
    for client in (one, other):
        eventually(lambda client=client: score(client, servers.item) == pytest.approx(before))  # type: ignore[misc]
        eventually(lambda client=client: order(client) == first)  # type: ignore[misc]


def test_synonyms_that_one_server_was_told_hold_at_the_other(servers: Pair) -> None:
    one, other = servers.clients
    words = {"synonyms": ["shelter", "tent"], "root": None}
    assert one.put("/synonyms/shelters", json=words).json()["created"] is True

    def read_as(client: httpx.Client) -> list[str]:
        understood = found(client, q="a shelter", k=1)["understood"]
        return [] if understood is None else [word["read_as"] for word in understood["synonyms"]]

    assert read_as(one) == ["tent"], "at once"
    eventually(lambda: read_as(other) == ["tent"])
    assert other.delete("/synonyms/shelters").status_code == 200
    eventually(lambda: read_as(one) == [])
