"""A redis-server of our own."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from redis import Redis

from server import redis_process
from server.errors import StartupError
from server.redis_process import free_port, own_redis

pytestmark = pytest.mark.integration

HOLD = """
import pathlib, sys, time
from server.redis_process import own_redis
with own_redis(pathlib.Path(sys.argv[1])) as url:
    print(url, flush=True)
    time.sleep(600)
"""


def test_it_listens_on_loopback_and_syncs_its_data_every_second(tmp_path: Path) -> None:
    with own_redis(tmp_path) as url, Redis.from_url(url, decode_responses=True) as client:
        found = client.config_get("*")
    assert found["bind"] == "127.0.0.1"
    assert (found["appendonly"], found["appendfsync"], found["save"]) == ("yes", "everysec", "")
    assert found["maxmemory-policy"] == "noeviction"
    assert Path(found["dir"]) == tmp_path


def test_data_outlive_a_restart_and_the_port_may_be_chosen(tmp_path: Path) -> None:
    port = free_port()
    folder = tmp_path / "with spaces" / "and more"
    for expected in (None, b"1"):
        with own_redis(folder, port) as url, Redis.from_url(url) as client:
            assert url == f"redis://127.0.0.1:{port}/0"
            assert client.get("key") == expected
            client.set("key", 1)
    with pytest.raises(OSError, match="refused"), Redis(port=port) as client:
        client.connection_pool.make_connection()._connect()


def test_a_folder_in_use_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_process, "LOCK_SECONDS", 0.1)
    with (
        own_redis(tmp_path) as url,
        Redis.from_url(url) as client,
    ):
        with pytest.raises(StartupError, match="in use by another Redis"), own_redis(tmp_path):
            pass
        assert client.ping()


def test_a_port_that_another_redis_has_is_refused(tmp_path: Path) -> None:
    port = free_port()
    with (
        own_redis(tmp_path / "first", port),
        pytest.raises(StartupError, match="Address already in use"),
        own_redis(tmp_path / "second", port),
    ):
        pass


def test_a_missing_redis_server_is_told_with_how_to_install_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StartupError, match="apt-get install redis-server"), own_redis(tmp_path):
        pass


def test_a_redis_that_does_not_start_leaves_its_last_words(tmp_path: Path) -> None:
    (tmp_path / "appendonlydir").write_text("a file where Redis wants a folder")
    with pytest.raises(StartupError, match=r"ended with status 1: .*append"), own_redis(tmp_path):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StartupError, match="cannot be used"), own_redis(tmp_path / "file" / "data"):
        pass


def test_it_ends_with_a_killed_server_and_its_folder_is_free_again(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None
    with holder:
        url = holder.stdout.readline().strip()
        with Redis.from_url(url) as client:
            client.set("key", 1)
            pid = int(client.info("server")["process_id"])
        os.kill(holder.pid, signal.SIGKILL)
    with own_redis(tmp_path) as url, Redis.from_url(url) as client:
        assert client.get("key") == b"1"
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.05)
