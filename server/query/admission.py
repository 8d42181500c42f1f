"""Admission control: a bounded number of queries run and a bounded queue waits, first come, first served.

A query that cannot be expected to meet its deadline is refused with 503 and Retry-After, when it comes or at the latest
when its turn comes. An engine that is asked for more than it can do would answer everybody too late.
`server/query/latency_estimator.py` learns how long queries take.

* While no query runs, none is refused, whatever the estimate is. So a wrong estimate, as after an exchange of the
  model, is put right by the next queries.
* The cost of queries is learnt only under load: while others wait, are refused or come too late. A query that runs
  alone costs an idle engine nothing that another would want.
* Queries of priority "batch", the lines of batches, do not count in the queue's length and wait as long as their
  deadlines allow. They hold a quarter of the slots at most.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from types import TracebackType
from typing import Literal

from server.core import errors, metrics
from server.core.errors import Problem
from server.query.latency_estimator import LatencyEstimator

__all__ = ["AdmissionQueue", "Priority", "Slot"]

BATCH_SHARE = 4  # batch queries hold one slot in so many, and one at least
QUIET_SHARE = 4  # of so many slots one taken: the engine has time left, and refusing one query helps no other
MAX_RETRY = 60  # seconds that a client is told to wait

Priority = Literal["interactive", "batch"]
Reason = Literal["full", "deadline", "gone"]


@dataclass(slots=True)
class Waiter:
    """A query in the queue. turn: whether it got its slot, once that is decided."""

    turn: asyncio.Future[bool]
    slot: Slot


class AdmissionQueue:
    """The slots of one event loop, and the queries that wait for one.

    slots: queries that run at the same time.
    max_waiting: interactive queries that wait; more are refused.
    clock: in seconds.
    """

    def __init__(self, slots: int, max_waiting: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._slots = slots
        self._max_waiting = max_waiting
        self._batch_slots = max(1, slots // BATCH_SHARE)
        self._clock = clock
        self._estimator = LatencyEstimator()
        self._tickets = count()
        self._interactive: OrderedDict[int, Waiter] = OrderedDict()
        self._batch: OrderedDict[int, Waiter] = OrderedDict()
        self._running = 0
        self._running_batch = 0
        self._loaded_at = -math.inf  # when there was last more to do than ran at once
        self._work = 0.0  # running queries, summed up over time, until _work_until
        self._work_until = clock()

    @property
    def running(self) -> int:
        """Queries that hold a slot."""
        return self._running

    @property
    def waiting(self) -> int:
        """Queries that wait, of both priorities."""
        return len(self._interactive) + len(self._batch)

    def slot(self, deadline: float, *, priority: Priority = "interactive") -> Slot:
        """A slot for one query. deadline: by the clock, when its result is of no use any more."""
        return Slot(self, deadline, priority)

    def describe_in_metrics(self) -> None:
        """Have the gauges show this queue from now on."""
        metrics.QUEUE_WAITING.set_function(lambda: self.waiting)
        metrics.SLOTS_TAKEN.set_function(lambda: self._running)

    async def acquire(self, slot: Slot) -> None:
        """Returns when the slot is held. Raises Problem (`overloaded`) where it cannot be in time."""
        now = self._clock()
        if self._is_free(slot):
            if not self._is_in_time(slot, now):
                raise self._refusal("deadline", self._latency(self._running + 1), slot.deadline - now)
            self._take(slot, now)
            metrics.QUEUE_SECONDS.observe(0.0)
            return
        if not slot.is_batch:
            self._check_queue(slot, now)
        await self._wait(slot, now)
        metrics.QUEUE_SECONDS.observe(self._clock() - now)

    def release(self, slot: Slot, *, complete: bool) -> None:
        """Give the slot to the next query. complete: whether this one got its result, and was not given up."""
        now = self._clock()
        self._count_work(now)
        if now >= slot.deadline or self._interactive or (self._batch and self._running == self._slots):
            self._loaded_at = now
        seconds = now - slot.since
        if seconds > 0 and self._loaded_at >= slot.since:
            mean_running = (self._work - slot.work) / seconds
            self._estimator.observe(seconds / mean_running, complete=complete)
        self._running -= 1
        self._running_batch -= slot.is_batch
        self._hand_on(now)

    async def _wait(self, slot: Slot, now: float) -> None:
        line = self._batch if slot.is_batch else self._interactive
        if self._running == self._slots:
            self._loaded_at = now
        loop = asyncio.get_running_loop()
        waiter, ticket = Waiter(loop.create_future(), slot), next(self._tickets)
        line[ticket] = waiter
        latest = slot.deadline if slot.is_batch else slot.deadline - self._estimator.queue_seconds(self._slots)
        timer = loop.call_later(max(0.0, latest - now), self._give_up, waiter)
        try:
            has_slot = await waiter.turn
        except asyncio.CancelledError:
            metrics.QUEUE_REFUSED.labels("gone").inc()
            if not waiter.turn.cancelled() and waiter.turn.result():
                self.release(slot, complete=False)
            raise
        finally:
            timer.cancel()
            line.pop(ticket, None)
        if not has_slot:
            left = slot.deadline - self._clock()
            raise self._refusal("deadline", self._latency(self._slots), left)

    def _hand_on(self, now: float) -> None:
        """Give free slots to the queries that wait, in the order in which they came."""
        while self._running < self._slots and (waiter := self._next()) is not None:
            if waiter.turn.done():  # it left, or gave up, a moment ago
                continue
            in_time = self._is_in_time(waiter.slot, now)
            if in_time:
                self._take(waiter.slot, now)
            waiter.turn.set_result(in_time)

    def _next(self) -> Waiter | None:
        lines = [self._interactive]
        if self._running_batch < self._batch_slots:
            lines.append(self._batch)
        filled = [line for line in lines if line]
        if not filled:
            return None
        return min(filled, key=lambda line: next(iter(line))).popitem(last=False)[1]

    def _take(self, slot: Slot, now: float) -> None:
        self._count_work(now)
        self._running += 1
        self._running_batch += slot.is_batch
        slot.since, slot.work = now, self._work

    def _count_work(self, now: float) -> None:
        self._work += self._running * (now - self._work_until)
        self._work_until = now

    def _is_free(self, slot: Slot) -> bool:
        return self._running < self._slots and not (slot.is_batch and self._running_batch >= self._batch_slots)

    def _is_in_time(self, slot: Slot, now: float) -> bool:
        """Whether a query that gets its slot now can be expected to meet its deadline."""
        if slot.is_batch or self._running == 0:
            return True
        return now + self._latency(self._running + 1) <= slot.deadline

    def _latency(self, running: int) -> float:
        """Seconds to be expected of a query that is one of so many that run."""
        return self._estimator.latency(running, pessimistic=running * QUIET_SHARE > self._slots)

    def _check_queue(self, slot: Slot, now: float) -> None:
        """Raises Problem for an interactive query that cannot wait here."""
        ahead = len(self._interactive)
        if ahead >= self._max_waiting:
            raise self._refusal("full", self._estimator.queue_seconds(ahead), 0.0)
        ahead += min(len(self._batch), ahead // (BATCH_SHARE - 1) + 1)  # no more of them come in between
        seconds = self._estimator.queue_seconds(ahead + 1) + self._latency(self._slots)
        if now + seconds > slot.deadline:
            raise self._refusal("deadline", seconds, slot.deadline - now)

    def _give_up(self, waiter: Waiter) -> None:
        if not waiter.turn.done():
            waiter.turn.set_result(False)

    def _refusal(self, reason: Reason, seconds: float, left: float) -> Problem:
        """seconds: what a result would have taken; for a full queue, until it is empty. left: before the deadline."""
        self._loaded_at = self._clock()
        metrics.QUEUE_REFUSED.labels(reason).inc()
        retry = min(MAX_RETRY, max(1, math.ceil(seconds - left)))
        if reason == "full":
            detail = f"{self._max_waiting} queries wait already, which is the most: ask again in {retry} s"
        else:
            detail = f"no answer can be expected in time now: ask again in {retry} s, or allow more time"
        return Problem(errors.OVERLOADED, detail, headers={"Retry-After": str(retry)})


class Slot:
    """One query's slot: `async with` it holds the slot. Entering raises Problem (`overloaded`) where it cannot be in
    time.

    since, work: when it was taken, and the queue's work until then.
    """

    __slots__ = ("_queue", "deadline", "is_batch", "since", "work")

    def __init__(self, queue: AdmissionQueue, deadline: float, priority: Priority) -> None:
        self._queue = queue
        self.deadline = deadline
        self.is_batch = priority == "batch"
        self.since = 0.0
        self.work = 0.0

    async def __aenter__(self) -> None:
        await self._queue.acquire(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.release(self, complete=kind is None)
