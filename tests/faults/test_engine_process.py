"""vLLM's process is killed, or hangs, under a real server, while people ask."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import gettempdir

import httpx
import psutil
import pytest

from catalog.bundle.folder import published_versions
from tests.support.engine_processes import engines_of
from tests.support.server_process import ServerProcess
from tests.support.vllm_server import OPTIONS, VllmServers

pytestmark = [pytest.mark.integration, pytest.mark.slow, pytest.mark.large]
BOUND = 120.0
"""Seconds that a start of an engine may take on a machine with other work."""

ALONE: dict[str, str | int | bool] = {"guidance": False}  # what guides follows the events that come meanwhile
QUESTIONS: tuple[tuple[str, dict[str, str | int | bool]], ...] = (
    ("/search", {"q": "red tent", "k": 20, **ALONE}),
    ("/search", {"q": "lamp", "k": 200, "filter": "price < 25", **ALONE}),
    ("/recommend", {"user": "u1", "k": 20, **ALONE}),
    ("/recommend", {"user": "u2", "k": 20, "filter": 'category = "rope"', "explain": True, **ALONE}),
)


class Shop:
    """A server, and what this test knows of its processes."""

    def __init__(self, process: ServerProcess, bundles: Path) -> None:
        self.process = process
        self.bundles = bundles
        self.client = httpx.Client(base_url=process.url, timeout=BOUND)

    def engine(self) -> psutil.Process:
        """vLLM's process."""
        (core,) = engines_of(self.process.pid)
        return core

    def answers(self) -> list[object]:
        """Items and scores of every question."""
        asked = [self.client.get(path, params=parameters) for path, parameters in QUESTIONS]
        return [response.raise_for_status().json()["items"] for response in asked]

    def wait(self, condition: Callable[[], bool]) -> float:
        """Seconds until it holds."""
        started = time.monotonic()
        while not condition():
            assert time.monotonic() < started + BOUND, "".join(self.process.lines[-40:])
            time.sleep(0.05)
        return time.monotonic() - started

    def ready(self) -> bool:
        return self.client.get("/health/ready").status_code == 200

    def restarts(self) -> float:
        samples = (line.rpartition(" ") for line in self.client.get("/metrics").text.splitlines())
        return sum(float(count) for name, _, count in samples if name.startswith("gemserve_engine_restarts_total"))

    def kill_and_wait(self) -> float:
        """The engine's process; how long until another answers."""
        before = self.restarts()
        os.kill(self.engine().pid, signal.SIGKILL)
        return self.wait(lambda: self.restarts() > before and self.ready())


@pytest.fixture(scope="module")
def shop(vllm_servers: VllmServers) -> Iterator[Shop]:
    server = vllm_servers.changeable()
    shop = Shop(server.process, server.bundles)
    new = {"title": "golden tent", "categories": ["outdoor", "tent"], "price": 12.0}
    shop.client.put("/items/tent-golden", json=new).raise_for_status()
    shop.client.delete("/items/rope-red").raise_for_status()
    events = [
        {"user_id": f"u{n}", "type": "view", "item_id": f"{kind}-blue"} for n in range(4) for kind in ("tent", "rope")
    ]
    shop.client.post("/events", json=events).raise_for_status()
    yield shop
    shop.client.delete("/items/tent-golden").raise_for_status()
    rope = {"title": "red rope", "categories": ["outdoor", "rope"], "price": 16.0}
    shop.client.put("/items/rope-red", json=rope).raise_for_status()
    shop.client.close()


def known(response: httpx.Response) -> str:
    """What became of a request, which must be an answer or the refusal that says when to come back."""
    if response.status_code == 200:
        return "answered"
    assert response.status_code == 503, response.text
    assert response.json()["code"] in {"engine_unavailable", "overloaded"}, response.text
    assert response.headers["retry-after"]
    return "refused"


@pytest.mark.timeout(BOUND)  # another engine starts meanwhile
def test_an_engine_killed_under_load_comes_back_by_itself(shop: Shop, keep: Callable[..., None]) -> None:
    before, version = shop.answers(), shop.client.get("/version").json()
    outcomes: Counter[str] = Counter()
    faults: list[BaseException] = []
    longest, acknowledged, done = [0.0], [0], threading.Event()

    def ask(number: int) -> None:
        try:
            with httpx.Client(base_url=shop.process.url, timeout=BOUND) as client:
                while not done.is_set():
                    path, parameters = QUESTIONS[number % len(QUESTIONS)]
                    started = time.monotonic()
                    outcomes[known(client.get(path, params=parameters))] += 1
                    longest[0] = max(longest[0], time.monotonic() - started)
                    time.sleep(0.02)
        except BaseException as error:
            faults.append(error)

    def tell() -> None:
        try:
            with httpx.Client(base_url=shop.process.url, timeout=BOUND) as client:
                while not done.is_set():
                    event = {
                        "user_id": "witness",
                        "type": "view",
                        "item_id": "lamp-red",
                        "event_id": f"e{acknowledged[0]}",
                    }
                    assert client.post("/events", json=event).status_code == 202
                    acknowledged[0] += 1
                    time.sleep(0.05)
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=ask, args=(n,)) for n in range(8)] + [threading.Thread(target=tell)]
    for thread in threads:
        thread.start()
    try:
        shop.wait(lambda: outcomes["answered"] > 40)
        dead = shop.engine().pid
        os.kill(dead, signal.SIGKILL)
        down = shop.wait(lambda: outcomes["refused"] > 0)
        refused = shop.client.put("/items/lamp-golden", json={"title": "golden lamp"})
        assert known(refused) == "refused"
        recovery = down + shop.wait(lambda: shop.restarts() > 0 and shop.ready())
        answered = outcomes["answered"]
        shop.wait(lambda: outcomes["answered"] > answered + 40)
    finally:
        done.set()
        for thread in threads:
            thread.join()
    assert not faults, faults
    assert longest[0] < 30, "a request hung"
    assert shop.engine().pid != dead
    assert shop.answers() == before
    assert shop.client.get("/version").json() == version, "nothing of the refused change is there"
    assert shop.client.get("/items/lamp-golden").status_code == 404
    history = shop.client.get("/users/witness/history", params={"limit": 200}).json()
    assert len(history["events"]) == min(acknowledged[0], 200)
    died = {"noticed_seconds": down, "recovery_seconds": recovery, "longest_request_seconds": longest[0]}
    keep(**died, refused=outcomes["refused"], answered=outcomes["answered"])


