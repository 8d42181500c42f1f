"""The whole application over a real Redis that stops, restarts, is killed or falls silent."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis

from server.app import create_app
from server.core.settings import Settings
from server.storage.managed_redis import free_port, managed_redis
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import make_deployments, publish_names

pytestmark = pytest.mark.integration

EVENT = {"user_id": "ada", "type": "view", "item_id": "item-9", "event_id": "e1", "timestamp": 1_700_000_000_000}


@asynccontextmanager
async def open_shop(bundles: Path, port: int, *, timeout_ms: int = 2_000) -> AsyncIterator[Shop]:
    if not (bundles / "current").exists():
        publish_names(bundles, "2025-11-20-a")
    settings = Settings(
        bundles=bundles,
        redis=f"redis://127.0.0.1:{port}/0",
        redis_read_timeout_ms=timeout_ms,
        redis_write_timeout_ms=timeout_ms,
        guidance_timeout_ms=60_000,
    )
    app = create_app(settings, deploy=make_deployments)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as client:
            yield Shop(client)


def pid_of_redis(port: int) -> int:
    with Redis(port=port) as client:
        return int(client.info("server")["process_id"])


async def degraded(shop: Shop) -> bool:
    response = await shop.get("/recommend", user="ada")
    assert response.status_code == 200
    assert len(response.json()["items"]) == 10
    return bool(response.json()["degraded"])


async def recovers(shop: Shop) -> None:
    """A server that began without Redis answers with all it should build on when a poll has counted the event log."""
    async with asyncio.timeout(20):
        while await degraded(shop):
            await asyncio.sleep(0.05)


async def test_events_change_recommendations_and_outlive_redis_and_server(tmp_path: Path) -> None:
    port = free_port()
    with managed_redis(tmp_path, port):
        async with open_shop(tmp_path, port) as shop:
            before = await shop.ids("/recommend", user="ada")
            assert (await shop.post(EVENT | {"item_id": before[0]})).status_code == 202
            after = await shop.ids("/recommend", user="ada")
            assert after != before
            assert before[0] not in after
    with managed_redis(tmp_path, port):
        async with open_shop(tmp_path, port) as shop:
            assert await shop.ids("/recommend", user="ada") == after
            assert (await shop.post(EVENT)).json()["accepted"][0]["duplicate"] is True


async def test_answers_are_degraded_while_redis_is_away_and_recover_by_themselves(tmp_path: Path) -> None:
    port = free_port()
    async with open_shop(tmp_path, port) as shop:
        assert await degraded(shop)
        assert (await shop.get("/health/ready")).json()["status"] == "degraded"
        response = await shop.post(EVENT)
        assert_problem(response, 503, "history_unavailable")
        assert response.headers["retry-after"]
        for _ in range(2):
            with managed_redis(tmp_path, port):
                await recovers(shop)
                assert (await shop.post(EVENT)).status_code == 202
                assert (await shop.get("/health/ready")).json()["status"] == "ready"
            assert await degraded(shop)


async def test_acknowledged_events_outlive_a_killed_redis(tmp_path: Path) -> None:
    port = free_port()
    async with open_shop(tmp_path, port) as shop:
        with managed_redis(tmp_path, port):
            events = [EVENT | {"event_id": f"e{n}", "item_id": f"item-{n}"} for n in range(6, 12)]
            assert (await shop.post(events)).status_code == 202
            await recovers(shop)
            known = await shop.ids("/recommend", user="ada")
            os.kill(pid_of_redis(port), signal.SIGKILL)
        with managed_redis(tmp_path, port):
            await recovers(shop)
            assert await shop.ids("/recommend", user="ada") == known
            again = await shop.post(events)
            assert all(row["duplicate"] for row in again.json()["accepted"])


async def test_a_silent_redis_costs_its_time_limit_and_nothing_else(tmp_path: Path) -> None:
    port = free_port()
    with managed_redis(tmp_path, port):
        async with open_shop(tmp_path, port) as shop:
            await shop.post(EVENT)
            known = await shop.ids("/recommend", user="ada")
            pid = pid_of_redis(port)
            os.kill(pid, signal.SIGSTOP)
            try:
                assert all(await asyncio.gather(*(degraded(shop) for _ in range(20))))
                assert_problem(await shop.post(EVENT | {"event_id": "e2"}), 503, "history_unavailable")
            finally:
                os.kill(pid, signal.SIGCONT)
            while await degraded(shop):
                await asyncio.sleep(0.05)
            # Answers that came too late were not taken for those of other requests.
            assert await shop.ids("/recommend", user="stranger") != known
            assert await shop.ids("/search", q="tent", user="ada")


async def test_a_redis_that_refuses_writes_is_a_503_and_still_read(tmp_path: Path) -> None:
    port = free_port()
    with managed_redis(tmp_path, port), Redis(port=port) as client:
        async with open_shop(tmp_path, port) as shop:
            await shop.post(EVENT)
            client.config_set("maxmemory", "1mb")
            assert_problem(await shop.post(EVENT | {"event_id": "e2"}), 503, "history_unavailable")
            assert not await degraded(shop)
            client.config_set("maxmemory", "0")
            assert (await shop.post(EVENT | {"event_id": "e2"})).status_code == 202


async def test_users_at_once_see_their_own_history_only(redis_url: str, tmp_path: Path) -> None:
    port = int(redis_url.rpartition(":")[2].partition("/")[0])
    async with open_shop(tmp_path, port, timeout_ms=60_000) as shop:

        async def live(number: int) -> None:
            user, own = f"user-{number}", f"item-{number % 20 + 6}"
            assert (await shop.post({"user_id": user, "type": "view", "item_id": own})).status_code == 202
            shown = await shop.ids("/recommend", user=user, k=200, exclude_seen=True)
            missing = {f"item-{n}" for n in range(6, 30) if n != 17} - set(shown)
            assert missing == {own} - {"item-17"}

        await asyncio.gather(*(live(number) for number in range(200)))
