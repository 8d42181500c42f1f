"""Routing: which deployments answer queries now, and which of them answers a given one.

A query keeps the deployment that it was given. One that leaves the routing table is stopped when its last query is
answered. The catalogs of all deployments in the table change together.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TypeAlias

import structlog

from catalog.data.changes import Change, Outcome
from catalog.errors import CatalogError
from catalog.snapshot import Snapshot
from server.core import metrics
from server.core.errors import StartupError
from server.core.refcount import RefCounted
from server.core.tasks import Tasks
from server.engine.errors import EngineError, EngineUnavailable
from server.retrieval.live_catalog import LiveCatalog, Write
from server.serving.deployment import Deployment
from server.storage.shared.fleet_state import Routing

__all__ = ["LOAD_ERRORS", "DeploymentRef", "Router", "RoutingTable", "TrafficSplit"]

log = structlog.get_logger(__name__)

DeploymentRef: TypeAlias = RefCounted[Deployment]
Choose: TypeAlias = Callable[[str | None], Awaitable[DeploymentRef]]
HASH_BYTES = 8

LOAD_ERRORS = (CatalogError, EngineError, StartupError)
"""What making a deployment ready may raise."""


@dataclass(frozen=True, slots=True)
class TrafficSplit:
    """How several models share the queries.

    A stable hash of the user decides, so the same person is answered by the same model on every server and after a
    restart. When weights change, only as many users change their model as they must; another pair of models deals the
    users anew.

    weights: of every version, positive; a version's share is its weight's part of their sum.
    """

    weights: Mapping[str, int]

    def version_of(self, key: str) -> str:
        """The version that answers queries with this key: a user, a session, or a request id."""
        versions = sorted(self.weights)
        ends = list(accumulate(self.weights[version] for version in versions))
        named = "\0".join([*versions, key]).encode("utf-8", "surrogatepass")
        digest = hashlib.blake2b(named, digest_size=HASH_BYTES).digest()
        position = int.from_bytes(digest) * ends[-1] >> 8 * HASH_BYTES  # 0 … sum of weights - 1
        return next(version for version, end in zip(versions, ends, strict=True) if position < end)

    def without(self, version: str) -> TrafficSplit | None:
        """The split among the others; None if only one is left, which answers everything."""
        left = {name: weight for name, weight in self.weights.items() if name != version}
        return TrafficSplit(left) if len(left) > 1 else None


@dataclass(frozen=True, slots=True)
class RoutingTable:
    """The deployments that answer at one moment. A change makes a new table.

    current: the deployment that is served after a restart too.
    split: how all of them share the queries; None where `current` answers every one.
    others: the deployments beside the current one, by version; those without a weight answer nobody.
    """

    current: DeploymentRef
    split: TrafficSplit | None = None
    others: Mapping[str, DeploymentRef] = field(default_factory=dict)

    @property
    def refs(self) -> list[DeploymentRef]:
        """All of them, the current one first."""
        return [self.current, *self.others.values()]

    @property
    def deployments(self) -> list[Deployment]:
        """All of them, the current one first."""
        return [ref.value for ref in self.refs]

    @property
    def weights(self) -> dict[str, int]:
        """The weight of every version that answers."""
        return {self.current.value.version: 100} if self.split is None else dict(self.split.weights)

    @property
    def held(self) -> dict[str, DeploymentRef]:
        """All of them by version, also those that are ready and answer nobody yet."""
        return {self.current.value.version: self.current, **self.others}

    def pick(self, key: str | None) -> DeploymentRef:
        """The deployment for queries with this key; None gets the current one.

        While an engine is dead, the others answer for it.
        """
        chosen = self.current
        if self.split is not None and key is not None:
            chosen = self.others.get(self.split.version_of(key), self.current)
        if chosen.value.engine.alive:
            return chosen
        answering = (self.held[version] for version in self.weights if version in self.held)
        return next((ref for ref in answering if ref.value.engine.alive), chosen)

    def without(self, version: str) -> RoutingTable:
        """The table in which the others have this version's share."""
        assert version in self.others, "the current model cannot leave"
        others = {name: ref for name, ref in self.others.items() if name != version}
        split = self.split
        if split is not None and version in split.weights:
            split = split.without(version)
        return RoutingTable(self.current, split, others)

    def routed(self, routing: Routing, keep: Collection[str]) -> RoutingTable:
        """The table that answers by another routing, as far as its versions are here, and keeps those named beside."""
        held = self.held
        weights = {version: weight for version, weight in routing.shares.items() if version in held}
        current = held.get(routing.current, self.current)
        kept = {version: ref for version, ref in held.items() if version in weights or version in keep}
        others = {version: ref for version, ref in kept.items() if ref is not current}
        return RoutingTable(current, TrafficSplit(weights) if len(weights) > 1 else None, others)

    def with_replaced(self, old: DeploymentRef, new: DeploymentRef) -> RoutingTable:
        """The table with another deployment of the same version in the place of one of these."""
        if old is self.current:
            return replace(self, current=new)
        return replace(self, others={**self.others, new.value.version: new})