def test_it_comes_back_a_second_time_and_takes_changes(shop: Shop, keep: Callable[..., None]) -> None:
    before = shop.answers()
    keep(recovery_seconds=shop.kill_and_wait())
    assert shop.answers() == before
    lamp = {"title": "golden lamp", "categories": ["outdoor", "lamp"], "price": 500.0}
    shop.client.put("/items/lamp-golden", json=lamp).raise_for_status()
    found = shop.client.get("/search", params={"q": "lamp", "filter": "price = 500"}).raise_for_status().json()
    assert [item["id"] for item in found["items"]] == ["lamp-golden"]
    shop.client.delete("/items/lamp-golden").raise_for_status()


def test_an_engine_that_hangs_is_killed_and_comes_back(shop: Shop, keep: Callable[..., None]) -> None:
    before, restarts, hung = shop.answers(), shop.restarts(), shop.engine()
    hung.suspend()
    recovery = shop.wait(lambda: shop.restarts() > restarts and shop.ready())
    assert shop.engine().pid != hung.pid
    assert shop.answers() == before
    keep(recovery_seconds=recovery)


def test_an_engine_killed_while_it_is_being_started_is_started_once_more(shop: Shop) -> None:
    before, first = shop.answers(), shop.engine().pid
    os.kill(first, signal.SIGKILL)
    shop.wait(lambda: any(engine.pid != first for engine in engines_of(shop.process.pid)))
    os.kill(shop.engine().pid, signal.SIGKILL)
    shop.wait(shop.ready)
    assert shop.answers() == before
    assert any("engine_not_started_again" in line for line in shop.process.lines)


def test_another_model_can_be_activated_while_the_engine_is_dead(shop: Shop) -> None:
    old, before = shop.client.get("/version").json()["model"], shop.answers()
    (new,) = set(published_versions(shop.bundles)) - {old}
    os.kill(shop.engine().pid, signal.SIGKILL)
    shop.wait(lambda: not shop.ready())
    assert shop.client.post(f"/admin/models/{new}/activate").json()["model"] == new
    assert shop.answers() != before
    assert shop.client.post(f"/admin/models/{old}/activate").json()["model"] == old
    assert shop.answers() == before
    shop.wait(lambda: len(engines_of(shop.process.pid)) == 1)


def test_nothing_is_left_behind_by_engines_that_died(shop: Shop, keep: Callable[..., None]) -> None:
    """Threads, open files and temporary folders after four deaths are those after two."""
    server = psutil.Process(shop.process.pid)

    def held() -> tuple[int, int, int]:
        shop.answers()
        return server.num_threads(), server.num_fds(), len(list(Path(gettempdir()).glob("gemserve-index-*")))

    for _ in range(2):
        shop.kill_and_wait()
    before = held()
    for _ in range(2):
        shop.kill_and_wait()
    after = held()
    keep(threads=after[0], files=after[1], folders=after[2])
    assert after[0] <= before[0] + 2, "pools of threads fill up"
    assert after[1] <= before[1] + 2
    assert after[2] <= before[2]
    zombies = [child for child in server.children(recursive=True) if child.status() == psutil.STATUS_ZOMBIE]
    assert len(zombies) <= 1


def test_a_shutdown_does_not_wait_for_an_engine_that_is_being_started(
    published: Path, tmp_path: Path, keep: Callable[..., None]
) -> None:
    """The engine is stopped in its tracks, so that whoever waited for it would wait for ever."""
    command = [sys.executable, "-m", "server", "--bundles", published, "--redis", "redis://127.0.0.1:1/0", *OPTIONS]
    with (tmp_path / "log").open("w+") as log:
        server = psutil.Popen([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT)
        deadline = time.monotonic() + BOUND
        while not (engines := [child for child in server.children() if "EngineCore" in child.name()]):
            assert time.monotonic() < deadline
            time.sleep(0.01)
        engines[0].suspend()
        asked = time.monotonic()
        server.send_signal(signal.SIGTERM)
        assert server.wait(BOUND) == 0
        log.seek(0)
        assert "stopped before it was ready" in log.read()
    assert not engines[0].is_running()
    keep(shutdown_seconds=time.monotonic() - asked)
