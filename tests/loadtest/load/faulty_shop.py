"""The small shop on a real socket with a real Redis, answering in this process, and able to answer wrongly."""

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow.parquet as pq

from catalog.facets import Facet
from catalog.suggestions import completions
from server.app.uvicorn_server import Server, bind, uvicorn_config
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.query.listing import counting
from server.retrieval.facets import facets_of
from server.storage.event_log import RedisEventLog
from server.storage.protocol import Event, History, PastEvents
from server.storage.redis_history import RedisHistory
from tests.support.memory_app import create_memory_app
from tests.support.small_shop import RecordingEngine, make_deployments, make_items, publish_names

START_SECONDS = 60


class FaultyEngine(RecordingEngine):
    """fault: `repeats`, `ignores filters`, or none that it knows."""

    fault = ""

    async def rank(self, request: RankRequest) -> Ranking:
        if self.fault == "ignores filters":
            request = replace(request, filter_id=None)
        ranking = await super().rank(request)
        if self.fault == "repeats" and len(ranking.leaves) > 1:
            return replace(ranking, leaves=(ranking.leaves[0], *ranking.leaves[:-1]))
        return ranking


class FaultyHistory(RedisHistory):
    """fault: `leaks`, `loses events`, or none that it knows."""

    fault = ""
    last_user = ""

    async def read(self, user: str, session: str | None = None) -> History:
        return await super().read(self._whose(user), session)

    async def past_events(self, user: str, limit: int) -> PastEvents:
        return await super().past_events(self._whose(user), limit)

    async def append(self, events: Sequence[Event]) -> list[bool]:
        self.last_user = events[-1].user_id
        if self.fault == "loses events":
            return [True for _ in events]
        return await super().append(events)

    def _whose(self, user: str) -> str:
        return self.last_user if self.fault == "leaks" and self.last_user else user


@dataclass
class FaultyShop:
    engine: FaultyEngine
    history: FaultyHistory
    items: Path
    url: str = ""
    ready: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def with_fault(self, fault: str) -> Iterator[None]:
        self.engine.fault = self.history.fault = fault
        try:
            with ExitStack() as patches:
                if fault == "counts wrongly":
                    patches.enter_context(patch.object(counting, "facets_of", self.count_twice))
                    patches.enter_context(patch.object(completions, "MIN_PEOPLE", 1))
                yield
        finally:
            self.engine.fault = self.history.fault = ""

    @staticmethod
    def count_twice(*given: Any, **options: Any) -> Mapping[str, Facet]:
        """Facets whose counts are twice what they are."""
        facets = facets_of(*given, **options)
        return {
            name: replace(facet, distribution={value: 2 * count for value, count in facet.distribution.items()})
            for name, facet in facets.items()
        }


@contextmanager
def faulty_shop(folder: Path, redis_url: str) -> Iterator[FaultyShop]:
    (folder / "bundles").mkdir()
    publish_names(folder / "bundles", "2025-11-20-a")
    settings = Settings(bundles=folder / "bundles", redis=redis_url, port=0, open_admin=True, guidance=False)
    pq.write_table(make_items().table, folder / "items.parquet")
    shop = FaultyShop(FaultyEngine(), FaultyHistory(settings.storage), folder / "items.parquet")
    app = create_memory_app(
        settings,
        lambda _: make_deployments(settings, shop.engine),
        history=shop.history,
        log=RedisEventLog(settings.storage),
    )
    server = Server(uvicorn_config(app, settings), "")

    async def answer() -> None:
        async with app.router.lifespan_context(app):
            listener = bind(settings)
            shop.url = "http://{}:{}".format(*listener.getsockname())
            shop.ready.set()
            await server.serve(sockets=[listener])

    thread = threading.Thread(target=asyncio.run, args=(answer(),), daemon=True)
    thread.start()
    assert shop.ready.wait(START_SECONDS)
    yield shop
    server.should_exit = True
    thread.join(START_SECONDS)
    assert not thread.is_alive()
