"""The configuration of deploy/haproxy with a real HAProxy, in front of a fleet of two processes on a real Redis."""

import asyncio
import os
import re
import signal
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

import httpx
import pytest

from server.auth import key_file
from server.auth.api_key import mint
from server.core.errors import NOT_READY
from server.storage.managed_redis import free_port
from tests.support.balanced import ask_through
from tests.support.haproxy import CONFIG, SERVED_BY, check, haproxy
from tests.support.problems import assert_problem
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.small_shop import publish_names
from tests.support.vllm_server import OPTIONS

LENGTH = re.compile(rb"^content-length: (\d+)", re.MULTILINE)
SLOW_K = 13  # tests.support.fake_server
BURST, RATE = 7, 0.5


def test_haproxy_takes_the_configuration() -> None:
    checked = check(CONFIG)
    assert checked.returncode == 0, checked.stdout
    assert "WARNING" not in checked.stdout


def test_haproxy_refuses_a_wrong_key(tmp_path: Path) -> None:
    wrong = tmp_path / "haproxy.cfg"
    wrong.write_text(CONFIG.read_text().replace("retry-on", "retry-upon"))
    checked = check(wrong)
    assert checked.returncode != 0
    assert "retry-upon" in checked.stdout


def test_what_haproxy_says_itself_is_a_problem_too(tmp_path: Path) -> None:
    """No server listens."""
    with haproxy(tmp_path, [f"http://127.0.0.1:{free_port()}"]) as url:
        problem = assert_problem(httpx.get(f"{url}/recommend?user=ada"), 503, "not_ready")
        named = httpx.get(f"{url}/recommend", headers={"X-Request-ID": 'a "b"'})
    assert problem["title"] == NOT_READY.title
    assert named.headers["retry-after"] == "1"
    assert named.json()["request_id"] == 'a "b"'


class Fleet:
    """Two servers with keys behind HAProxy; whoever has no key may read at RATE."""

    def __init__(self, folder: Path, redis: str) -> None:
        bundles, keys = folder / "bundles", folder / "keys.json"
        bundles.mkdir()
        publish_names(bundles, "2025-11-20-a")
        made, self.key = mint(name="shop", scopes=("read", "write"), rate_per_second=1_000_000)
        key_file.add(keys, made)
        limits = ("--open-read", "true", "--rate-per-second", str(RATE), "--rate-burst", str(BURST))
        fleet = ("--fleet", "shop", "--redis", redis, "--cursor-secret", "0123456789abcdef")
        flags = ("--bundles", bundles, "--keys", keys, *fleet, *limits, "--trusted-proxies", "127.0.0.1")
        self.servers = [
            ServerProcess(*flags, *OPTIONS, *PATIENT, module="tests.support.fake_server", imported="server")
            for _ in range(2)
        ]
        self.url = ""

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    def client(self, **options: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, timeout=60, **options)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, redis_server: str) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    fleet = Fleet(folder, f"{redis_server.removesuffix('/0')}/5")  # other tests empty the first
    with haproxy(folder, [process.url for process in fleet.servers]) as fleet.url:
        yield fleet
    for process in fleet.servers:
        process.stop()


real = [pytest.mark.integration, pytest.mark.slow]  # two processes start


