"""The prior of one bundle's catalog while it serves: what guides the search for a question.

The priors know items by their serial numbers, which stay; their leaves move when items are inserted.

Shapes: N items of a snapshot, S serial numbers, H items of a history.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from catalog.bundle.bundle import Bundle
from catalog.data.event_weights import EventWeights
from catalog.data.events import EventType
from catalog.data.items import Items
from catalog.errors import PriorsError
from catalog.priors.live.events import LIVE_SOURCES, LiveEvents
from catalog.priors.live.recent import RecentEvents, trends
from catalog.priors.live.shown import NOTHING_SHOWN, SHOWN, shown
from catalog.priors.priors import FEATURES, Priors
from catalog.priors.weights import PriorWeights
from catalog.priors.words import NO_WORDINGS, Wordings
from catalog.snapshot import Snapshot
from catalog.text.prompts import TASKS, Task
from server.core import metrics
from server.engine.protocol import Engine
from server.retrieval.guided_by import GuidedBy, guided_by
from server.storage.protocol import Deed, History, LoggedEvent

__all__ = ["PriorSource", "PriorState"]

THREADS = 2
"""More would take the interpreter's lock in turns; with one, a prior that hangs would keep all others waiting."""
TRENDS_SECONDS = 1.0
MAX_WAITING = 1_000
"""Events with items that are not here yet which are kept until they are."""

SHOWN_COLUMN = FEATURES.index(SHOWN)

Number = TypeVar("Number", np.float64, np.uint8)


@dataclass(frozen=True, slots=True, eq=False)
class PriorState:
    """The priors of one state of the catalog.

    priors: None for those of the bundle as it was published, which may not be read yet.
    serial_N: the serial number of the item of every leaf, int64.
    leaf_S: the leaf of every serial number, int64; -1 where there is no such item.
    """

    priors: Priors | None
    serial_N: NDArray[np.int64]
    leaf_S: NDArray[np.int64]


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
            self._loaded = await asyncio.to_thread(_opened, self._bundle)

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
        return await asyncio.to_thread(_changed, state, snapshot, ids)

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
        make = partial(_prior, prefix=prefix, wordings=wordings, impressions=impressions)
        return await run(self._threads, make, priors, weights[task], text, history, state)

    async def matching(
        self, text: str, state: PriorState, *, prefix: bool = True, wordings: Wordings = NO_WORDINGS
    ) -> NDArray[np.uint8]:
        """Of every leaf 2 where the item has all words of a text, 1 where it has some, else 0: uint8 [N].

        The parameters and what is raised: as in `prior`.
        """
        priors = await self._priors_of(state)
        run = asyncio.get_running_loop().run_in_executor
        make = partial(_matching, prefix=prefix, wordings=wordings)
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
        return await asyncio.to_thread(_of_leaves, trend_S, state.serial_N)

    async def together(self, history: Sequence[int], state: PriorState) -> NDArray[np.float64]:
        """How much every item was taken by those who took items of a history, float64 [N]: what item-kNN says.

        history: leaves, oldest first.
        Raises PriorsError.
        """
        live = (await self._priors_of(state)).live
        return await asyncio.to_thread(_together, live, history, state)

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
                self._waiting = await asyncio.to_thread(_count, *counting)
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


class Trends:
    """Trends of all items by their serial numbers, counted anew when they are a second old."""

    def __init__(self, recent: RecentEvents, clock: Callable[[], float] = time.time) -> None:
        """clock: Unix seconds."""
        self._recent = recent
        self._clock = clock
        self._counting = asyncio.Lock()
        self._counted: tuple[float, LiveEvents, NDArray[np.float64]] | None = None

    async def of(self, live: LiveEvents) -> NDArray[np.float64]:
        """float64 [S]; items that came within the last second may be missing."""
        async with self._counting:
            now = self._clock()
            counted = self._counted
            if counted is None or counted[1] is not live or not 0 <= now - counted[0] < TRENDS_SECONDS:
                counted = now, live, await asyncio.to_thread(self._count, live, int(1_000 * now))
                self._counted = counted
            return counted[2]

    def _count(self, live: LiveEvents, now: int) -> NDArray[np.float64]:
        all_S = live.events_of_all()
        return trends(self._recent.decayed(now, len(all_S)), all_S)


def _of_leaves(value_S: NDArray[Number], serial_N: NDArray[np.int64]) -> NDArray[Number]:
    """The values of all leaves, by those of serial numbers; an item that came since has 0."""
    value_N = np.zeros(len(serial_N), value_S.dtype)
    known_N = serial_N < len(value_S)
    value_N[known_N] = value_S[serial_N[known_N]]
    return value_N


def _together(live: LiveEvents, history: Sequence[int], state: PriorState) -> NDArray[np.float64]:
    item_C, value_C = live.taken_together(state.serial_N[np.array(history, np.int64)])
    value_N = np.zeros(len(state.serial_N))
    known_C = item_C < len(state.leaf_S)
    leaf_C = state.leaf_S[item_C[known_C]]
    value_N[leaf_C[leaf_C >= 0]] = value_C[known_C][leaf_C >= 0]
    value_N[list(history)] = 0
    return value_N


