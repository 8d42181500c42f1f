"""What one client can make a server, or its Redis, keep: bounded, whatever they send."""

import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest
from backports import zstd
from redis import Redis

from server.storage.managed_redis import managed_redis
from tests.hostile.conftest import FAKE, Target
from tests.hostile.wire import Wire, several
from tests.support.server_process import ServerProcess

pytestmark = [pytest.mark.slow, pytest.mark.large]

MIB = 1 << 20
MOST_GROWTH = 64 * MIB  # of a server that keeps nothing of what was sent: allocators round up
HISTORY = 200  # events of one user, the default of --history-length


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Redis]:
    with managed_redis(tmp_path_factory.mktemp("memory")) as url, Redis.from_url(url) as client:
        yield client


@pytest.fixture(scope="module")
def target(redis: Redis) -> Iterator[Target]:
    where = redis.connection_pool.connection_kwargs
    url = f"redis://{where['host']}:{where['port']}/0"
    flags = (
        "--redis",
        url,
        "--redis-write-timeout-ms",
        "20000",
        "--log-level",
        "warning",
        "--event-log-length",
        "1000",
    )
    process = ServerProcess("--bundles", "unused", "--port", "0", *flags, module=FAKE)
    try:
        yield Target(process)
    finally:
        assert process.stop() == 0


@pytest.fixture
def growth(target: Target) -> Callable[[], int]:
    """Bytes that the server has grown by since its first requests."""
    with httpx.Client(base_url=target.url) as client:
        for _ in range(200):
            assert client.get("/search", params={"q": "tent"}).status_code == 200
    server = psutil.Process(target.process.pid)
    before = server.memory_info().rss
    return lambda: server.memory_info().rss - before


def send(target: Target, users: Callable[[int], str], count: int) -> None:
    with httpx.Client(base_url=target.url, timeout=60) as client:
        for start in range(0, count, 1_000):
            rows = [
                {
                    "user_id": users(number),
                    "type": "view",
                    "item_id": "item-7",
                    "event_id": f"{number}",
                    "query": "q" * 1_000,
                }
                for number in range(start, start + 1_000)
            ]
            assert client.post("/events", json=rows).status_code == 202


def test_a_hundred_thousand_events_of_one_user(target: Target, redis: Redis, growth: Callable[[], int]) -> None:
    send(target, lambda _: "one", 100_000)
    key = next(redis.scan_iter("gemserve:*:history:one"))
    assert redis.zcard(key) == HISTORY
    assert redis.memory_usage(key, samples=0) < 1 * MIB
    with httpx.Client(base_url=target.url, timeout=60) as client:
        assert client.get("/recommend", params={"user": "one"}).status_code == 200
    assert growth() < MOST_GROWTH


def test_a_hundred_thousand_people_with_the_longest_ids(
    target: Target, redis: Redis, growth: Callable[[], int]
) -> None:
    """Redis keeps each until --history-days have gone: some 3 KiB with one event. The server keeps none."""
    before = int(redis.info("memory")["used_memory"])
    send(target, lambda number: f"{number:0>256}", 100_000)
    each = (int(redis.info("memory")["used_memory"]) - before) / 100_000
    assert each < 4_096
    assert all(redis.ttl(key) > 0 for key in redis.scan_iter("gemserve:*:history:0*", count=1_000))
    assert growth() < MOST_GROWTH


def test_a_history_of_the_longest_ids_and_queries(target: Target, growth: Callable[[], int]) -> None:
    visits = [{"item_id": "\U0001f3d5" * 256, "query": "\U0001f3d5" * 1_000}] * 200
    with httpx.Client(base_url=target.url, timeout=60) as client:
        for _ in range(100):
            assert client.post("/search", json={"q": "tent", "history": visits}).status_code == 200
    assert growth() < MOST_GROWTH


def test_many_different_questions(target: Target, growth: Callable[[], int]) -> None:
    """Filters, cursors and words, no two alike: whatever remembers some of them forgets them again."""
    with httpx.Client(base_url=target.url, timeout=60) as client:
        for number in range(20_000):
            asked = {"q": f"tent {number:x}", "user": f"u{number}", "filter": f'title != "{number}"', "k": 3}
            assert client.get("/search", params=asked).status_code == 200
    assert growth() < MOST_GROWTH


def test_half_sent_requests_of_all_connections(target: Target, growth: Callable[[], int]) -> None:
    head = b"POST /batch HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 16000000\r\n\r\n"
    with several(target.port, 900) as held:
        for wire in held:
            wire.send(head + b" " * 32_768)
        assert growth() < MOST_GROWTH + 900 * 262_144
    with several(target.port, 900) as held:
        for wire in held:
            wire.send(b"GET / HTTP/1.1\r\nX: " + b"x" * 60_000)
        assert growth() < MOST_GROWTH + 900 * 262_144


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_bombs(target: Target, growth: Callable[[], int], encoding: str) -> None:
    """Each would be a gibibyte. The server makes as much of it as a body may have, some at a time."""
    zeros = bytes(1 << 30)
    bomb = zlib.compress(zeros, wbits=31) if encoding == "gzip" else zstd.compress(zeros)
    headers = {"content-type": "application/json", "content-encoding": encoding}

    def send_some(_: int) -> set[int]:
        with httpx.Client(base_url=target.url, timeout=120) as client:
            return {client.post("/search", content=bomb, headers=headers).status_code for _ in range(10)}

    with ThreadPoolExecutor(16) as pool:
        assert set.union(*pool.map(send_some, range(16))) == {413}
    assert growth() < MOST_GROWTH


def test_floods_of_pipelined_requests(target: Target, growth: Callable[[], int]) -> None:
    flood = b"GET /version HTTP/1.1\r\nHost: a\r\n\r\n" * 10_000
    for _ in range(20):
        with Wire(target.port) as wire:
            wire.send(flood)
            assert [answer.status for answer in wire.answers()][-1] == 429
    assert growth() < MOST_GROWTH
