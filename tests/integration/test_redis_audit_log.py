"""The audit log in a real Redis."""

from dataclasses import replace

import pytest
from redis.asyncio import Redis

from server.core.errors import HistoryUnavailable
from server.storage.keyspace import AUDIT_LENGTH, KEYS
from server.storage.protocol import AuditPage, ChangeMade
from server.storage.shared.audit_log import RedisAuditLog
from tests.support.redis_store import settings

pytestmark = pytest.mark.integration
CHANGE = ChangeMade("r0", "3f1c0a9be277", "opß", "192.0.2.7", "PUT", "/items/{item_id}", {"item_id": "a/b"}, 200)


async def test_what_was_added_is_read_the_newest_first(redis_url: str) -> None:
    audit_log = RedisAuditLog(settings(redis_url))
    changes = [replace(CHANGE, request_id=f"r{n}") for n in range(5)]
    for change in changes:
        await audit_log.add(change)
    first = await audit_log.latest(3)
    assert [one.change for one in first.changes] == changes[:1:-1]
    assert first.more
    rest = await audit_log.latest(3, first.changes[-1].name)
    assert [one.change for one in rest.changes] == changes[1::-1]
    assert not rest.more
    assert await audit_log.latest(3, "0-0") == AuditPage((), more=False)
    await audit_log.close()


async def test_it_is_bounded(redis_url: str, raw: Redis) -> None:
    audit_log = RedisAuditLog(settings(redis_url))
    async with raw.pipeline() as pipeline:
        for _ in range(AUDIT_LENGTH + 500):
            pipeline.xadd(KEYS.audit, {"change": "old"})
        await pipeline.execute()
    await audit_log.add(CHANGE)
    assert AUDIT_LENGTH <= await raw.xlen(KEYS.audit) < AUDIT_LENGTH + 300
    assert [one.change for one in (await audit_log.latest(0)).changes] == []
    with pytest.raises(HistoryUnavailable, match="not as this server writes it"):
        await audit_log.latest(2)
    await audit_log.close()