def _opened(bundle: Bundle) -> tuple[Priors, Mapping[Task, PriorWeights]]:
    priors, weights = bundle.priors, bundle.prior_weights
    title, leaf_N = bundle.items.title(0), np.arange(len(bundle.items))
    state = PriorState(priors, leaf_N, leaf_N)
    try:
        for task, history in product(TASKS, ([], [0])):
            _prior(priors, weights[task], title if task == "search" else None, history, state)
        _matching(priors, title, leaf_N)
    except Exception as error:
        raise PriorsError(f"the priors of {bundle.version} cannot be asked: {error!r}; publish it again") from error
    return priors, weights


def _changed(state: PriorState, snapshot: Snapshot, ids: Iterable[str]) -> PriorState:
    assert state.priors is not None, "they are read before they are changed"
    rows = np.array([row for row in map(snapshot.items.row_of, ids) if row is not None], np.int64)
    present, new = snapshot.present_N[rows], snapshot.serial_N[rows] >= len(state.leaf_S)
    priors = state.priors
    if len(rows) > 0:
        written, gone = rows[present | new], snapshot.serial_N[rows[~present & ~new]]
        items = Items(snapshot.items.table.take(written))
        priors = priors.with_items(snapshot.serial_N[written], items, gone.tolist())
    if (new & ~present).any():  # deleted before they came here: as in catalogs that had them first
        written, gone = rows[:0], snapshot.serial_N[rows[new & ~present]]
        priors = priors.with_items(written, Items(snapshot.items.table.slice(0, 0)), gone.tolist())
    leaf_S = state.leaf_S
    if snapshot.serial_N is not state.serial_N:
        leaf_S = np.full(int(snapshot.serial_N.max(initial=-1)) + 1, -1, np.int64)
        leaf_S[snapshot.serial_N] = np.arange(len(snapshot.serial_N))
    return PriorState(priors, snapshot.serial_N, leaf_S)


def _count(
    priors: Priors,
    recent: RecentEvents,
    events: Sequence[LoggedEvent],
    erased: Sequence[str],
    snapshot: Snapshot,
    weights: EventWeights,
) -> Sequence[LoggedEvent]:
    """Returns the events with items that the snapshot does not have."""

    def serial(item_id: str) -> int | None:
        row = snapshot.items.row_of(item_id)
        return None if row is None else int(snapshot.serial_N[row])

    def counted(past: Sequence[Deed]) -> list[tuple[int, float]]:
        own = History.of(past, 0, weights=weights).counted
        return [(n, weights.of(kind, value)) for item, _, kind, value in own if (n := serial(item)) is not None]

    waiting: list[LoggedEvent] = []
    past_of: dict[str, tuple[Deed, ...]] = {}  # of users whose first event waits
    for event in events:
        past = event.past or past_of.pop(event.user, ())
        own, weight = serial(event.item_id), weights.of(event.type, event.value)
        if event.type == EventType.DISLIKE:
            past = tuple(deed for deed in past if deed.item_id != event.item_id)
            waiting = [other for other in waiting if (other.user, other.item_id) != (event.user, event.item_id)]
            if own is not None:
                priors.live.dislike(event.user, own, counted(past))
                recent.dislike(event.user, own)
        elif own is None and weight > 0:
            waiting.append(event)
        if own is None or weight == 0:
            past_of[event.user] = past
            continue
        priors.live.add(event.user, own, event.query, counted(past), weight=weight)
        recent.add(event.user, own, event.timestamp, weight)
    for user in erased:
        priors.live.erase(user)
        recent.erase(user)
    gone = set(erased)
    return [event for event in waiting if event.user not in gone][-MAX_WAITING:]


def _prior(
    priors: Priors,
    weights: PriorWeights,
    text: str | None,
    history: Sequence[int],
    state: PriorState,
    *,
    prefix: bool = True,
    wordings: Wordings = NO_WORDINGS,
    impressions: Sequence[tuple[int, int]] = (),
) -> GuidedBy:
    history_H = state.serial_N[np.array(history, np.int64)]
    left = NOTHING_SHOWN
    if weights.feature_F[SHOWN_COLUMN] != 0:  # bundles of before there were impressions answer as they did
        leaf_I, time_I = np.array(impressions, np.int64).reshape(-1, 2).T
        left = shown(state.serial_N[leaf_I], time_I, int(1_000 * time.time()))
    candidates = priors.candidates(text, history_H, prefix=prefix, wordings=wordings, shown=left)
    return guided_by(priors, weights, candidates, history_H, state.serial_N, state.leaf_S)


def _matching(
    priors: Priors, text: str, serial_N: NDArray[np.int64], *, prefix: bool = True, wordings: Wordings = NO_WORDINGS
) -> NDArray[np.uint8]:
    return _of_leaves(priors.matching(text, prefix=prefix, wordings=wordings), serial_N)
