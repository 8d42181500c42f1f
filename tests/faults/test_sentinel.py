"""A real Sentinel, and a primary that is killed, demoted, hung or loading while the server is connected to it."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from catalog.data.changes import Delete
from catalog.data.events import EventType
from server.cli import export_events
from server.core.errors import HistoryUnavailable
from server.core.settings import StorageSettings
from server.storage.event_log import RedisEventLog
from server.storage.managed_redis import free_port
from server.storage.primary import address, pool
from server.storage.protocol import Event
from server.storage.redis_history import RedisHistory
from server.storage.shared.change_log import RedisChanges
from server.storage.shared.state import RedisSplit, RedisSynonyms
from tests.support.certificates import make_certificate
from tests.support.sentinels import PASSWORD, SENTINEL_PASSWORD, Cluster, Process, cluster

pytestmark = pytest.mark.integration

START = 1_700_000_000_000


@pytest.fixture(autouse=True)
def looked_at_often(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (address, pool):
        monkeypatch.setattr(module, "LOOK_SECONDS", 0.2)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[Cluster]:
    with cluster(tmp_path) as found:
        yield found


def event(number: int) -> Event:
    return Event("ada", f"item-{number}", START + number, EventType.VIEW, f"e{number}", None, None)


def settings(url: str) -> StorageSettings:
    return StorageSettings(url=url, read_timeout_ms=1_500, write_timeout_ms=1_500, connections=2)


@asynccontextmanager
async def open_history(url: str) -> AsyncIterator[RedisHistory]:
    history = RedisHistory(settings(url))
    try:
        yield history
    finally:
        await history.close()


async def at_last(ask: Callable[[], Awaitable[object]], right: Callable[[object], bool] = lambda _: True) -> object:
    """What it answers when it is right at last; HistoryUnavailable is all that it may raise before."""
    async with asyncio.timeout(120):
        while True:
            try:
                answer = await ask()
                if right(answer):
                    return answer
            except HistoryUnavailable as error:
                print(error)
            await asyncio.sleep(0.05)


async def items(history: RedisHistory) -> list[str]:
    return [item for item, _ in (await history.read("ada")).visits]


async def test_a_killed_primary_loses_nothing_that_its_replica_had(redis: Cluster) -> None:
    """With a Sentinel that is away in front of the one that is there."""
    async with open_history(redis.url(away=2)) as history:
        assert await history.append([event(1)]) == [True]
        redis.replicated()
        redis.one.kill()
        with pytest.raises(HistoryUnavailable):
            await history.append([event(2)])
        assert await at_last(lambda: history.append([event(2)])) == [True]
        assert redis.primary() == redis.other.port
        assert await items(history) == ["item-1", "item-2"]
        assert await history.append([event(1), event(2)]) == [False, False]
        redis.one.start()  # as an init system does: it says that it is a primary until the Sentinel comes
        await at_last(history.check)
        assert await items(history) == ["item-1", "item-2"]


async def test_whoever_only_reads_leaves_a_demoted_primary(redis: Cluster) -> None:
    url, stores = redis.url(), settings(redis.url())
    log, changes = RedisEventLog(stores), RedisChanges(stores)
    split, synonyms = RedisSplit(stores), RedisSynonyms(stores)
    async with open_history(url) as history:
        began = await log.begin(0, 100)
        assert await items(history) == []
        for ask in (lambda: changes.since(0), split.read, synonyms.number):
            await ask()
        redis.fail_over()
        with redis.one.client() as old:  # so that what it knows stays what it was
            old.config_set("masterauth", "wrong")
            old.slaveof("127.0.0.1", 1)
        async with open_history(url) as writer:
            assert await at_last(lambda: writer.append([event(1)])) == [True]
        writers = RedisChanges(stores), RedisSplit(stores), RedisSynonyms(stores)
        assert await writers[0].write({"a": Delete("a")}, expected=0, number=1)
        assert await writers[1].write({"a": 1}, expected=0, number=1)
        assert await writers[2].write({}, expected=0, number=1)
        await at_last(lambda: log.since(began.position, 0), lambda batch: len(batch.events) == 1)  # type: ignore[attr-defined]
        await at_last(lambda: changes.since(0), lambda batch: "a" in batch.changes)  # type: ignore[attr-defined]
        await at_last(split.read, lambda stored: stored.number == 1)  # type: ignore[attr-defined]
        await at_last(synonyms.number, lambda number: number == 1)
        await at_last(lambda: items(history), lambda found: found == ["item-1"])
    for store in (log, changes, split, synonyms, *writers):
        await store.close()


async def test_writes_follow_a_primary_that_is_demoted_while_they_are_connected(redis: Cluster) -> None:
    async with open_history(redis.url()) as history:
        assert await history.append([event(1)]) == [True]
        redis.replicated()
        redis.fail_over()
        assert await at_last(lambda: history.append([event(2)])) == [True]
        await at_last(history.check)
        assert await items(history) == ["item-1", "item-2"]
        with redis.other.client() as new:
            assert sum(new.xlen(key) for key in new.keys("*:log")) == 2


async def test_a_hung_primary_that_wakes_up_as_a_primary_is_not_used_again(redis: Cluster) -> None:
    async with open_history(redis.url()) as history:
        assert await history.append([event(1)]) == [True]
        redis.replicated()
        assert redis.one.running is not None
        redis.one.running.send_signal(signal.SIGSTOP)
        assert await at_last(lambda: history.append([event(2)])) == [True]
        assert redis.primary() == redis.other.port
        redis.one.running.send_signal(signal.SIGCONT)
        await at_last(lambda: items(history), lambda found: found == ["item-1", "item-2"])
        assert await history.append([event(3)]) == [True]
        with redis.other.client() as new:
            assert sum(new.xlen(key) for key in new.keys("*:log")) == 3


async def test_without_any_sentinel_it_goes_on_with_the_primary_that_it_knows(redis: Cluster) -> None:
    async with open_history(redis.url(away=1)) as history:
        assert await history.append([event(1)]) == [True]
        await history.check()
        redis.sentinel.kill()
        assert await history.append([event(2)]) == [True]
        await asyncio.sleep(0.5)
        assert await items(history) == ["item-1", "item-2"]
        await history._writes.reconnect()  # as after an error: new connections, too
        assert await history.append([event(3)]) == [True]
        assert await items(history) == ["item-1", "item-2", "item-3"]


async def test_a_sentinel_that_is_away_at_the_start_is_told_and_found_when_it_comes(redis: Cluster) -> None:
    redis.sentinel.kill()
    async with open_history(redis.url(away=1)) as history:
        with pytest.raises(HistoryUnavailable, match=rf"no Sentinel names a .*{redis.sentinel.port}.*start it"):
            await history.check()
        redis.sentinel.start()
        await at_last(history.check)


async def test_a_wrong_service_is_told_with_those_that_there_are(redis: Cluster, tmp_path: Path) -> None:
    async with open_history(redis.url("mymaster")) as history:
        with pytest.raises(HistoryUnavailable, match=r"'mymaster' .*knows no service of that name, only shop: write"):
            await history.check()


def test_an_export_says_what_to_do(redis: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "events.parquet"
    assert export_events.main(["--redis", redis.url("mymaster"), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert "only shop: write the right one" in said
    assert "GEMSERVE_MANAGED_REDIS" not in said


async def test_passwords_of_redis_and_of_sentinels_are_apart(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with cluster(tmp_path, secret=True) as redis:
        async with open_history(redis.url()) as history:
            assert await history.append([event(1)]) == [True]
            redis.replicated()
            redis.fail_over()
            assert await at_last(lambda: history.append([event(2)])) == [True]
        out = tmp_path / "events.parquet"
        assert await asyncio.to_thread(export_events.main, ["--redis", redis.url(), "--out", str(out)]) == 0
        assert pq.read_table(out)["item_id"].to_pylist() == ["item-1", "item-2"]
        wrongs = {
            redis.url().partition("?")[0]: r"set sentinel_password=… behind the URL's \?",
            redis.url().replace("%2F7", "x"): r"set sentinel_password=… behind the URL's \?",
            redis.url().replace("hunter2", "hunter3"): "invalid username-password pair",
        }
        for url, told in wrongs.items():
            async with open_history(url) as history:
                with pytest.raises(HistoryUnavailable, match=told) as raised:
                    await history.check()
            assert export_events.main(["--redis", url, "--out", str(out)]) == 2
            printed = f"{raised.value!r} {capsys.readouterr()} {settings(url)!r} {history._reads.connections._pool!r}"
            for secret in (PASSWORD, SENTINEL_PASSWORD, "hunter", "sentinel%2F", "sentinel/"):
                assert secret not in printed


async def test_redis_and_its_sentinels_are_reached_with_tls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each with its own password, and through a failover."""
    with cluster(tmp_path, secret=True, certificate=make_certificate(tmp_path / "tls")) as redis:
        url = redis.url()
        async with open_history(url) as history:
            assert await history.append([event(1)]) == [True]
            redis.replicated()
            redis.fail_over()
            assert await at_last(lambda: history.append([event(2)])) == [True]
            assert await items(history) == ["item-1", "item-2"]
        out = tmp_path / "events.parquet"
        assert await asyncio.to_thread(export_events.main, ["--redis", url, "--out", str(out)]) == 0
        assert pq.read_table(out)["item_id"].to_pylist() == ["item-1", "item-2"]
        stranger = make_certificate(tmp_path / "stranger").file
        wrongs = {
            url.replace("rediss+", "redis+").partition("&ssl")[0]: r"or write rediss\+sentinel:// where it wants TLS",
            url.partition("&ssl")[0]: r"CERTIFICATE_VERIFY_FAILED.*ssl_ca_certs=FILE",
            url.replace(str(tmp_path / "tls/certificate.pem").replace("/", "%2F"), str(stranger)): "CERTIFICATE_VERIFY",
        }
        for wrong, told in wrongs.items():
            assert wrong != url
            async with open_history(wrong) as history:
                with pytest.raises(HistoryUnavailable, match=told) as raised:
                    await history.append([event(3)])
            for secret in (PASSWORD, SENTINEL_PASSWORD):
                assert secret not in f"{raised.value!r} {capsys.readouterr()}"