class Router:
    """Gives queries their deployments.

    changing: held while catalogs change, so that a deployment which catches up inside misses nothing.
    choose: where a fleet says which deployment of a table answers a key; None where the table says it.
    """

    def __init__(self) -> None:
        self.changing = asyncio.Lock()
        self.choose: Choose | None = None
        self._table: RoutingTable | None = None
        self._open = asyncio.Event()
        self._tasks = Tasks()

    @property
    def table(self) -> RoutingTable:
        """The present table."""
        assert self._table is not None, "there is none before the first deployment is ready"
        return self._table

    @property
    def held(self) -> Mapping[str, DeploymentRef]:
        """The deployments of the present table by version; none before the first is ready."""
        return {} if self._table is None else self._table.held

    @property
    def current(self) -> Deployment:
        """The current deployment, for a look; to answer with it, `use` it."""
        return self.table.current.value

    @asynccontextmanager
    async def use(self, key: str | None = None) -> AsyncIterator[Deployment]:
        """The deployment that answers a query with this key; it stays until the end of the block."""
        await self._open.wait()
        chosen = self.table.pick(key) if self.choose is None else await self.choose(key)
        with chosen.use() as deployment:
            yield deployment

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Queries that come inside wait."""
        self._open.clear()
        try:
            yield
        finally:
            self._open.set()

    def switch(self, table: RoutingTable) -> None:
        """Give the next query its deployment by this table.

        A deployment that is in it no more is stopped after its last query, unless another one has taken over its
        engine.
        """
        engines = {deployment.engine for deployment in table.deployments}
        left = [] if self._table is None else [ref for ref in self._table.refs if ref.value.engine not in engines]
        self._table = table
        for deployment in table.deployments:
            deployment.describe_in_metrics()
        metrics.TRAFFIC_WEIGHT.clear()
        for version, weight in table.weights.items():
            metrics.TRAFFIC_WEIGHT.labels(version).set(weight)
        for ref in left:
            self._tasks.start(self._stop_when_idle(ref))

    def start(self, first: DeploymentRef) -> None:
        """Admit queries, to this deployment."""
        self.switch(RoutingTable(first))
        self._open.set()

    async def discard(self, ref: DeploymentRef) -> None:
        """Stop a deployment that answers nobody."""
        await ref.value.stop()
        self.forget(ref.value.version)

    def forget(self, version: str) -> None:
        """Drop the metrics of a version, unless it is in the table."""
        if version not in self.table.held:
            metrics.forget(version)

    async def change(
        self,
        changes_of: Callable[[Snapshot], Sequence[Change]],
        number: int,
        write: Write,
    ) -> Outcome:
        """Change every catalog; afterwards they have this number.

        changes_of: makes the changes of the current catalog's snapshot, which nothing else changes meanwhile; called in
          a thread.
        write: awaited before anybody sees them, as of `LiveCatalog.apply`.

        Returns what came of it in the current catalog. Raises CatalogError, EngineUnavailable while the current engine
        is dead, and what `changes_of` and `write` raise; then nothing is changed.
        """
        async with self.changing:
            if not self.current.engine.alive:
                raise EngineUnavailable("items cannot be changed while the engine is started again: nothing is changed")
            catalog = self.current.catalog
            changes = await asyncio.to_thread(changes_of, catalog.searcher.snapshot)

            async def commit(last: Mapping[str, Change]) -> None:
                for ref in self.table.others.values():  # which need no store afterwards, so that all change or none
                    with suppress(CatalogError):
                        await ref.value.catalog.reserve(changes)
                await write(last)

            outcome = await catalog.apply(changes, number, commit)
            await self._change_others(lambda catalog: catalog.apply(changes, number))
            return outcome

    async def apply_remote(self, changes: Mapping[str, Change], number: int) -> None:
        """Change every catalog as other servers did, by item id; each rejects what it cannot take.

        Raises HistoryUnavailable, and then the current catalog has its old number: the changes may be applied again.
        """
        async with self.changing:
            await self._change_others(lambda catalog: catalog.apply_remote(changes, number))
            await self.current.catalog.apply_remote(changes, number)

    async def close(self) -> None:
        """Admit no more queries, and stop every deployment."""
        self._open.clear()
        await self._tasks.wait()
        if self._table is not None:
            for deployment in self._table.deployments:
                await deployment.stop()

    async def _change_others(self, change: Callable[[LiveCatalog], Awaitable[object]]) -> None:
        """Change the catalogs beside the current one; a model that cannot take what the current one took leaves."""
        for version, ref in self.table.others.items():
            try:
                await change(ref.value.catalog)
            except LOAD_ERRORS as error:
                if not ref.value.engine.alive:
                    continue  # what takes its place begins with the current items
                reason = f"it could not take a change of items: {error}"
                log.error("deployment_dropped", version=version, reason=reason)
                self.switch(self.table.without(version))

    async def _stop_when_idle(self, ref: DeploymentRef) -> None:
        await ref.wait_idle()
        await self.discard(ref)
