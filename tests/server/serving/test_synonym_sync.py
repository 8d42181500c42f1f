"""The synonyms of several servers on one store, which is in memory here, and what metrics say of following them."""

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import get_args

import pytest
import structlog
from prometheus_client import REGISTRY

from catalog.priors.words import SynonymSet
from server.core.errors import HistoryUnavailable
from server.core.metrics import Followed
from server.retrieval.synonym_reader import SynonymReader
from server.serving.sync.shared_sync import POLL_SECONDS
from server.serving.sync.synonym_sync import MAX_PHRASES, SynonymSync
from server.storage.protocol import StoredSynonyms
from tests.support.memory_shared import MemorySynonyms
from tests.support.virtual_time import run

SEATS = SynonymSet("seats", ("sofa", "couch"))
ONE_WAY = SynonymSet("way", ("tent",), "yurt")


def sample(name: str, **labels: str) -> float:
    value = REGISTRY.get_sample_value(f"gemserve_{name}", labels)
    return math.nan if value is None else value


@asynccontextmanager
async def following(store: MemorySynonyms, poll_seconds: float = POLL_SECONDS) -> AsyncIterator[SynonymSync]:
    sync = SynonymSync(SynonymReader(), store, poll_seconds=poll_seconds)
    await sync.start()
    try:
        yield sync
    finally:
        await sync.stop()


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.25, 0.49, 0.5, 0.75])
def test_a_change_at_one_server_holds_at_the_other_within_a_second(moment: float) -> None:
    async def change() -> None:
        store = MemorySynonyms()
        async with following(store) as one, following(store) as other:
            await asyncio.sleep(moment)
            assert await one.put(SEATS)
            assert one.entries == {"seats": SEATS}, "at once where it was asked for"
            await asyncio.sleep(1)
            assert other.entries == {"seats": SEATS}
            assert await other.delete("seats")
            await asyncio.sleep(1)
            assert one.entries == {}

    run(change())


def test_metrics_say_what_holds_and_how_others_are_followed() -> None:
    async def follow() -> None:
        store = MemorySynonyms()
        async with following(store) as one, following(store):
            await one.put(SEATS)
            await one.put(ONE_WAY)
            await asyncio.sleep(1)
            assert [sample(f"synonym{name}") for name in ("_sets", "_phrases", "s_version")] == [2, 4, 2]
            read = sample("follow_read_timestamp_seconds", what="synonyms")
            before = [sample("follow_failures_total", what="synonyms", reason=one) for one in ("away", "failed")]
            store.away = True
            await asyncio.sleep(2 * POLL_SECONDS)
            after = [sample("follow_failures_total", what="synonyms", reason=one) for one in ("away", "failed")]
            assert after[0] >= before[0] + 2
            assert after[1] == before[1]
            assert sample("follow_read_timestamp_seconds", what="synonyms") == read, "not read since"
            assert sample("synonym_sets") == 2, "they hold"
            store.away, store.stored = False, StoredSynonyms(0, {})
            await asyncio.sleep(1)
            assert store.stored.entries == {"seats": SEATS, "way": ONE_WAY}, "an emptied store is told"
            assert sample("synonyms_version") == store.stored.number == 3
            assert sample("follow_read_timestamp_seconds", what="synonyms") > read
            await one.delete("seats")
            assert [sample(f"synonym{name}") for name in ("_sets", "_phrases", "s_version")] == [1, 2, 4]

    run(follow())


def test_a_look_that_fails_is_told_from_one_that_finds_nothing() -> None:
    class Damaged(MemorySynonyms):
        async def number(self) -> int:
            raise TypeError("what nobody thought of")

    async def follow() -> float:
        with structlog.testing.capture_logs() as logs:
            async with following(Damaged()):
                pass
        assert [line["event"] for line in logs] == ["synonyms_not_read"]
        return sample("follow_failures_total", what="synonyms", reason="failed")

    assert run(follow()) + 1 == run(follow())


@pytest.mark.parametrize("what", get_args(Followed))
@pytest.mark.parametrize("reason", ["away", "failed"])
def test_failures_are_counted_from_none(what: str, reason: str) -> None:
    """A series that begins with the first failure would not show it as an increase."""
    assert sample("follow_failures_total", what=what, reason=reason) >= 0


async def test_others_that_write_all_the_time_leave_all_as_it_was() -> None:
    class Busy(MemorySynonyms):
        async def write(self, *_: object, expected: int, number: int) -> bool:
            return False

    async with following(Busy()) as sync:
        with pytest.raises(HistoryUnavailable, match="try again"):
            await sync.put(SEATS)
        assert sync.entries == {}


def test_the_bound_is_of_words_and_phrases() -> None:
    assert MAX_PHRASES == 10_000, "tests/hostile/test_event_loop.py is of so many"
