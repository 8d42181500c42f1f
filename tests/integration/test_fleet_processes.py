"""Three servers of one fleet, each a process of its own, on one Redis: one is killed while a model is rolled out."""

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from redis import Redis

from server.storage.keyspace import KEYS
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.small_shop import publish_names
from tests.support.vllm_server import OPTIONS

pytestmark = [pytest.mark.integration, pytest.mark.slow]  # five processes start
OLD, NEW = "2025-11-20-a", "2025-11-21-a"
USERS = [f"user-{number}" for number in range(50)]


@pytest.fixture(scope="module")
def redis(redis_server: str) -> str:
    return f"{redis_server.removesuffix('/0')}/4"  # other tests empty the first


@pytest.fixture(scope="module")
def bundles(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("bundles")
    publish_names(folder, OLD, NEW)
    return folder


def start(bundles: Path, redis: str, count: int) -> list[ServerProcess]:
    return [
        ServerProcess(
            *("--bundles", bundles, "--redis", redis, "--fleet", "shop", "--cursor-secret", "0123456789abcdef"),
            *(*OPTIONS, *PATIENT, "--open-admin", "true"),
            module="tests.support.fake_server",
            imported="server",
            environment={**os.environ, "ENGINE_START_SECONDS": "1.5"},
        )
        for _ in range(count)
    ]


@dataclass
class Traffic:
    """People who ask the servers in turn; as a balancer does, whoever finds a server dead asks the next one."""

    urls: Sequence[str]
    done: asyncio.Event = field(default_factory=asyncio.Event)
    had: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    async def ask(self, client: httpx.AsyncClient, user: str, first: int) -> None:
        models = self.had.setdefault(user, [])
        for turn in itertools.count(first):
            if self.done.is_set():
                return
            url = self.urls[turn % len(self.urls)]
            try:
                answer = await client.get(f"{url}/recommend", params={"user": user, "k": 1})
            except httpx.TransportError:
                continue
            if answer.status_code == 200:
                models.append(answer.json()["model"])
            else:
                self.failed.append(f"{url}: {answer.text}")
            await asyncio.sleep(0.25)


@pytest.fixture
def servers(bundles: Path, redis: str) -> Iterator[list[ServerProcess]]:
    started = start(bundles, redis, 3)
    yield started
    for process in started:
        process.stop()


async def models(client: httpx.AsyncClient, url: str) -> dict[str, str]:
    return {
        user: (await client.get(f"{url}/recommend", params={"user": user, "k": 1})).raise_for_status().json()["model"]
        for user in USERS[:10]
    }


async def test_a_rollout_in_which_a_server_is_killed_and_a_split_outlive_all_servers(
    servers: list[ServerProcess], bundles: Path, redis: str
) -> None:
    a, b, killed = servers
    traffic = Traffic([process.url for process in servers])
    async with httpx.AsyncClient(timeout=60) as client:
        asking = [asyncio.create_task(traffic.ask(client, user, number)) for number, user in enumerate(USERS)]
        activation = asyncio.create_task(client.post(f"{a.url}/admin/models/{NEW}/activate"))
        with Redis.from_url(redis, decode_responses=True) as store:
            async with asyncio.timeout(60):
                while '"next":null' in store.hget(KEYS.fleet("shop", "state"), "state"):  # type: ignore[operator]
                    await asyncio.sleep(0.02)
        os.kill(killed.pid, signal.SIGKILL)
        assert (await activation).json()["model"] == NEW
        assert set((await models(client, b.url)).values()) == {NEW}
        traffic.done.set()
        await asyncio.gather(*asking)
        assert traffic.failed == []
        for user, had in traffic.had.items():
            assert had[0] == OLD, user
            assert OLD not in had[had.index(NEW) :], f"{user} went back"

        put = await client.put(f"{a.url}/admin/traffic", json={"weights": {OLD: 50, NEW: 50}})
        assert put.status_code == 200, put.text
        dealt = await models(client, b.url)
        assert set(dealt.values()) == {OLD, NEW}
        assert await models(client, a.url) == dealt
        assert a.stop() == b.stop() == 0
        servers += (again := start(bundles, redis, 2))
        for process in again:
            assert await models(client, process.url) == dealt, "after all were restarted"
            listed = (await client.get(f"{process.url}/admin/models")).json()
            assert (listed["current"], listed["previous"]) == (NEW, OLD)
