"""Events of the log reach the priors of every server. The log is in memory here."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import product

import numpy as np
import pytest
import structlog
from prometheus_client import REGISTRY

from catalog.data.changes import Upsert
from catalog.data.events import EventType
from catalog.data.tombstones import digest_of
from catalog.priors.live.events import MAX_OF_USER
from catalog.priors.priors import FEATURES
from server.core import metrics
from server.core.settings import Settings
from server.engine.errors import EngineUnavailable
from server.engine.protocol import PUBLISHED
from server.retrieval.live_catalog import LiveCatalog
from server.serving.manager import DeploymentManager
from server.serving.sync.event_sync import EventSync
from server.storage.protocol import Deed, LoggedEvent
from tests.support import small_shop
from tests.support.memory_log import START, MemoryLog
from tests.support.small_shop import NAMES, RecordingEngine, ShopBundle, make_deployments, make_manifest
from tests.support.waiting import until

SOON, NEVER = 0.01, 1_000
OLD, NEW = "2025-11-20-a", "2025-11-21-a"


@asynccontextmanager
async def server(settings: Settings, log: MemoryLog) -> AsyncIterator[LiveCatalog]:
    async with manager(settings, log, poll_seconds=SOON) as deployments:
        yield catalog_of(deployments)


@asynccontextmanager
async def manager(
    settings: Settings,
    log: MemoryLog,
    poll_seconds: float = NEVER,
    wait_seconds: float = 60,
    engine: RecordingEngine | None = None,
) -> AsyncIterator[DeploymentManager]:
    deployments = make_deployments(settings, engine)
    sync = EventSync(
        deployments.router, log, poll_seconds=poll_seconds, renew_seconds=poll_seconds, wait_seconds=wait_seconds
    )
    deployments.count_events_first(sync.catch_up)
    await deployments.start()
    await sync.start()
    yield deployments
    was_away = log.away
    await sync.stop()
    log.away = was_away
    await deployments.stop()


def catalog_of(deployments: DeploymentManager) -> LiveCatalog:
    return deployments.router.current.catalog


def event(user: str, item_id: str, query: str | None = None, *past: str) -> tuple[int, LoggedEvent]:
    return 1, LoggedEvent(digest_of(user), item_id, query, tuple(Deed(item, None) for item in past))


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


def typed(user: str, item_id: str, kind: EventType, query: str | None = None) -> tuple[int, LoggedEvent]:
    return 1, LoggedEvent(digest_of(user), item_id, query, type=kind.value)


async def test_a_dislike_takes_back_what_its_user_did_with_the_item_and_nothing_else(settings: Settings) -> None:
    log = MemoryLog()
    async with server(settings, log) as catalog:
        log.entries += [event("ada", NAMES[7]), event("ada", NAMES[8], "lilo"), event("bob", NAMES[8], "lilo")]
        await until(lambda: said(catalog, "same_clicks", NAMES[8], "lilo") == 1)
        assert said(catalog, "transitions", NAMES[8], history=NAMES[7]) > 0
        log.entries += [typed("ada", NAMES[8], EventType.DISLIKE), event("ada", NAMES[9], "sun")]
        await until(lambda: said(catalog, "same_clicks", NAMES[9], "sun") == 1)
        assert said(catalog, "transitions", NAMES[8], history=NAMES[7]) == 0
        assert said(catalog, "transitions", NAMES[9], history=NAMES[8]) == 0
        assert said(catalog, "transitions", NAMES[9], history=NAMES[7]) > 0
        assert said(catalog, "same_clicks", NAMES[8], "lilo") == 1, "of Bob"


@pytest.mark.parametrize(
    ("weights", "first"),
    [({}, NAMES[8]), ({"purchase": 5}, NAMES[9]), ({"purchase": 0}, NAMES[8]), ({"view": 0}, NAMES[9])],
)
async def test_the_weight_of_a_purchase_decides_what_is_recommended(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, weights: dict[str, float], first: str
) -> None:
    manifest = make_manifest().model_copy(update={"settings": {"events": {"weights": weights}}})
    monkeypatch.setattr(small_shop, "make_manifest", lambda: manifest)
    log = MemoryLog()
    async with server(settings, log) as catalog:
        log.entries += [typed(f"user {number}", NAMES[8], EventType.VIEW) for number in range(3)]
        log.entries += [typed(f"buyer {number}", NAMES[9], EventType.PURCHASE) for number in range(2)]
        log.entries.append(typed("last", NAMES[10], EventType.CART, "all is counted"))
        await until(lambda: said(catalog, "same_clicks", NAMES[10], "all is counted") == 1)
        counted_N = (await catalog.priors.popularity(catalog.searcher.priors))(np.arange(len(NAMES)))
        assert NAMES[int(counted_N.argmax())] == first
        assert said(catalog, "popularity", first) == counted_N.max()


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


async def activate(deployments: DeploymentManager) -> None:
    await deployments.activate(NEW)


async def roll_back(deployments: DeploymentManager) -> None:
    assert (await deployments.roll_back()).version == OLD


async def share(deployments: DeploymentManager) -> None:
    await deployments.share({OLD: 50, NEW: 50})


async def start_again(deployments: DeploymentManager) -> None:
    assert await deployments._rollout.replace(deployments.router.table.current)


@pytest.mark.parametrize(
    ("rollout", "comes_back"),
    [*product(["surge", "recreate"], [activate, roll_back, start_again]), ("surge", share)],
)
async def test_a_model_counts_the_log_before_it_answers(
    settings: Settings, rollout: str, comes_back: Callable[[DeploymentManager], Awaitable[None]]
) -> None:
    log, engine = MemoryLog(), RecordingEngine()
    async with manager(settings.model_copy(update={"rollout": rollout}), log, engine=engine) as deployments:
        if comes_back is roll_back:
            await deployments.activate(NEW)
        log.entries.append(event("ada", NAMES[9], "lilo"))
        await comes_back(deployments)
        for deployment in deployments.router.table.deployments[comes_back is share :]:
            assert said(deployment.catalog, "same_clicks", NAMES[9], "lilo") == 1
            assert not deployment.catalog.priors.behind
        assert most_popular(engine) == [NAMES[9]], "of items that no source lists"


async def test_a_server_counts_the_log_before_it_answers(settings: Settings) -> None:
    log = MemoryLog()
    log.entries.append(event("ada", NAMES[9], "lilo"))
    async with manager(settings, log) as deployments:
        assert said(catalog_of(deployments), "same_clicks", NAMES[9], "lilo") == 1


async def test_a_model_that_takes_over_knows_events_with_items_that_are_newer_than_its_bundle(
    settings: Settings,
) -> None:
    log = MemoryLog()
    async with manager(settings.model_copy(update={"rollout": "recreate"}), log) as deployments:
        await catalog_of(deployments).apply([Upsert({"item_id": "aaa", "title": "new"})])
        log.entries.append(event("ada", "aaa", "lilo"))
        await deployments.activate(NEW)
        assert said(catalog_of(deployments), "same_clicks", "aaa", "lilo") == 1


async def test_a_slow_log_is_waited_for_in_bounded_time_and_counts_once(settings: Settings) -> None:
    log = MemoryLog()
    log.entries.append(event("ada", NAMES[9], "lilo"))
    log.goes_on.clear()
    late = metrics.EVENT_CATCH_UPS.labels("late")._value.get()
    async with manager(settings, log, poll_seconds=SOON, wait_seconds=SOON) as deployments:
        catalog = catalog_of(deployments)
        assert catalog.priors.behind
        assert metrics.EVENT_CATCH_UPS.labels("late")._value.get() == late + 1
        log.goes_on.set()
        await until(lambda: not catalog.priors.behind)
        assert counted(catalog) == 1


async def test_a_model_that_comes_back_while_the_log_is_away_is_behind_until_it_returns(settings: Settings) -> None:
    log = MemoryLog()
    async with manager(settings, log, poll_seconds=SOON) as deployments:
        log.entries.append(event("ada", NAMES[9], "lilo"))
        log.away = True
        away = metrics.EVENT_CATCH_UPS.labels("away")._value.get()
        await deployments.activate(NEW)
        assert catalog_of(deployments).priors.behind
        assert metrics.EVENT_CATCH_UPS.labels("away")._value.get() == away + 1
        log.away = False
        await until(lambda: not catalog_of(deployments).priors.behind)
        assert said(catalog_of(deployments), "same_clicks", NAMES[9], "lilo") == 1


async def test_an_event_waits_for_its_item_and_nothing_else_is_lost(settings: Settings) -> None:
    log = MemoryLog()
    async with server(settings, log) as catalog:
        log.entries += [event("ada", "aaa", "lilo", NAMES[7]), event("ada", NAMES[8])]
        log.entries += [event("bob", "aaa", "lilo"), event("bob", NAMES[9], "lilo"), digest_of("bob")]
        await until(lambda: said(catalog, "transitions", NAMES[8], history=NAMES[7]) == 1)
        await until(lambda: len(catalog.priors._waiting) == 1)
        await catalog.apply([Upsert({"item_id": "aaa", "title": "new"})])
        assert said(catalog, "same_clicks", "aaa", "lilo") == 1
        assert counted(catalog) == 2, "each once, and those of bob not at all"


async def test_a_batch_that_cannot_be_counted_is_not_counted_again(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = MemoryLog()
    async with server(settings, log) as catalog:
        live = catalog._bundle.priors.live
        add = live.add

        def failing(user: str, item: int, query: str | None, past: list[tuple[int, float]], **weight: float) -> None:
            if query == "spoilt":
                raise ValueError("spoilt")
            add(user, item, query, past, **weight)

        monkeypatch.setattr(live, "add", failing)
        with structlog.testing.capture_logs() as logs:
            log.entries += [event("ada", NAMES[8], "lilo"), event("ada", NAMES[9], "spoilt")]
            await until(lambda: "events_not_counted" in [entry["event"] for entry in logs])
        log.entries.append(event("ada", NAMES[9], "lilo"))
        await until(lambda: counted(catalog) == 2)


def counted(catalog: LiveCatalog) -> int:
    return len(catalog._bundle.priors.live)


def most_popular(engine: RecordingEngine, installed: int = PUBLISHED) -> list[str]:
    """By the static prior of an index that the engine holds; none where nothing is popular."""
    static = engine._installed[installed].static_prior
    assert static is not None
    value_N = static.highest[-1]
    return [] if value_N.max() == 0 else [NAMES[row] for row in np.flatnonzero(value_N == value_N.max())]


async def test_popularity_in_the_engine_follows_events_without_another_index(settings: Settings) -> None:
    log, engine = MemoryLog(), RecordingEngine()
    async with manager(settings, log, poll_seconds=SOON, engine=engine) as deployments:
        index = engine._installed[PUBLISHED].index
        assert most_popular(engine) == []
        log.entries += [event("ada", NAMES[9]), event("bob", NAMES[9]), event("bob", NAMES[8])]
        await until(lambda: most_popular(engine) == [NAMES[9]])
        log.entries += [event("cleo", NAMES[8]), event("cleo", NAMES[8])]
        await until(lambda: most_popular(engine) == [NAMES[8]])
        log.entries.append(digest_of("cleo"))
        await until(lambda: most_popular(engine) == [NAMES[9]])
        log.entries += [digest_of("ada"), digest_of("bob")]
        await until(lambda: most_popular(engine) == [])
        assert engine._installed[PUBLISHED].index is index

        await catalog_of(deployments).apply([Upsert({"item_id": "aaa", "title": "new"})])
        newer = catalog_of(deployments).searcher.installed
        assert newer != PUBLISHED
        log.entries.append(event("ada", "aaa"))
        await until(lambda: popularity(engine, newer, catalog_of(deployments), "aaa") > 0)


def popularity(engine: RecordingEngine, installed: int, catalog: LiveCatalog, item_id: str) -> float:
    static, row = engine._installed[installed].static_prior, catalog.searcher.items.row_of(item_id)
    assert static is not None
    assert row is not None
    return float(static.highest[-1][row])


async def test_popularity_is_not_renewed_while_nothing_happens_and_after_a_failure_it_is(settings: Settings) -> None:
    log, engine = MemoryLog(), FailingEngine()
    async with manager(settings, log, poll_seconds=SOON, engine=engine) as deployments:
        catalog, before = catalog_of(deployments), engine.renewed
        for _ in range(3):
            await catalog.renew_static_prior()
        assert engine.renewed == before
        engine.fails = True
        with structlog.testing.capture_logs() as logs:
            log.entries.append(event("ada", NAMES[9]))
            await until(lambda: "popularity_not_renewed" in [entry["event"] for entry in logs])
            engine.fails = False
            await until(lambda: most_popular(engine) == [NAMES[9]])
        assert engine.renewed == before + 1


class FailingEngine(RecordingEngine):
    """Fails to take a static prior while it `fails`."""

    def __init__(self) -> None:
        super().__init__()
        self.fails = False
        self.renewed = 0

    async def install_static_prior(self, index_id: int, value_N: np.ndarray) -> None:
        if self.fails:
            raise EngineUnavailable("it died")
        self.renewed += 1
        await super().install_static_prior(index_id, value_N)


def sample(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(f"gemserve_{name}", labels) or 0.0


async def test_metrics_say_how_events_are_followed(settings: Settings) -> None:
    log = MemoryLog()
    async with manager(settings.model_copy(update={"rollout": "recreate"}), log) as deployments:
        catalog = catalog_of(deployments)
        sources = ("clicks", "transitions", "item_knn", "popularity")
        before = [sample("events_counted_total", model=OLD, source=source) for source in sources]
        observed = sample("event_lag_seconds_count", model=OLD)
        read, lagged = (sample(name, model=OLD) for name in (READ_AT, "event_lag_seconds_sum"))
        size = sample("live_prior_bytes", model=OLD)
        log.entries += [event("ada", NAMES[8], None, NAMES[7]), event("ada", NAMES[8], "lilo"), event("bob", NAMES[9])]
        await sync_of(deployments)(catalog)
        after = [sample("events_counted_total", model=OLD, source=source) for source in sources]
        assert np.subtract(after, before).tolist() == [1, 2, 2, 3]
        assert sample("remembered_events", model=OLD) == 3
        assert sample("event_lag_events", model=OLD) == 3
        assert sample("event_lag_seconds_count", model=OLD) == observed + 1
        assert sample("event_lag_seconds_sum", model=OLD) - lagged == pytest.approx(time.time() - START, rel=0.01)
        assert sample(READ_AT, model=OLD) > read
        assert sample("live_prior_bytes", model=OLD) > size
        log.entries.append(digest_of("ada"))
        await sync_of(deployments)(catalog)
        assert sample("remembered_events", model=OLD) == 1
        assert sample("event_lag_events", model=OLD) == 0
        assert [sample("events_counted_total", model=OLD, source=source) for source in sources] == after
        log.away, failed = True, sample("event_failures_total", reason="away")
        await sync_of(deployments)(catalog)
        assert sample("event_failures_total", reason="away") == failed + 1
        log.away = False
        await deployments.activate(NEW)
        assert sample("remembered_events", model=NEW) == 1
    for name in ("remembered_events", "live_prior_bytes", "event_lag_events", READ_AT):
        assert REGISTRY.get_sample_value(f"gemserve_{name}", {"model": OLD}) is None


READ_AT = "event_log_read_timestamp_seconds"


def sync_of(deployments: DeploymentManager) -> Callable[[LiveCatalog], Awaitable[None]]:
    return deployments._rollout.catch_up


def test_what_a_user_did_long_ago_is_not_counted_again_when_the_rest_is_forgotten() -> None:
    live = ShopBundle().priors.live
    for number in range(2 * MAX_OF_USER):
        live.add("ada", number % 7, "lilo")
    assert live.counted["popularity"] == live.counted["clicks"] == 2 * MAX_OF_USER
    assert len(live) <= MAX_OF_USER
