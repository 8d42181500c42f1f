"""The lock of retraining, in a real Redis: who has it, for how long, and what ends it."""

import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from server.cli.redis_url import server_redis
from server.cli.retrain import lock
from server.cli.retrain.lock import AlreadyRetraining, LockLost, RetrainLock
from server.storage.keyspace import KEYS
from server.storage.managed_redis import managed_redis
from tests.server.cli.retrain.conftest import Hold
from tests.support.redis_server import PassingRedis

pytestmark = pytest.mark.integration

KEY = KEYS.retraining
LEASE = 5.0


@pytest.fixture
def plain(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lock, "LEASE_SECONDS", LEASE)
    monkeypatch.setattr(lock, "PAUSE_SECONDS", 0.05)


def of(url: str, namespace: str | None = None) -> RetrainLock:
    return RetrainLock(lambda: url, namespace)


def test_one_at_a_time_and_the_next_when_it_has_ended(redis_url: str, plain: Redis) -> None:
    with of(redis_url) as held:
        held.confirm()
        with pytest.raises(AlreadyRetraining, match=f"under way, on {socket.gethostname()} since 2"), of(redis_url):
            pass
        held.confirm()
        with of(redis_url, "shoes") as others:
            others.confirm()
    assert not plain.exists(KEY)
    with of(redis_url) as held:
        held.confirm()


def test_one_that_failed_leaves_no_lock(redis_url: str, plain: Redis) -> None:
    with pytest.raises(ZeroDivisionError), of(redis_url):
        raise ZeroDivisionError
    assert not plain.exists(KEY)


def test_it_is_renewed_for_longer_than_a_lease(redis_url: str, plain: Redis, short: None) -> None:
    """More often than there are renewals in a lease."""
    with of(redis_url) as held:
        seen, renewed = LEASE * 1_000, 0
        while renewed <= lock.RENEWALS:
            left = plain.pttl(KEY)
            assert isinstance(left, int)
            assert 0 < left <= LEASE * 1_000
            renewed, seen = renewed + (left > seen), left
            time.sleep(0.02)
        with pytest.raises(AlreadyRetraining), of(redis_url):
            pass
        held.confirm()


def test_one_that_was_killed_has_it_for_a_lease_only(redis_url: str, plain: Redis, hold: Hold) -> None:
    killed = hold(LEASE)
    assert str(killed.pid).encode() in bytes(plain.get(KEY) or b"").split()  # type: ignore[arg-type]
    assert 0 < int(plain.pttl(KEY)) <= LEASE * 1_000  # type: ignore[arg-type]
    killed.kill()
    killed.wait()
    refusals: list[str] = []
    while not may_retrain(redis_url, refusals):
        time.sleep(0.1)
    assert all(f"(process {killed.pid})" in told for told in refusals)


def may_retrain(url: str, refusals: list[str]) -> bool:
    try:
        with of(url) as held:
            held.confirm()
    except AlreadyRetraining as refused:
        refusals.append(str(refused))
        return False
    return True


@pytest.mark.parametrize("now", [None, "elsewhere 7 2026-01-01T00:00:00Z 1"], ids=["forgotten", "taken"])
def test_one_that_was_lost_is_not_confirmed_and_the_next_one_s_stays(
    redis_url: str, plain: Redis, now: str | None
) -> None:
    with of(redis_url) as held:
        plain.delete(KEY)
        if now is not None:
            plain.set(KEY, now)
        with pytest.raises(LockLost, match="Redis has lost the lock"):
            held.confirm()
    assert plain.get(KEY) == (None if now is None else now.encode())


def test_a_loss_is_said_at_once(redis_url: str, plain: Redis, short: None, capsys: pytest.CaptureFixture[str]) -> None:
    with of(redis_url) as held:
        plain.delete(KEY)
        held._renewing.join()
    assert "what is trained is published and not activated" in capsys.readouterr().err


def test_a_redis_that_comes_back_within_the_lease_is_waited_for(
    passing_redis: PassingRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lock, "PAUSE_SECONDS", 0.05)
    passing_redis.come()
    with of(passing_redis.url) as held:
        passing_redis.go()
        back = threading.Timer(0.3, passing_redis.come)
        back.start()
        held.confirm()
        back.join()


def test_a_redis_that_stays_away_confirms_nothing(passing_redis: PassingRedis, short: None) -> None:
    passing_redis.come()
    with of(passing_redis.url) as held:
        passing_redis.go()
        with pytest.raises(LockLost, match="does not say whether another retraining has begun"):
            held.confirm()


def test_it_follows_the_redis_of_a_server_that_was_started_again(tmp_path: Path) -> None:
    """At another port, by the folder that the environment names."""
    where, urls = {"GEMSERVE_MANAGED_REDIS": str(tmp_path)}, set()
    with managed_redis(tmp_path) as url:
        urls.add(url)
        held = RetrainLock(lambda: server_redis(None, where), None)
        held.__enter__()
    with managed_redis(tmp_path) as url:
        urls.add(url)
        held.confirm()
        held.__exit__()
        with Redis.from_url(url) as client:
            assert not client.exists(KEY)
    assert len(urls) == 2


@pytest.mark.parametrize("token", [b"", b"\xff\x1b[31m", b"somebody"])
def test_a_token_of_another_form_is_told_as_far_as_it_goes(redis_url: str, plain: Redis, token: bytes) -> None:
    plain.set(KEY, token)
    with pytest.raises(AlreadyRetraining, match="another retraining of this catalog is under way, on ") as refused:
        of(redis_url).__enter__()
    assert "\x1b" not in str(refused.value)
