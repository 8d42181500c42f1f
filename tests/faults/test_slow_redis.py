"""A network between server and Redis that is slow, silent or broken: nobody ever gets another's history."""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from catalog.data.changes import Delete
from server.core.errors import HistoryUnavailable
from server.storage.client import RedisClient
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from server.storage.shared.change_log import RedisChanges
from tests.faults.proxy import Proxy
from tests.integration.test_redis_faults import EVENT, degraded, open_shop
from tests.support.problems import assert_problem
from tests.support.redis_store import event, settings

pytestmark = pytest.mark.integration

CONNECTIONS = 4  # of reads; writes have as many


@asynccontextmanager
async def connected(proxy: Proxy, **changes: object) -> AsyncIterator[RedisHistory]:
    history = RedisHistory(
        settings(f"redis://127.0.0.1:{proxy.port}/0", **({"connections": 2 * CONNECTIONS} | changes))
    )
    try:
        yield history
    finally:
        await history.close()


@pytest.fixture
async def proxy(redis_url: str) -> AsyncIterator[Proxy]:
    """In front of an empty Redis."""
    async with Proxy(int(redis_url.rpartition(":")[2].partition("/")[0])).running() as proxy:
        yield proxy


def of(user: str) -> list[Event]:
    """Events whose items name their user."""
    return [event(n, user=user, item=f"{user}-{n}") for n in range(3)]


async def test_a_slow_redis_costs_its_time_limits_and_is_used_again_when_it_is_well(
    proxy: Proxy, tmp_path: Path
) -> None:
    async with open_shop(tmp_path, proxy.port, timeout_ms=200) as shop:
        while await degraded(shop):
            await asyncio.sleep(0)
        proxy.delay = lambda: 60.0
        assert await degraded(shop)
        response = await shop.post(EVENT)
        assert_problem(response, 503, "history_unavailable")
        assert response.headers["retry-after"]
        proxy.delay = lambda: 0.0
        while (await shop.post(EVENT)).status_code != 202:
            await asyncio.sleep(0)
        while await degraded(shop):
            await asyncio.sleep(0)


async def test_a_late_reply_is_never_taken_for_anothers(proxy: Proxy, keep: Callable[..., None]) -> None:
    async with connected(proxy) as patient:
        users = [f"user-{n}" for n in range(12)]
        for user in users:
            await patient.append(of(user))
    chance = random.Random(7)
    # Three in ten around the limit, so that some come a moment before it and some a moment after.
    proxy.delay = lambda: chance.uniform(0.02, 0.06) if chance.random() < 0.3 else 0.0
    answered = late = 0
    async with connected(proxy, read_timeout_ms=30, write_timeout_ms=30) as history:

        async def ask(user: str) -> None:
            nonlocal answered, late
            for n in range(40):
                try:
                    if n % 4 == 3:
                        past = await history.past_events(user, 10)
                        found = [one.item_id for one in past.events][::-1]
                    else:
                        found = [item for item, _ in (await history.read(user)).visits]
                except HistoryUnavailable:
                    late += 1
                else:
                    answered += 1
                    assert found == [one.item_id for one in of(user)]

        await asyncio.gather(*(ask(user) for user in users))
        assert answered > 0
        assert late > 0
        proxy.delay = lambda: 0.0
        while len(proxy.links) > CONNECTIONS:  # the proxy learns a little later which were closed
            await asyncio.sleep(0)
    keep(answered=answered, late=late)


async def test_time_limits_leak_neither_connections_nor_places(proxy: Proxy) -> None:
    # A whole second, as forty reads through the proxy took more than a tenth of one on a machine that did much else.
    async with connected(proxy, read_timeout_ms=1_000) as history:
        proxy.silent = True
        for _ in range(3):
            reads = (history.read(f"user-{n}") for n in range(3 * CONNECTIONS))
            found = await asyncio.gather(*reads, return_exceptions=True)
            assert all(isinstance(error, HistoryUnavailable) for error in found)
        proxy.silent = False
        await history.append(of("ada"))
        for _ in range(3):
            reads = (history.past_events("ada", 10) for _ in range(10 * CONNECTIONS))
            assert {one.total for one in await asyncio.gather(*reads)} == {3}
        while len(proxy.links) > CONNECTIONS + 1:  # and the one that wrote
            await asyncio.sleep(0)


async def test_connections_that_died_while_idle_cost_one_time_limit_together(proxy: Proxy) -> None:
    async with connected(proxy, read_timeout_ms=2_000) as history:
        await history.append(of("ada"))
        proxy.delay = lambda: 0.02  # so that all connections are used

        async def read_at_once() -> set[int]:
            found = await asyncio.gather(*(history.read("ada") for _ in range(2 * CONNECTIONS)))
            return {len(one.visits) for one in found}

        assert await read_at_once() == {3}
        assert proxy.made == CONNECTIONS + 1
        proxy.forget()
        with pytest.raises(HistoryUnavailable, match="did not answer within 2 s"):
            await history.read("ada")
        assert await read_at_once() == {3}
        assert proxy.made == 2 * CONNECTIONS + 1


