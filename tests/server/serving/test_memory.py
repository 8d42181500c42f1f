"""A rollout in a server's process: nobody waits for the garbage collector, and the former model is freed without it."""

import asyncio
import gc
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from catalog.bundle.bundle import Bundle
from catalog.data.changes import Upsert
from server.core.process import FROZEN, gc_freeze
from server.core.settings import Settings
from server.retrieval.live_catalog import Searcher
from server.serving.deployment import Deployment
from server.serving.manager import DeploymentManager
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names
from tests.support.waiting import until

OLD, NEW = "2025-11-20-a", "2025-11-21-a"
MAX_HOLD_SECONDS = 0.05
FEW = 20_000  # objects that a collection may look at: some milliseconds


class Ballast(ShopBundle):
    """A bundle of many small objects."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.ballast = [[] for _ in range(200_000)]


@pytest.fixture
def full_collections() -> Iterator[list[int]]:
    """As in a server's process; how many objects each full collection looks at."""
    seen: list[int] = []

    def note(phase: str, info: dict[str, Any]) -> None:
        if phase == "start" and info["generation"] == 2:
            seen.append(len(gc.get_objects()))

    gc_freeze()
    gc.callbacks.append(note)
    yield seen
    gc.callbacks.remove(note)
    gc.unfreeze()
    FROZEN.clear()


@pytest.fixture(params=["surge", "recreate"])
def settings(request: pytest.FixtureRequest, tmp_path: Path) -> Settings:
    publish_names(tmp_path, OLD, NEW)
    return Settings(bundles=tmp_path, answer_timeout_seconds=5, rollout=request.param)


def make_manager(settings: Settings) -> DeploymentManager:
    return DeploymentManager(settings, lambda _, version: cast(Bundle, Ballast(version)), lambda *_: RecordingEngine())


async def test_no_collection_looks_through_a_model(settings: Settings, full_collections: list[int]) -> None:
    deployments = make_manager(settings)
    await deployments.start()
    gc_freeze()
    full_collections.clear()
    for version in (NEW, OLD, NEW):
        await deployments.activate(version)
        await asyncio.sleep(0.02)
        assert len(gc.get_objects()) < FEW, "the model that has come is not frozen"
    assert max(full_collections) < FEW, "somebody waited for a full collection"
    await deployments.stop()


async def test_no_query_waits_for_the_loop(settings: Settings, full_collections: list[int]) -> None:
    """In processor time of the loop's thread, which other work on the machine does not change."""
    program = [[] for _ in range(700_000)]  # as many objects as vLLM's modules have
    deployments = make_manager(settings)
    await deployments.start()
    gc_freeze()
    steps: list[float] = []
    watching = asyncio.create_task(watch(steps))
    for version in (NEW, OLD):
        await deployments.activate(version)
        await asyncio.sleep(0.02)
    watching.cancel()
    assert max(steps) < MAX_HOLD_SECONDS
    await deployments.stop()
    del program


async def watch(steps: list[float]) -> None:
    while True:
        began = time.thread_time()
        await asyncio.sleep(0)
        steps.append(time.thread_time() - began)


async def test_the_former_model_is_freed_without_a_collection(settings: Settings, full_collections: list[int]) -> None:
    deployments = make_manager(settings)
    await deployments.start()
    deployment, searcher = await used(deployments)
    await deployments.router.change(lambda _: [Upsert({"item_id": "new", "title": "new"})], 1, nothing)
    gone = [weakref.ref(part) for part in (deployment, deployment.catalog, deployment.bundle, searcher.items)]
    if settings.rollout == "surge":
        gone.append(weakref.ref(deployment.engine))
    del deployment, searcher
    gc_freeze()
    gc.disable()
    try:
        await deployments.activate(NEW)
        await until(lambda: not any(ref() is not None for ref in gone), pause=0.01)
    finally:
        gc.enable()
    await deployments.stop()


async def used(deployments: DeploymentManager) -> tuple[Deployment, Searcher]:
    """The present deployment and searcher, which have answered a query with a filter."""
    async with deployments.router.use() as deployment:
        with deployment.catalog.use() as searcher:
            async with searcher.eligible.limit("price < 20"):
                return deployment, searcher


async def nothing(_: object) -> None:
    pass
