"""A redis-server of our own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from structlog.testing import capture_logs

from server.core.errors import StartupError
from server.engine.vllm.frontend.environment import engine_environment, prepare_openmp
from server.storage import managed_redis as module
from server.storage.managed_redis import free_port, managed_redis

pytestmark = pytest.mark.integration

HOLD = """
import pathlib, sys, time
from server.storage.managed_redis import managed_redis
with managed_redis(pathlib.Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""
KEYS = 100


def pid_of(url: str) -> int:
    """Of the Redis at an address, as soon as it answers."""
    while True:
        try:
            with Redis.from_url(url, socket_timeout=1.0, retry=Retry(NoBackoff(), 0)) as client:
                return int(client.info("server")["process_id"])
        except RedisError:
            time.sleep(0.02)


def kill(url: str) -> int:
    """Kills the Redis at an address; returns the process id of the next one."""
    killed = pid_of(url)
    os.kill(killed, signal.SIGKILL)
    while (found := pid_of(url)) == killed:
        time.sleep(0.02)
    return found


def log_of_writes(folder: Path) -> Path:
    """After a hundred writes."""
    with managed_redis(folder) as url, Redis.from_url(url) as client:
        for number in range(KEYS):
            client.set(f"key-{number}", "value " * 20)
    (log,) = (folder / "appendonlydir").glob("*.incr.aof")
    return log


def test_it_listens_on_loopback_and_syncs_its_data_every_second(tmp_path: Path) -> None:
    with managed_redis(tmp_path) as url, Redis.from_url(url, decode_responses=True) as client:
        found = client.config_get("*")
    assert found["bind"] == "127.0.0.1"
    assert (found["appendonly"], found["appendfsync"], found["save"]) == ("yes", "everysec", "")
    assert found["maxmemory-policy"] == "noeviction"
    assert Path(found["dir"]) == tmp_path


def test_data_outlive_a_restart_and_the_port_may_be_chosen(tmp_path: Path) -> None:
    port = free_port()
    folder = tmp_path / "with spaces" / "and more"
    for expected in (None, b"1"):
        with managed_redis(folder, port) as url, Redis.from_url(url) as client:
            assert url == f"redis://127.0.0.1:{port}/0"
            assert client.get("key") == expected
            client.set("key", 1)
    with pytest.raises(OSError, match="refused"), Redis(port=port) as client:
        client.connection_pool.make_connection()._connect()


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    with (
        managed_redis(tmp_path) as url,
        Redis.from_url(url) as client,
    ):
        with pytest.raises(StartupError, match="in use by another Redis"), managed_redis(tmp_path):
            pass
        assert client.ping()


def test_a_port_that_another_redis_has_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with (
        managed_redis(tmp_path / "first", port),
        pytest.raises(StartupError, match="Address already in use"),
        managed_redis(tmp_path / "second", port),
    ):
        pass


def test_a_missing_redis_server_is_told_with_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupError, match="apt-get install redis-server"), managed_redis(tmp_path):
        pass


def test_a_redis_that_does_not_start_leaves_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("a file where Redis wants a folder")
    with pytest.raises(StartupError, match=r"ended with status 1: .*append"), managed_redis(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="cannot be used"), managed_redis(tmp_path / "file" / "data"):
        pass


def test_one_that_ends_is_started_again_with_its_data(tmp_path: Path) -> None:
    with managed_redis(tmp_path) as url, Redis.from_url(url, retry=Retry(NoBackoff(), 1)) as client:
        client.set("key", 1)
        pids = [pid_of(url), kill(url), kill(url)]
        assert len(set(pids)) == 3
        assert client.get("key") == b"1"
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_one_that_cannot_run_is_started_ever_more_seldom_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_PAUSE_SECONDS", 0.4)
    with capture_logs() as lines, managed_redis(tmp_path) as url:
        kept = tmp_path / "appendonlydir"
        kept.rename(tmp_path / "away")
        kept.write_text("a file where Redis wants a folder")
        os.kill(pid_of(url), signal.SIGKILL)
        while len(ends := [line for line in lines if line["event"] == "managed_redis_ended"]) < 5:
            time.sleep(0.02)
        kept.unlink()
        (tmp_path / "away").rename(kept)
        assert pid_of(url)
    assert ends[0]["how"].startswith("was killed by SIGKILL")
    assert all("ended with status 1" in end["how"] and "appendonlydir" in end["how"] for end in ends[1:])
    assert [end["again_in_seconds"] for end in ends[:5]] == [0.1, 0.2, 0.4, 0.4, 0.4]


def test_the_end_need_not_wait_for_another_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "INITIAL_PAUSE_SECONDS", 3_600.0)
    with capture_logs() as lines, managed_redis(tmp_path) as url:
        os.kill(pid_of(url), signal.SIGKILL)
        while not lines:
            time.sleep(0.02)
    with managed_redis(tmp_path) as url:
        assert pid_of(url)


def test_a_last_write_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    log = log_of_writes(tmp_path)
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 7)
    with managed_redis(tmp_path) as url, Redis.from_url(url) as client:
        assert client.dbsize() == KEYS - 1


def test_a_damaged_log_is_told_with_what_to_do_and_left_alone(tmp_path: Path) -> None:
    log = log_of_writes(tmp_path)
    with log.open("r+b") as file:
        file.seek(log.stat().st_size // 2)
        file.write(b"?" * 300)
    damaged = log.read_bytes()
    with pytest.raises(StartupError, match="redis-check-aof") as caught, managed_redis(tmp_path):
        pass
    assert str(log.parent) in str(caught.value)
    assert log.read_bytes() == damaged


@pytest.mark.parametrize("killed_before", [False, True])
def test_it_ends_with_a_killed_server_and_its_folder_is_free_again(tmp_path: Path, killed_before: bool) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder:
        url = holder.stdout.readline().strip()
        with Redis.from_url(url) as client:
            client.set("key", 1)
        pid = kill(url) if killed_before else pid_of(url)
        os.kill(holder.pid, signal.SIGKILL)
    with managed_redis(tmp_path) as url, Redis.from_url(url) as client:
        assert client.get("key") == b"1"
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.05)


def test_a_redis_that_is_restarted_while_an_engine_starts_has_an_environment_of_its_own(tmp_path: Path) -> None:
    with managed_redis(tmp_path) as url:
        before = environment_of(pid_of(url))
        with engine_environment():
            prepare_openmp(1)
            assert environment_of(kill(url)) == before


def environment_of(pid: int) -> set[bytes]:
    return set(Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"))