async def test_a_plain_address_with_tls_checks_whom_it_reaches(tmp_path: Path) -> None:
    for host, right in (("127.0.0.1", True), ("127.0.0.2", False)):
        certificate = make_certificate(tmp_path / host, host)
        server = Process(tmp_path / host / "redis", free_port(), [], PASSWORD, certificate=certificate)
        try:
            server.start(check_hostname=right)
            url = f"rediss://:hunter2%40home@127.0.0.1:{server.port}/0?ssl_ca_certs={certificate.file}"
            async with open_history(url) as history:
                if right:
                    assert await history.append([event(1)]) == [True]
                    assert await items(history) == ["item-1"]
                else:
                    with pytest.raises(HistoryUnavailable, match="IP address mismatch"):
                        await history.check()
        finally:
            server.kill()


async def test_a_primary_that_loads_its_data_is_used_again_when_it_has(tmp_path: Path) -> None:
    """It answers LOADING for a second or two, during which events are refused and none is lost."""
    with cluster(tmp_path, debug=True) as redis:
        redis.sentinel.kill()  # which would take a server that loads for one that is down
        redis.sentinel.lines[1] = "sentinel down-after-milliseconds shop 60000"
        async with open_history(redis.url()) as history:
            (redis.sentinel.folder / "redis.conf").unlink()
            redis.sentinel.folder.rename(tmp_path / "old")
            redis.sentinel.start()
            assert await history.append([event(1)]) == [True]
            with redis.one.client() as client:
                client.mset({f"key-{number}": number for number in range(2_000)})
                client.config_set("key-load-delay", 500)
                client.config_set("loading-process-events-interval-bytes", 1_024)
            with redis.one.client() as client:
                reload = asyncio.create_task(asyncio.to_thread(_reload, client))
                told = set()
                while not reload.done():
                    try:
                        await history.check()
                    except HistoryUnavailable as error:
                        told.add(str(error))
                    await asyncio.sleep(0.01)
            assert any("loading" in text.lower() for text in told), told
            assert await at_last(lambda: history.append([event(2)])) == [True]
            assert await items(history) == ["item-1", "item-2"]


def _reload(client: object) -> None:
    client.connection_pool.connection_kwargs["socket_timeout"] = 60  # type: ignore[attr-defined]
    client.execute_command("DEBUG", "RELOAD")  # type: ignore[attr-defined]
