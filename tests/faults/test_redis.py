"""Redis is killed, cannot come back for a while, or has no room to write: on a real server and a real Redis."""

import os
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_FSIZE, prlimit

import httpx
import psutil
import pytest
from redis import Redis

from server.storage.managed_redis import free_port, managed_redis
from tests.integration.test_redis_faults import EVENT, degraded, open_shop, pid_of_redis, recovers
from tests.support.problems import assert_problem
from tests.support.server_process import ServerProcess

pytestmark = pytest.mark.integration

USER = "ada-lovelace"  # no hexadecimal number, as those of requests are, can contain it


@pytest.fixture(scope="module")
def port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, port: int) -> Iterator[ServerProcess]:
    data = tmp_path_factory.mktemp("data")
    process = ServerProcess(
        *("--bundles", "unused", "--port", "0", "--managed-redis", data, "--managed-redis-port", port),
        *("--guidance-timeout-ms", "20000"),
        module="tests.support.fake_server",
        imported="server",
    )
    yield process
    assert process.stop() == 0


def wait_until(holds: Callable[[], bool]) -> float:
    """The seconds it took; the test's own time limit ends what never comes."""
    began = time.monotonic()
    while not holds():
        time.sleep(0.02)
    return time.monotonic() - began


def take_its_place(port: int) -> socket.socket:
    """Kills the Redis at a port, again if it is back sooner, and listens there without ever answering."""
    while True:
        os.kill(pid_of_redis(port), signal.SIGKILL)
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        for _ in range(20):  # the port is free when the process is gone
            try:
                listener.bind(("127.0.0.1", port))
                listener.listen()
            except OSError:
                time.sleep(0.005)
            else:
                return listener
        listener.close()
        with Redis(port=port) as client:
            wait_until(lambda: bool(client.ping()))


def is_degraded(client: httpx.Client) -> bool:
    response = client.get("/recommend", params={"user": "ada"})
    assert response.status_code == 200
    assert len(response.json()["items"]) == 10
    return bool(response.json()["degraded"])


def test_a_killed_redis_is_started_again_and_has_every_event_that_it_had_written(
    server: ServerProcess, port: int, keep: Callable[..., None]
) -> None:
    events = [EVENT | {"user_id": "eve", "event_id": f"e{n}", "item_id": f"item-{n}"} for n in range(6, 12)]
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.post("/events", json=events).status_code == 202
        with Redis(port=port) as redis:
            before = redis.info("server")["process_id"]
            # While the disk is being synced Redis puts off a write, for two seconds at most, and acknowledges at once.
            wait_until(lambda: redis.info("persistence")["aof_buffer_length"] == 0)
        os.kill(before, signal.SIGKILL)
        seconds = wait_until(lambda: not is_degraded(client) and pid_of_redis(port) != before)
        again = client.post("/events", json=events).json()["accepted"]
        assert [row["duplicate"] for row in again] == [True] * 6
        assert client.get("/users/eve/history").json()["total"] == 6
    keep(recovery_seconds=seconds)
    assert [child.status() for child in psutil.Process(server.pid).children()].count(psutil.STATUS_ZOMBIE) == 0


def test_while_redis_cannot_start_answers_are_degraded_and_events_wait(
    server: ServerProcess, port: int, keep: Callable[..., None]
) -> None:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        assert client.post("/events", json=EVENT).status_code == 202
        with take_its_place(port):
            assert is_degraded(client)
            assert client.get("/health/ready").json()["status"] == "degraded"
            response = client.post("/events", json=EVENT | {"event_id": "e2"})
            assert_problem(response, 503, "history_unavailable")
            assert response.headers["retry-after"]
            wait_until(lambda: any("Address already in use" in line for line in server.lines))
        seconds = wait_until(lambda: client.post("/events", json=EVENT | {"event_id": "e2"}).status_code == 202)
        assert not is_degraded(client)
        assert client.get("/health/ready").json()["status"] == "ready"
        assert client.get("/users/ada/history").json()["total"] == 2
    keep(recovery_seconds=seconds)


@pytest.fixture
def redis_that_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit of a file's size stands for a full disk; by default reaching it would kill the process."""
    folder = tmp_path / "bin"
    folder.mkdir()
    script = folder / "redis-server"
    script.write_text(f'#!/bin/sh\nexec env --ignore-signal=XFSZ {shutil.which("redis-server")} "$@"\n')
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")


@pytest.mark.usefixtures("redis_that_survives_a_full_disk")
async def test_a_full_disk_stops_events_and_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    port = free_port()
    async with open_shop(tmp_path, port, timeout_ms=20_000) as shop:
        acknowledged: list[str] = []

        async def post(event_id: str) -> int:
            response = await shop.post(EVENT | {"event_id": event_id, "user_id": USER})
            if response.status_code == 202:
                acknowledged.append(event_id)
            else:
                assert_problem(response, 503, "history_unavailable")
                told = capsys.readouterr().out
                assert "MISCONF" in told
                assert USER not in told
            return response.status_code

        with managed_redis(tmp_path / "data", port):
            assert await post("before") == 202
            await recovers(shop)
            (log,) = (tmp_path / "data" / "appendonlydir").glob("*.incr.aof")
            pid = pid_of_redis(port)
            capsys.readouterr()
            prlimit(pid, RLIMIT_FSIZE, (log.stat().st_size + 100, RLIM_INFINITY))
            number = 0
            while await post(f"full-{number}") == 202:  # Redis finds out with the first write after it answered
                number += 1
            assert await post("refused") == 503
            assert not await degraded(shop)
            assert (await shop.get("/search", q="tent")).status_code == 200
            prlimit(pid, RLIMIT_FSIZE, (RLIM_INFINITY, RLIM_INFINITY))
            while await post(f"full-{number}") != 202:
                pass
            assert await post("refused") == 202
            assert pid_of_redis(port) == pid
        with managed_redis(tmp_path / "data", port):
            past = (await shop.get(f"/users/{USER}/history", limit=100)).json()
            assert sorted(event["event_id"] for event in past["events"]) == sorted(acknowledged)
            assert past["total"] == len(acknowledged)
