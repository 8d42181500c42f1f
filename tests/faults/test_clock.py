"""A clock that steps back, the server's or that of Redis: nothing is lost, doubled, or refused."""

from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio import Redis

from catalog.bundle.folder import current_bundle, publish, published_versions
from server.query.cursor import CursorCodec
from server.query.types import Query
from server.storage import redis_history as store
from server.storage.keyspace import KEYS, bucket_of
from tests.support.redis_store import Connect, connect, event, items_of, log_of, raw
from tests.support.small_shop import make_manifest

__all__ = ["connect", "raw"]

pytestmark = pytest.mark.integration

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The server's time in ms, as its only element."""
    now = [1_750_000_000_000]
    monkeypatch.setattr(store, "_now", lambda: now[0])
    return now


async def test_event_ids_are_remembered_when_the_servers_clock_steps_back(connect: Connect, clock: list[int]) -> None:
    history = connect(event_id_days=7)
    assert await history.append([event(1)]) == [True]
    clock[0] -= 30 * DAY_MS
    assert await history.append([event(1), event(2)]) == [False, True]
    clock[0] += 30 * DAY_MS
    assert await history.append([event(1), event(2), event(3)]) == [False, False, True]
    assert await items_of(history) == ["i1", "i2", "i3"]


async def test_event_ids_are_forgotten_in_the_order_in_which_they_came(
    connect: Connect, raw: Redis, clock: list[int]
) -> None:
    history = connect(event_ids=2)
    for number, step in enumerate([0, -DAY_MS, -DAY_MS]):
        clock[0] += step
        await history.append([event(number)])
    assert await history.append([event(2), event(1)]) == [False, False]
    assert await history.append([event(0)]) == [True]


async def test_the_log_goes_on_when_the_clock_of_redis_steps_back(connect: Connect, raw: Redis) -> None:
    history = connect()
    log = KEYS.bucket_key("log", bucket_of("ada"))
    await history.append([event(1)])
    (first, _), *_ = await raw.xrange(log)
    ahead = int(first.partition("-")[0]) + HOUR_MS  # as it was before Redis's clock stepped back
    await raw.xdel(log, await raw.xadd(log, {"erased": ""}, id=f"{ahead}-0"))
    assert await history.append([event(2), event(3)]) == [True, True]
    assert [fields["event_id"] for fields in await log_of(raw)] == ["e1", "e2", "e3"]
    assert await history.erase("ada") == 3
    assert await history.append([event(4)]) == [True]  # somebody came back: this is after the erasure
    assert await history.erase("nobody") == 0
    assert [fields["event_id"] for fields in await log_of(raw)] == ["e4"]
    assert await items_of(history) == ["i4"]


def test_a_cursor_from_the_future_is_taken() -> None:
    now = [1_750_000_000.0]
    cursors = CursorCodec(("a secret of sixteen",), clock=lambda: now[0])
    query = Query(request_id="first", kind="search", text="tent", k=2)
    cursor = cursors.next_cursor(query, cursors.decode(query), ["a", "b"])
    now[0] -= 2 * 3_600
    page = cursors.decode(replace(query, cursor=cursor))
    assert page.shown == ("a", "b")
    assert cursors.next_cursor(query, page, ["c", "d"]) is not None


def test_a_bundle_with_a_name_of_earlier_is_made_current(tmp_path: Path) -> None:
    for version in ("20260102-000000", "20260101-000000"):
        manifest = make_manifest().model_copy(update={"version": version})
        publish(tmp_path, manifest, lambda draft: (draft / "model").mkdir())
        assert current_bundle(tmp_path).name == version
    assert len(published_versions(tmp_path)) == 2
