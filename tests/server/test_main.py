"""The program as operators meet it: a process with flags, lines on its standard output, signals and an exit status."""

import hashlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import server.__main__ as program_module
from tests.support.paths import ROOT
from tests.support.processes import Process
from tests.support.small_shop import make_manifest

NO_REDIS = ["--redis", "redis://127.0.0.1:1/0"]


@dataclass
class Program:
    process: Process
    port: int = 0

    def line(self, pattern: str) -> re.Match[str]:
        """The next line of standard output that fits."""
        for line in self.process.stdout:
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"no line like {pattern}; status {self.process.wait()}")

    def wait_until_ready(self) -> "Program":
        self.port = int(self.line(r"^gemserve: ready on http://127\.0\.0\.1:(\d+) \(model \S+, 30 items\)$")[1])
        return self

    def get(self, target: str, method: str = "GET", body: object = None) -> tuple[int, dict[str, Any]]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        answer = response.status, json.loads(response.read())
        connection.close()
        return answer

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(30)


Start = Callable[..., Program]


@contextmanager
def launched(*flags: str, **variables: str) -> Iterator[Program]:
    words = ("-m", "tests.support.fake_server", "--bundles", "unused", "--port", "0", *flags)
    with Process(*words, environment=os.environ | variables) as process:
        try:
            yield Program(process)
        finally:
            process.kill()


@pytest.fixture
def start() -> Iterator[Start]:
    with ExitStack() as programs:
        yield lambda *flags, **variables: programs.enter_context(launched(*flags, **variables))


@pytest.fixture(scope="module")
def running() -> Iterator[Program]:
    """A program that tests only ask, and do not end."""
    with launched(*NO_REDIS) as program:
        yield program.wait_until_ready()


def test_it_says_where_it_is_and_logs_a_request(running: Program) -> None:
    status, answer = running.get("/search?q=tent&k=3")
    assert status == 200
    assert len(answer["items"]) == 3
    logged = json.loads(running.line('^{.*"event": "request".*}$')[0])
    assert (logged["route"], logged["status"], logged["request_id"]) == ("/search", 200, answer["request_id"])


@pytest.mark.parametrize("size", [20_000, 70_000, 1_000_000, 5_000_000])
def test_a_query_of_any_size_is_refused_and_the_server_lives_on(running: Program, size: int) -> None:
    status, problem = running.get("/search?q=" + "x" * size)
    assert (status, problem["code"]) == (414, "url_too_long")
    assert running.get("/search?q=tent")[0] == 200


@pytest.mark.parametrize(
    ("request_bytes", "status", "code"),
    [
        (b"HELO mail.example\r\n\r\n", 400, "malformed_http"),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, "malformed_http"),
        (b"GET /search?q=tent HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n", 431, "head_too_large"),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200_000 + b"\r\n", 431, "head_too_large"),
    ],
)
def test_what_is_not_http_is_told_so(running: Program, request_bytes: bytes, status: int, code: str) -> None:
    with socket.create_connection(("127.0.0.1", running.port), timeout=20) as client:
        client.sendall(request_bytes)
        response = http.client.HTTPResponse(client)
        response.begin()
        assert response.status == status
        assert response.headers["content-type"] == "application/problem+json"
        problem = json.loads(response.read())
    assert problem["code"] == code
    assert problem["request_id"] == response.headers["x-request-id"]


def test_requests_in_flight_are_finished_before_it_ends(start: Start) -> None:
    program = start(*NO_REDIS).wait_until_ready()
    with ThreadPoolExecutor() as pool:
        slow = pool.submit(program.get, "/search?q=tent&k=13")
        time.sleep(0.4)
        program.process.send_signal(signal.SIGINT)
        assert slow.result()[0] == 200
    program.line("^engine: stopped$")
    assert program.process.wait(20) == 0


def test_it_is_not_ready_while_it_drains_and_a_second_signal_hurries_it(start: Start) -> None:
    program = start(*NO_REDIS, "--shutdown-delay", "60").wait_until_ready()
    assert program.get("/health/ready")[0] == 200
    program.process.send_signal(signal.SIGTERM)
    while program.get("/health/ready")[0] == 200:
        time.sleep(0.02)
    status, problem = program.get("/health/ready")
    assert (status, problem["code"]) == (503, "not_ready")
    assert program.get("/search?q=tent")[0] == 200
    assert program.end() == 0


