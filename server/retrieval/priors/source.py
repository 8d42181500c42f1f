"""The prior of one bundle's catalog while it serves: what guides the search for a question.

Shapes: N items of a snapshot.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.priors.live.events import LIVE_SOURCES
from catalog.priors.live.recent import RecentEvents
from catalog.priors.priors import Priors
from catalog.priors.weights import PriorWeights
from catalog.priors.words import NO_WORDINGS, Wordings
from catalog.snapshot import Snapshot
from catalog.text.prompts import Task
from server.core import metrics
from server.engine.protocol import Engine
from server.retrieval.priors.asking import make_prior, match_words, open_priors, taken_together
from server.retrieval.priors.counting import count_events
from server.retrieval.priors.guided_by import GuidedBy
from server.retrieval.priors.state import PriorState, after_change, by_leaf
from server.retrieval.priors.trends import Trends
from server.storage.protocol import LoggedEvent

__all__ = ["PriorSource"]

THREADS = 2
"""More would take the interpreter's lock in turns; with one, a prior that hangs would keep all others waiting."""


class PriorSource:
    """Makes priors in threads of its own, so that slow ones keep nothing else waiting.

    exists: False for a bundle that was published without priors; nothing is asked of it.
    behind: whether the events that the log had when this catalog began to answer have yet to be counted.
    """

    def __init__(self, bundle: Bundle, engine: Engine) -> None:
        self.exists = bundle.has_priors
        self.behind = False
        self._bundle = bundle
        self._weights = bundle.event_weights
        self._engine = engine
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="prior")
        self._loaded: tuple[Priors, Mapping[Task, PriorWeights]] | None = None
        self._counting = asyncio.Lock()
        self._described = dict.fromkeys(LIVE_SOURCES, 0)
        self._waiting: Sequence[LoggedEvent] = ()
        self._renewable = False
        self._recent = RecentEvents()
        self._trends = Trends(self._recent)

    async def load(self) -> None:
        """Read what the bundle has, and ask it a few times: first questions are slow. Raises PriorsError."""
        if self.exists:
            self._loaded = await asyncio.to_thread(open_priors, self._bundle)

    def published(self, snapshot: Snapshot) -> PriorState | None:
        """The state of the catalog as it was published; None where the bundle has no priors."""
        return PriorState(None, snapshot.serial_N, np.arange(len(snapshot.items))) if self.exists else None

    async def changed(self, state: PriorState | None, snapshot: Snapshot, ids: Iterable[str]) -> PriorState | None:
        """The state after a change of the catalog. It is seen by questions that are asked of it, and by no others.

        snapshot: after the change.
        ids: of all items that it may have touched.
        Raises PriorsError.
        """
        if state is None:
            return None
        if state.priors is None:
            state = replace(state, priors=(await self._sources())[0])
        return await asyncio.to_thread(after_change, state, snapshot, ids)

    async def install(self, state: PriorState | None, installed: int) -> None:
        """Have the engine hold the static prior of an index that it holds under this number.

        Raises PriorsError, EngineError.
        """
        if state is None:
            return
        priors = await self._priors_of(state)
        self._renewable = False  # before it is read: what is counted from now on may be missing
        try:
            with metrics.STATIC_PRIOR_SECONDS.time():
                value_N = await asyncio.to_thread(lambda: priors.popularity_N[state.serial_N])
                await self._engine.install_static_prior(installed, value_N)
        except BaseException:
            self._renewable = True
            raise

    async def renew(self, state: PriorState | None, installed: int) -> None:
        """Install the static prior again where events were counted since. Raises PriorsError, EngineError."""
        if self._renewable:
            await self.install(state, installed)

    async def prior(
        self,
        task: Task,
        text: str | None,
        history: Sequence[int],
        state: PriorState,
        *,
        prefix: bool = True,
        wordings: Wordings = NO_WORDINGS,
        impressions: Sequence[tuple[int, int]] = (),
    ) -> GuidedBy:
        """What guides the search for one question. One that is cancelled before a thread takes it up costs nothing.

        text: what was typed; None for a recommendation.
        history: leaves of the history, oldest first.
        state: of the catalog that is searched.
        prefix: whether the last word of the text may be the beginning of one.
        wordings: what the text is also read as.
        impressions: what was shown and left, each a leaf and when it was, Unix ms.

        Raises PriorsError, and whatever a damaged source raises.
        """
        priors, (_, weights) = await self._priors_of(state), await self._sources()
        run = asyncio.get_running_loop().run_in_executor
        make = partial(make_prior, prefix=prefix, wordings=wordings, impressions=impressions)
        return await run(self._threads, make, priors, weights[task], text, history, state)

    async def matching(
        self, text: str, state: PriorState, *, prefix: bool = True, wordings: Wordings = NO_WORDINGS
    ) -> NDArray[np.uint8]:
        """Of every leaf 2 where the item has all words of a text, 1 where it has some, else 0: uint8 [N].

        The parameters and what is raised: as in `prior`.
        """
        priors = await self._priors_of(state)
        run = asyncio.get_running_loop().run_in_executor
        make = partial(match_words, prefix=prefix, wordings=wordings)
        return await run(self._threads, make, priors, text, state.serial_N)

    async def popularity(self, state: PriorState | None) -> Callable[[NDArray[np.int64]], NDArray[np.float64]]:
        """What says how popular the items of some leaves are, from 0 to 1, float64; of a bundle without priors all are
        0. Raises PriorsError."""
        if state is None:
            return lambda row_K: np.zeros(len(row_K))
        live, serial_N = (await self._priors_of(state)).live, state.serial_N
        return lambda row_K: live.popularity(serial_N[row_K])

    async def trending(self, state: PriorState) -> NDArray[np.float64]:
        """How much more every item is taken lately than it is on the whole, float64 [N]; see `trends`. It is counted
        once a second. Raises PriorsError."""
        live = (await self._priors_of(state)).live
        trend_S = await self._trends.of(live)
        return await asyncio.to_thread(by_leaf, trend_S, state.serial_N)

    async def together(self, history: Sequence[int], state: PriorState) -> NDArray[np.float64]:
        """How much every item was taken by those who took items of a history, float64 [N]: what item-kNN says.

        history: leaves, oldest first.
        Raises PriorsError.
        """
        live = (await self._priors_of(state)).live
        return await asyncio.to_thread(taken_together, live, history, state)

    def published_items(self) -> int:
        """How many items the bundle has: serial numbers from here on are of items that were written since."""
        return len(self._bundle.items)

    async def language(self) -> str | None:
        """Whose stems its words are found by; None for none, and where the bundle has no priors. Raises PriorsError."""
        return (await self._sources())[0].settings.words.language if self.exists else None

    async def counted_until(self) -> int | None:
        """The time of the newest event that the bundle learned from, Unix ms; None where it has no priors.

        Raises PriorsError.
        """
        return (await self._sources())[0].learned.until if self.exists else None

    async def count(self, events: Sequence[LoggedEvent], erased: Sequence[str], snapshot: Snapshot) -> None:
        """Count events, and then take back those of erased users; the next question sees it.

        snapshot: says which items there are; events with others wait until these come.
        Raises PriorsError.
        """
        async with self._counting:
            priors, _ = await self._sources()
            known = [*self._waiting, *events]
            try:
                counting = (priors, self._recent, known, erased, snapshot, self._weights)
                self._waiting = await asyncio.to_thread(count_events, *counting)
            finally:
                self._renewable = True  # after it is done: what reads popularity meanwhile may miss the rest
                self._describe(priors)

    async def count_waiting(self, snapshot: Snapshot) -> None:
        """Count what waited for items that came with this snapshot. Raises PriorsError."""
        if self._waiting:
            await self.count((), (), snapshot)

    def describe_in_metrics(self) -> None:
        """Set the gauges of what events have taught since."""
        if self._loaded is not None:
            metrics.EVENT_LAG_SECONDS.labels(self._bundle.version)  # so that the first one is an increase
            self._describe(self._loaded[0])

    def _describe(self, priors: Priors) -> None:
        live, model = priors.live, self._bundle.version
        metrics.REMEMBERED_EVENTS.labels(model).set(len(live))
        metrics.LIVE_PRIOR_BYTES.labels(model).set(live.nbytes)
        for source, counted in live.counted.items():
            metrics.EVENTS_COUNTED.labels(model, source).inc(counted - self._described[source])
        self._described = live.counted.copy()

    def close(self) -> None:
        """Take up nothing more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _priors_of(self, state: PriorState) -> Priors:
        return state.priors or (await self._sources())[0]

    async def _sources(self) -> tuple[Priors, Mapping[Task, PriorWeights]]:
        if self._loaded is None:
            await self.load()
        assert self._loaded is not None, "it exists"
        return self._loaded
