"""New items have one path in all servers: in those that lived through every change, and in those that replay the last.

The items are coded by their texts, as those of a real bundle. The store is in memory here;
`tests/integration/test_redis_item_paths.py` has a real one.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path
from typing import Self, cast

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from catalog.bundle.bundle import Bundle
from catalog.data.changes import AddedColumns, Change, Delete, Upsert
from catalog.data.items import Items
from catalog.ids.agreed_paths import Path as ItemPath
from catalog.ids.code_assigner import CodeAssigner
from catalog.ids.codes import Codebooks
from catalog.ids.embeddings import HashingEmbedder
from catalog.ids.index import ItemIndex
from catalog.snapshot import Snapshot
from server.core.errors import HistoryUnavailable
from server.core.refcount import RefCounted
from server.core.settings import Settings
from server.engine.protocol import RankRequest
from server.serving.deployment import Deployment
from server.serving.manager import DeploymentManager
from server.serving.router import Router, RoutingTable, TrafficSplit
from server.serving.sync.catalog_sync import CatalogSync
from tests.support.fake_engine import FakeEngine
from tests.support.memory_changes import MemoryChanges
from tests.support.small_shop import CODES_NL, NAMES, SIZES, ShopBundle, make_items, make_prompts, publish_names

OLD, NEW = "2025-11-20-a", "2025-11-21-a"
WORDS = ("red tent", "blue rope", "lamp", "green canoe")
PUBLISHED = 14
ITEM_IDS = (*NAMES[6:9], *(f"new-{number}" for number in range(6)))


@cache
def assigner(seed: int) -> CodeAssigner:
    """What codes the new items of a bundle; each seed codes them otherwise."""
    embedder = HashingEmbedder.fit([*make_items().texts(), *WORDS], 8)
    draw = np.random.default_rng(seed)
    return CodeAssigner(embedder, Codebooks(tuple(draw.normal(size=(size, 8)).astype(np.float32) for size in SIZES)))


class RoomyShop(ShopBundle):
    """The beginning of the small shop, so that there are free paths."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.items = Items(make_items().table.slice(0, PUBLISHED))
        self.codes_NL, self.index = CODES_NL[:PUBLISHED], roomy_index()
        self.prompts = make_prompts().with_codes(self.codes_NL)
        self.snapshot = Snapshot.published(self.items, self.codes_NL, self.index)


def roomy_index() -> ItemIndex:
    return ItemIndex.build(CODES_NL[:PUBLISHED], SIZES)[0]


class RoomyEngine(FakeEngine):
    def __init__(self) -> None:
        super().__init__(roomy_index())


def open_bundle(_: Settings, version: str) -> Bundle:
    bundle = RoomyShop(version)
    bundle.code_assigner = assigner(int(version == NEW))  # type: ignore[assignment]
    return cast(Bundle, bundle)


@asynccontextmanager
async def server(settings: Settings, store: MemoryChanges) -> AsyncIterator[tuple[DeploymentManager, CatalogSync]]:
    """A server that looks for changes of others when it is asked to."""
    deployments = DeploymentManager(settings, open_bundle, lambda *_: RoomyEngine())
    deployments.agree_on_paths(store)
    sync = CatalogSync(deployments.router, store, poll_seconds=1e9)
    await deployments.start()
    await sync.start()
    yield deployments, sync
    await sync.stop()
    store.away = False  # closed by this server, and not for the others
    await deployments.stop()


def paths(deployments: DeploymentManager, version: str | None = None) -> Mapping[str, ItemPath | None]:
    """The path of every item in the catalog of a version, by default the current one."""
    served = {one.version: one for one in deployments.router.table.deployments}
    return paths_of(served[version or deployments.router.current.version])


def paths_of(deployment: Deployment) -> Mapping[str, ItemPath | None]:
    snapshot = deployment.catalog.searcher.snapshot
    return {item_id: snapshot.path_of(item_id) for item_id in snapshot.items.ids}


async def answer(deployment: Deployment) -> list[tuple[str, float]]:
    """All that the engine finds for one prompt, with its scores."""
    with deployment.catalog.use() as searcher:
        shown = np.flatnonzero(searcher.snapshot.present_N).tolist()
        request = RankRequest([1, 2, 3], 50, 50, "q", index_id=searcher.installed, allow=shown)
        ranking = await deployment.engine.rank(request)
        found = [searcher.items.ids[leaf] for leaf in ranking.leaves]
    return list(zip(found, [float(score) for score in ranking.scores], strict=True))


item_ids = st.sampled_from(ITEM_IDS)
change = st.builds(
    lambda item_id, title: Upsert({"item_id": item_id, "title": title}), item_ids, st.sampled_from(WORDS)
) | st.builds(Delete, item_ids)
edits = st.lists(st.tuples(st.integers(0, 1), st.lists(change, min_size=1, max_size=3)), max_size=8)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    publish_names(tmp_path, OLD, NEW)
    return Settings(bundles=tmp_path)


