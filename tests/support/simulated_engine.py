"""Questions that come at random to an engine of known capacity, in virtual time, with a queue before it or without."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from server.core.errors import Problem
from server.query.admission import AdmissionQueue, Priority

__all__ = ["CAPACITY", "Outcome", "SimulatedEngine", "Traffic", "percentile", "simulate"]

CAPACITY = 100.0  # answers a second, while at least KNEE queries are under way
KNEE = 8
BATCH_SECONDS = 30.0  # of a line of a batch


class SimulatedEngine:
    """Shares itself among the queries under way, as one that computes them in batches.

    Up to KNEE of them go as fast as one alone, more share its capacity. What queries cost is lognormal.
    """

    def __init__(self, draws: random.Random, spread: float, slowdown: Callable[[float], float]) -> None:
        self._draws = draws
        self._spread = spread
        self._slowdown = slowdown
        self._left: dict[asyncio.Event, float] = {}  # by query, seconds of the engine alone
        self._changed = 0.0
        self._timer: asyncio.TimerHandle | None = None

    async def answer(self) -> None:
        done = asyncio.Event()
        self._advance()
        self._left[done] = self._draws.lognormvariate(-(self._spread**2) / 2, self._spread) / CAPACITY
        self._plan()
        try:
            await done.wait()
        finally:
            self._advance()
            self._left.pop(done, None)
            self._plan()

    def _pace(self) -> float:
        """Of each query."""
        return 1 / (max(len(self._left), KNEE) * self._slowdown(self._changed))

    def _advance(self) -> None:
        now = asyncio.get_running_loop().time()
        worked = (now - self._changed) * self._pace()
        for done in self._left:
            self._left[done] -= worked
        self._changed = now

    def _plan(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._left:
            next_one = max(0.0, min(self._left.values()) / self._pace())
            self._timer = asyncio.get_running_loop().call_later(min(next_one, 0.25), self._finish)

    def _finish(self) -> None:
        self._advance()
        for done in [done for done, left in self._left.items() if left <= 1e-9]:
            del self._left[done]
            done.set()
        self._plan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """load: times the engine's capacity. deadlines: seconds, one of which each query has.

    batch: lines, in one batch of sixteen at a time. slowdown: of the engine, by time.
    """

    load: float
    seconds: float = 30.0
    deadlines: Sequence[float] = (1.0,)
    spread: float = 0.5
    batch: int = 0
    slowdown: Callable[[float], float] = lambda _: 1.0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """times: when each answer came that came in time. refused: seconds until it was told, of queries without a slot.

    used: the part of its deadline that each query with a slot took; over 1 is late.
    """

    seconds: float
    times: list[float] = field(default_factory=list)
    used: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    lines: int = 0

    @property
    def goodput(self) -> float:
        return self.goodput_between(0.0, self.seconds)

    def goodput_between(self, begin: float, end: float) -> float:
        """Answers in time, a second."""
        return sum(begin <= time < end for time in self.times) / (end - begin)

    @property
    def late(self) -> int:
        return sum(used > 1 for used in self.used)


def percentile(values: Sequence[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


async def simulate(traffic: Traffic, *, queue: bool = True) -> Outcome:
    """What becomes of the traffic. A query that is late is given up at its deadline, as the server does."""
    loop, draws = asyncio.get_running_loop(), random.Random(traffic.seed)
    engine = SimulatedEngine(draws, traffic.spread, traffic.slowdown)
    line = AdmissionQueue(32, 256, loop.time)
    outcome = Outcome(traffic.seconds)

    async def ask(seconds: float, *, priority: Priority = "interactive") -> bool:
        arrived = loop.time()
        slot = line.slot(arrived + seconds, priority=priority) if queue else contextlib.nullcontext()
        try:
            async with slot:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout_at(arrived + seconds):
                        await engine.answer()
                        outcome.used.append((loop.time() - arrived) / seconds)
                        outcome.times.append(loop.time())
                        return True
                outcome.used.append(1.01)
        except Problem:
            outcome.refused.append(loop.time() - arrived)
        return False

    async def work(lines: list[int]) -> None:
        while lines:
            lines.pop()
            answered = await ask(BATCH_SECONDS, priority="batch")
            outcome.lines += answered

    asking: set[asyncio.Task[bool] | asyncio.Task[None]] = set()
    lines = list(range(traffic.batch))
    async with asyncio.TaskGroup() as group:
        for _ in range(min(16, traffic.batch)):
            asking.add(group.create_task(work(lines)))
        while loop.time() < traffic.seconds:
            asking.add(group.create_task(ask(draws.choice(traffic.deadlines))))
            await asyncio.sleep(draws.expovariate(traffic.load * CAPACITY))
    assert (line.running, line.waiting) == (0, 0)
    return outcome