READS: dict[str, Callable[[RedisHistory], Awaitable[object]]] = {
    "read": lambda history: history.read("ada"),
    "read_with_session": lambda history: history.read("ada", "visit"),
    "past_events": lambda history: history.past_events("ada", 10),
    "check": lambda history: history.check(),
}
WRITES: dict[str, Callable[[RedisHistory], Awaitable[object]]] = {
    "append": lambda history: history.append(of("ada")),
    "merge": lambda history: history.merge("ada", "visit"),
    "erase": lambda history: history.erase("ada"),
}


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("write", WRITES)
async def test_slow_writes_do_not_hold_up_reads(proxy: Proxy, write: str, read: str) -> None:
    held = 0

    def hold() -> float:
        nonlocal held
        held += 1
        return 60.0

    async with connected(proxy) as history:
        proxy.delay = hold
        writes = [asyncio.ensure_future(WRITES[write](history)) for _ in range(4 * CONNECTIONS)]
        while held < CONNECTIONS:
            await asyncio.sleep(0.01)
        proxy.delay = lambda: 0.0
        reading = asyncio.ensure_future(READS[read](history))
        done, _ = await asyncio.wait([reading, *writes], return_when=asyncio.FIRST_COMPLETED)
        assert done == {reading}
        await reading
        for task in writes:
            task.cancel()
        await asyncio.gather(*writes, return_exceptions=True)


async def test_waiting_for_a_connection_counts_in_the_time_limit(proxy: Proxy) -> None:
    client = RedisClient(f"redis://127.0.0.1:{proxy.port}/0", 1)
    proxy.silent = True

    async def ping(seconds: float) -> None:
        async with client.limit("ping", seconds):
            await client.redis.ping()

    patient = asyncio.ensure_future(ping(60.0))
    while proxy.made == 0:
        await asyncio.sleep(0)
    with pytest.raises(HistoryUnavailable, match=r"no connection to Redis became free within 0\.2 s"):
        await ping(0.2)
    assert not patient.done()
    patient.cancel()
    await asyncio.gather(patient, return_exceptions=True)
    await client.close()


@pytest.mark.parametrize("name", [*READS, *WRITES])
async def test_no_operation_waits_longer_than_its_time_limit_for_a_connection(proxy: Proxy, name: str) -> None:
    async with connected(proxy, connections=2, read_timeout_ms=200, write_timeout_ms=200) as history:
        async with history._reads.limit("hold", 60.0), history._writes.limit("hold", 60.0):
            with pytest.raises(HistoryUnavailable, match=r"no connection to Redis became free within 0\.2 s"):
                await (READS | WRITES)[name](history)
        await (READS | WRITES)[name](history)


async def test_changes_wait_no_longer_either(proxy: Proxy) -> None:
    store = RedisChanges(settings(f"redis://127.0.0.1:{proxy.port}/0", write_timeout_ms=200))
    async with store._client.limit("hold", 60.0), store._client.limit("hold", 60.0):
        with pytest.raises(HistoryUnavailable, match="no connection to Redis became free"):
            await store.since(0)
        with pytest.raises(HistoryUnavailable, match="no connection to Redis became free"):
            await store.write({"a": Delete("a")}, expected=0, number=1)
    assert await store.write({"a": Delete("a")}, expected=0, number=1)
    await store.close()


@pytest.mark.parametrize("after", [0, 1, 5])
async def test_a_reply_that_breaks_off_is_asked_for_again(proxy: Proxy, after: int) -> None:
    async with connected(proxy) as history:
        await history.append(of("ada"))
        proxy.cut_after = after
        assert len((await history.read("ada")).visits) == 3
        proxy.cut_after = after
        assert await history.append(of("ada")) == [False] * 3


async def test_connections_that_are_reset_are_made_anew(proxy: Proxy) -> None:
    async with connected(proxy) as history:
        await history.append(of("ada"))
        for _ in range(3):
            proxy.reset()
            assert len((await history.read("ada")).visits) == 3
            proxy.reset()
            assert await history.append(of("ada")) == [False] * 3


async def test_a_repeated_write_counts_once(proxy: Proxy, redis_url: str) -> None:
    """The reply is lost, not the write: it was done, and is done again on another connection."""
    async with connected(proxy) as history:
        await history.check()
        proxy.cut_after = 0
        await history.append([event(1)])
        assert len((await history.read("ada")).visits) == 1
    with Redis.from_url(redis_url) as client:
        assert sum(client.xlen(key) for key in client.keys("*:log")) == 1