class TestFleet:
    pytestmark = real

    async def test_a_caller_has_one_rate_whatever_address_he_claims(self, fleet: Fleet) -> None:
        """Twenty at once, at two servers: the burst, and what the rate gave meanwhile."""
        claims = [{"X-Forwarded-For": f"203.0.113.{number}"} for number in range(20)]
        async with fleet.client(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as caller:
            began = time.monotonic()
            answers = await asyncio.gather(
                *(caller.get("/recommend", params={"user": f"u{n}"}, headers=claims[n]) for n in range(20))
            )
            seconds = time.monotonic() - began
        assert len({answer.headers[SERVED_BY] for answer in answers}) == 2
        assert {answer.status_code for answer in answers} == {200, 429}
        assert BURST <= sum(answer.status_code == 200 for answer in answers) <= BURST + RATE * seconds + 1
        async with fleet.client(transport=httpx.AsyncHTTPTransport(local_address="127.0.0.3")) as other:
            assert (await other.get("/recommend", params={"user": "ada"})).status_code == 200

    async def test_a_user_is_answered_by_one_server_however_he_asks(self, fleet: Fleet) -> None:
        async with fleet.client(headers=fleet.headers) as client:
            homes = []
            for number in range(12):
                who = f"user-{number}"
                answers = [
                    await client.get("/recommend", params={"user": who}),
                    await client.get("/search", params={"q": "tent", "user": who}),
                    await client.post("/recommend", json={"user": who}),
                    await client.get("/recommend", params={"session": who}),
                    await client.post("/search", json={"q": "tent", "session": who}),
                ]
                assert {answer.status_code for answer in answers} == {200}
                by = {answer.headers[SERVED_BY] for answer in answers}
                assert len(by) == 1, who
                homes += by
            assert set(homes) == {"s0", "s1"}

    async def test_a_user_who_asks_for_too_much_is_helped_by_other_servers(self, fleet: Fleet, tmp_path: Path) -> None:
        """Of three, one of which has two names here."""
        one, two = (process.url for process in fleet.servers)
        with haproxy(tmp_path, [one, two, two]) as url:
            async with httpx.AsyncClient(base_url=url, timeout=60, headers=fleet.headers) as client:
                slow = {"user": "ada", "k": SLOW_K}
                alone = (await client.get("/recommend", params=slow)).headers[SERVED_BY]
                answers = await asyncio.gather(*(client.get("/recommend", params=slow) for _ in range(9)))
        by = [answer.headers[SERVED_BY] for answer in answers]
        assert len(by) / 2 < by.count(alone) < len(by)

    def test_an_answer_comes_in_one_piece(self, fleet: Fleet) -> None:
        """A server that is killed between the head and the body of an answer would leave a head that nobody repeats."""
        address = urlsplit(fleet.servers[0].url)
        with socket.create_connection((address.hostname, address.port), 60) as connection:
            for number in range(20):
                asked = f"GET /recommend?user=u{number}&k=3 HTTP/1.1\r\nHost: shop\r\nX-API-Key: {fleet.key}\r\n\r\n"
                connection.sendall(asked.encode())
                head, _, body = connection.recv(1 << 16).partition(b"\r\n\r\n")
                assert int(LENGTH.search(head)[1]) == len(body)  # type: ignore[index]

    async def test_what_only_operators_read_is_not_there(self, fleet: Fleet) -> None:
        async with fleet.client(headers=fleet.headers) as client:
            assert httpx.get(f"{fleet.servers[0].url}/%6Detrics").status_code == 200, "to a server it is the same"
            for path in ("/metrics", "/%6Detrics", "/metric%73?a=1"):
                assert (await client.get(path)).status_code == 404, path
            assert (await client.get("/health/ready")).status_code == 200

    async def test_a_503_is_asked_elsewhere_unless_it_is_of_a_change(self, fleet: Fleet, tmp_path: Path) -> None:
        event = {"user_id": "ada", "type": "view", "item_id": "item-9"}
        with refusing() as refusals, haproxy(tmp_path, [fleet.servers[0].url, refusals.url]) as url:
            async with httpx.AsyncClient(base_url=url, timeout=60, headers=fleet.headers) as client:
                asked = [await client.get("/recommend", params={"user": f"user-{n}"}) for n in range(20)]
                assert {answer.status_code for answer in asked} == {200}
                assert {answer.headers[SERVED_BY] for answer in asked} == {"s0"}
                assert refusals.methods.count("GET") > 0
                told = [await client.post("/events", json=event) for _ in range(6)]
                assert [answer.status_code for answer in told].count(503) == refusals.methods.count("POST") > 0

    async def test_a_killed_server_loses_no_question(self, fleet: Fleet) -> None:
        """The last of these tests: one server is gone."""
        victim = fleet.servers[1]
        before, after = await ask_through(
            fleet.url, fleet.headers, 3_200, lambda: os.kill(victim.pid, signal.SIGKILL), kill_after=1_000
        )
        assert before.failed == after.failed == []
        assert before.by["s1"] > 0
        assert after.by["s0"] > 2_000
        assert before.by.total() + after.by.total() == 3_200


class Refusals(ThreadingHTTPServer):
    """Ready, and 503 for everything. methods: of what it refused."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Refusing)
        self.methods: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Refusing(BaseHTTPRequestHandler):
    def refuse(self) -> None:
        assert isinstance(self.server, Refusals)
        ready = self.path == "/health/ready"
        if not ready:
            self.server.methods.append(self.command)
        self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.send_response(200 if ready else 503)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = refuse

    def log_message(self, *_: object) -> None: ...


@contextmanager
def refusing() -> Iterator[Refusals]:
    with Refusals() as server:
        thread = Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()