def test_a_signal_while_it_starts_ends_it(start: Start) -> None:
    program = start(*NO_REDIS, ENGINE_START_SECONDS="600")
    program.line("^engine: starting$")
    program.process.send_signal(signal.SIGTERM)
    program.line("^engine: stopped$")
    assert program.process.wait(20) == 0


@pytest.mark.integration
def test_with_its_own_redis_events_outlive_a_restart_of_both(start: Start, tmp_path: Path) -> None:
    program = start("--managed-redis", str(tmp_path)).wait_until_ready()
    assert program.get("/health/ready")[1]["status"] == "ready"
    first = program.get("/recommend?user=ada")[1]["items"]
    event = {"user_id": "ada", "type": "purchase", "item_id": first[0]["id"], "event_id": "e1"}
    assert program.get("/events", "POST", event)[0] == 202
    second = program.get("/recommend?user=ada")[1]["items"]
    assert second != first
    assert program.end() == 0
    program = start("--managed-redis", str(tmp_path)).wait_until_ready()
    assert program.get("/recommend?user=ada")[1]["items"] == second


Refuse = Callable[..., str]


@pytest.fixture
def refuse(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Refuse:
    """What the program says on standard error when it refuses to start."""
    monkeypatch.setattr(program_module, "configure_logging", lambda level: None)

    def run(*flags: str) -> str:
        assert program_module.main(flags) == 2
        return capsys.readouterr().err

    return run


def test_a_refusal_is_a_line_and_a_status(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server", "--bundles", str(tmp_path), "--port", "0"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"gemserve: {tmp_path / 'current'} does not exist")
    assert ended.stderr.count("\n") == 1


def test_a_port_in_use_is_told_before_anything_is_loaded(refuse: Refuse, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        said = refuse("--bundles", str(tmp_path), "--port", port)
    assert said == f"gemserve: cannot listen on 127.0.0.1 port {port}: Address already in use; choose another --port\n"


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_damaged_bundle_is_refused_and_its_file_named(refuse: Refuse, tmp_path: Path, damage: str) -> None:
    weights = tmp_path / "v1" / "model" / "model.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    manifest = make_manifest().model_copy(
        update={"files": {"model/model.safetensors": hashlib.sha256(b"weights").hexdigest()}}
    )
    (tmp_path / "v1" / "manifest.json").write_text(manifest.model_dump_json())
    (tmp_path / "current").symlink_to("v1")
    weights.write_bytes(b"weighty") if damage == "changed" else weights.unlink()
    assert str(weights) in refuse("--bundles", str(tmp_path), "--port", "0")


def test_wrong_settings_are_told(refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSERVE_PRT", "1")
    assert "no setting is named GEMSERVE_PRT" in refuse("--bundles", str(tmp_path))


def test_damaged_keys_are_told_before_anything_is_loaded(refuse: Refuse, tmp_path: Path) -> None:
    (tmp_path / "keys.json").write_text("[{}]")
    said = refuse("--bundles", str(tmp_path), "--port", "0", "--keys", str(tmp_path / "keys.json"))
    assert f"{tmp_path / 'keys.json'} is no file of keys, at 0.id: Field required" in said


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        (None, "does not exist: check the path, or `gemserve keys create --file "),
        ("", "is no file of keys, at the whole: Invalid JSON"),
        ("[]", "holds no key, so nobody could use the server: make one with `gemserve keys create --file "),
    ],
)
def test_keys_that_are_not_there_open_nothing(refuse: Refuse, tmp_path: Path, keys: str | None, message: str) -> None:
    file = tmp_path / "keys.json"
    if keys is not None:
        file.write_text(keys)
    said = refuse("--bundles", str(tmp_path), "--port", "0", "--keys", str(file), "--open-admin", "true")
    assert f"{file} {message}" in said


def test_a_missing_redis_server_is_told(refuse: Refuse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = refuse("--bundles", str(tmp_path), "--port", "0", "--managed-redis", str(tmp_path / "data"))
    assert "apt-get install redis-server" in said