class Server:
    """The part of a server that takes changes of items, with one model and no loading."""

    def __init__(self, store: MemoryChanges) -> None:
        self.store, self.router = store, Router()
        self.sync = CatalogSync(self.router, store, poll_seconds=1e9)

    async def start(self) -> Self:
        self.router.start(RefCounted(await self.deployment(OLD)))
        return self

    async def deployment(self, version: str) -> Deployment:
        engine = RoomyEngine()
        await engine.start()
        return Deployment(open_bundle(Settings(bundles=Path()), version), engine, self.store)

    async def activate(self, version: str) -> None:
        new = await self.deployment(version)
        await new.catch_up(self.router.current.catalog)
        self.router.switch(RoutingTable(RefCounted(new)))


async def state(server: Server) -> tuple[Mapping[str, ItemPath | None], list[tuple[str, float]]]:
    """The path of every item, deleted ones too, and an answer."""
    return paths_of(server.router.current), await answer(server.router.current)


@hypothesis_settings(max_examples=8, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(edits, st.booleans())
def test_who_replays_the_last_changes_serves_what_those_serve_who_lived_through_all(
    edits: Sequence[tuple[int, Sequence[Change]]], at_once: bool
) -> None:
    """Two servers are edited, in turns or at once; a third begins afterwards, and then all change the model."""

    async def run() -> None:
        store = MemoryChanges()
        servers = [await Server(store).start() for _ in range(2)]
        if at_once:
            await asyncio.gather(*(servers[who].sync.change(changes) for who, changes in edits))
        else:
            for who, changes in edits:
                await servers[who].sync.change(changes)
        servers.append(await Server(store).start())
        for server in servers:
            await server.sync._poll()
            assert await state(server) == await state(servers[0])
        for server in servers:
            await server.activate(NEW)
            assert await state(server) == await state(servers[0])
        for server in servers:
            await server.activate(OLD)
            assert await state(server) == await state(servers[0])

    asyncio.run(run())


async def test_who_replays_a_deletion_knows_the_words_of_the_item(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (one, a):
        await a.change([Upsert({"item_id": "new", "title": "Zephyrine"})])
        await a.change([Delete("new")])
        async with server(settings, changes) as (other, _):
            for deployments in (one, other):
                assert await deployments.router.current.catalog.spelling.correct("zephyrina") == "zephyrine"


async def test_of_two_servers_that_give_two_items_one_path_the_first_wins(
    settings: Settings, changes: MemoryChanges
) -> None:
    """Both code before either has written: the one that is second codes its item anew."""
    async with server(settings, changes) as (one, a), server(settings, changes) as (other, b):
        title = WORDS[0]
        await asyncio.gather(
            a.change([Upsert({"item_id": "a", "title": title})]), b.change([Upsert({"item_id": "b", "title": title})])
        )
        for sync in (a, b):
            await sync._poll()
        assert paths(one) == paths(other)
        assert paths(one)["a"] != paths(one)["b"]


async def test_models_that_share_the_requests_are_told_apart(settings: Settings, changes: MemoryChanges) -> None:
    """Each has paths of its own, and those who load them later have the same."""
    async with server(settings, changes) as (one, a), server(settings, changes) as (other, b):
        await one.share(TrafficSplit({OLD: 1, NEW: 1}).weights)
        for number, title in enumerate(WORDS):
            await a.change([Upsert({"item_id": f"new-{number}", "title": title})])
        await a.change([Delete("new-1")])
        await b._poll()
        await other.share(TrafficSplit({OLD: 1, NEW: 1}).weights)
        for version in (OLD, NEW):
            assert paths(one, version) == paths(other, version)
        assert paths(one, OLD) != paths(one, NEW)


async def test_a_server_that_cannot_agree_does_not_change(settings: Settings, changes: MemoryChanges) -> None:
    """While the store is away another model cannot code the new items; the one that is served stays."""
    async with server(settings, changes) as (one, a):
        await a.change([Upsert({"item_id": "new", "title": WORDS[0]})])
        changes.away = True
        with pytest.raises(Exception, match=r"is not served, .* still is: Redis failed"):
            await one.activate(NEW)
        with pytest.raises(HistoryUnavailable):
            await a.change([Upsert({"item_id": "newer", "title": WORDS[0]})])
        assert "newer" not in paths(one)
        changes.away = False
        await one.activate(NEW)


async def test_a_deleted_item_has_its_path_also_when_a_column_of_it_is_gone(
    settings: Settings, changes: MemoryChanges
) -> None:
    """Whoever replays the deletion reads a record that was written when the column was there."""
    async with server(settings, changes) as (one, a):
        await a.change([AddedColumns({"x": pa.int64(), "y": pa.string()})])
        await a.change([Upsert({"item_id": "new", "title": WORDS[0], "x": 1, "y": "y"})])
        await a.change([Delete("new")])
        await a.change([AddedColumns({})])
        await a.change([AddedColumns({"x": pa.string()})])
        async with server(settings, changes) as (other, _):
            assert paths(other)["new"] is not None
            assert paths(other) == paths(one)
            await other.activate(NEW)
            assert "new" in paths(other)


async def test_a_store_that_lost_everything_is_told_the_paths_again(settings: Settings, changes: MemoryChanges) -> None:
    async with server(settings, changes) as (one, a):
        for number in range(3):
            await a.change([Upsert({"item_id": f"new-{number}", "title": WORDS[number]})])
        await a.change([Delete("new-1")])
        changes.number, changes.changes, changes.path_of = 0, {}, {}
        await a._poll()
        async with server(settings, changes) as (other, _):
            assert paths(other) == paths(one)
