"""Events of the log reach the priors of every server. The log is in memory here."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import structlog

from catalog.data.changes import Upsert
from catalog.data.tombstones import digest_of
from catalog.priors.priors import FEATURES
from server.core.settings import Settings
from server.retrieval.live_catalog import LiveCatalog
from server.serving.event_sync import EventSync
from server.serving.manager import DeploymentManager
from server.storage.protocol import LoggedEvent
from tests.support.memory_log import MemoryLog
from tests.support.small_shop import NAMES, make_deployments

SOON = 0.01


@asynccontextmanager
async def server(settings: Settings, log: MemoryLog) -> AsyncIterator[LiveCatalog]:
    deployments = make_deployments(settings)
    sync = EventSync(deployments.router, log, poll_seconds=SOON)
    await deployments.start()
    await sync.start()
    yield catalog_of(deployments)
    was_away = log.away
    await sync.stop()
    log.away = was_away
    await deployments.stop()


def catalog_of(deployments: DeploymentManager) -> LiveCatalog:
    return deployments.router.current.catalog


def event(user: str, item_id: str, query: str | None = None, *past: str) -> tuple[int, LoggedEvent]:
    return 1, LoggedEvent(digest_of(user), item_id, query, past)


def said(
    catalog: LiveCatalog, feature: str, item_id: str, query: str | None = None, history: str | None = None
) -> float:
    """What a feature of the priors is for an item; 0 where it is no candidate."""
    state = catalog.searcher.priors
    assert state is not None
    priors = state.priors or catalog._bundle.priors
    row, past = catalog.searcher.items.row_of(item_id), catalog.searcher.items.row_of(history or "")
    assert row is not None
    found = priors.candidates(query, state.serial_N[np.array([] if past is None else [past], np.int64)])
    here = found.value_CF[found.item_C == state.serial_N[row], FEATURES.index(feature)]
    return float(here.sum())


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(SOON)


async def test_every_server_counts_an_event_and_takes_it_back_when_its_user_is_erased(settings: Settings) -> None:
    log = MemoryLog()
    async with server(settings, log) as one, server(settings, log) as other:
        assert said(one, "same_clicks", NAMES[9], "lilo") == 0
        log.entries += [event("ada", NAMES[8], None, NAMES[7]), event("ada", NAMES[9], "Lilo")]
        for catalog in (one, other):
            await until(lambda catalog=catalog: said(catalog, "same_clicks", NAMES[9], "lilo") == 1)  # type: ignore[misc]
            assert said(catalog, "transitions", NAMES[8], history=NAMES[7]) == 1, "from what was before the log"
            assert said(catalog, "transitions", NAMES[9], history=NAMES[8]) == 1
            assert said(catalog, "popularity", NAMES[9]) > 0
        log.entries.append(digest_of("ada"))
        for catalog in (one, other):
            await until(lambda catalog=catalog: said(catalog, "same_clicks", NAMES[9], "lilo") == 0)  # type: ignore[misc]
            assert said(catalog, "transitions", NAMES[9], history=NAMES[8]) == 0
            assert said(catalog, "popularity", NAMES[9]) == 0


async def test_a_server_begins_with_what_the_log_has_and_waits_while_it_is_away(settings: Settings) -> None:
    log = MemoryLog()
    log.entries += [event("ada", NAMES[9], "lilo"), event("ada", "unheard of", "lilo")]
    log.away = True
    with structlog.testing.capture_logs() as logs:
        async with server(settings, log) as catalog:
            await until(lambda: "events_unavailable" in [entry["event"] for entry in logs])
            assert said(catalog, "same_clicks", NAMES[9], "lilo") == 0
            log.away = False
            await until(lambda: said(catalog, "same_clicks", NAMES[9], "lilo") == 1)
    told = [entry["event"] for entry in logs]
    assert told.count("events_unavailable") == 1
    assert "events_not_counted" not in told


async def test_events_count_for_items_that_are_new(settings: Settings) -> None:
    log = MemoryLog()
    async with server(settings, log) as catalog:
        await catalog.apply([Upsert({"item_id": "aaa", "title": "new"})])
        log.entries.append(event("ada", "aaa", "lilo"))
        await until(lambda: said(catalog, "same_clicks", "aaa", "lilo") == 1)
        await catalog.apply([Upsert({"item_id": "aab", "title": "newer"})])
        assert said(catalog, "same_clicks", "aaa", "lilo") == 1
        assert said(catalog, "same_clicks", "aab", "lilo") == 0
