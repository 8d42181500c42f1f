"""Who is answered now, who waits, and who is told at once to come back later.

An engine that is asked for more than it can do answers everybody too late, and work that nobody waits for any more is
all it does. So a bounded number of questions is under way, a bounded number waits, first come, first served, and a
question that is not expected to be answered by its deadline is refused: best when it comes, at the latest when its turn
comes. `server/query/latency_estimator.py` learns what to expect.

* Nobody is refused while nobody is under way, whatever is expected. So a wrong expectation, such as after an exchange
  of the model, is put right by the next answers.
* What answers cost is learnt only while there is more to do than is done at once: while questions wait, are refused or
  come too late. Of an idle engine, an answer uses no more than what nobody else wants.
* *Patient* questions, the lines of batches, wait as long as their deadline allows, however many they are, and hold a
  quarter of the places at most.
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

__all__ = ["AnswerQueue", "Place"]

PATIENT_SHARE = 4  # patient questions hold one place in so many, and one at least
QUIET_SHARE = 4  # of so many places one taken: the engine has time left, and refusing one question helps no other
LONGEST_RETRY = 60  # seconds that a client is told to wait

Reason = Literal["full", "deadline", "gone"]


@dataclass(slots=True)
class Waiter:
    """turn: whether it has a place, when that is decided."""

    turn: asyncio.Future[bool]
    place: Place


class AnswerQueue:
    """concurrent: places, each for one question under way. length: most questions that wait, patient ones not counted.

    clock: in seconds. For one event loop.
    """

    def __init__(self, concurrent: int, length: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._concurrent = concurrent
        self._length = length
        self._patient_places = max(1, concurrent // PATIENT_SHARE)
        self._clock = clock
        self._expectation = LatencyEstimator()
        self._tickets = count()
        self._waiting: OrderedDict[int, Waiter] = OrderedDict()
        self._patient: OrderedDict[int, Waiter] = OrderedDict()
        self._taken = 0
        self._taken_patient = 0
        self._pressed = -math.inf  # when there was last more to do than was done at once
        self._work = 0.0  # questions under way, summed up over time, until _work_until
        self._work_until = clock()

    @property
    def taken(self) -> int:
        """Questions under way."""
        return self._taken

    @property
    def waiting(self) -> int:
        """Questions that wait, patient ones included."""
        return len(self._waiting) + len(self._patient)

    def place(self, deadline: float, *, patient: bool = False) -> Place:
        """A place for one question; deadline: by the clock, when its answer is of no use any more."""
        return Place(self, deadline, patient)

    def describe_in_metrics(self) -> None:
        """Have the gauges show this queue from now on."""
        metrics.QUEUE_WAITING.set_function(lambda: self.waiting)
        metrics.PLACES_TAKEN.set_function(lambda: self._taken)

    async def enter(self, place: Place) -> None:
        """Returns when the place is taken. Raises Problem where there is none in time."""
        now = self._clock()
        if self._is_free(place):
            if not self._is_in_time(place, now):
                raise self._refusal("deadline", self._seconds(self._taken + 1), place.deadline - now)
            self._take(place, now)
            metrics.QUEUE_SECONDS.observe(0.0)
            return
        if not place.patient:
            self._check_queue(place, now)
        await self._wait(place, now)
        metrics.QUEUE_SECONDS.observe(self._clock() - now)

    def leave(self, place: Place, *, answered: bool) -> None:
        """Give the place to the next. answered: the question was, and not given up."""
        now = self._clock()
        self._count_work(now)
        if now >= place.deadline or self._waiting or (self._patient and self._taken == self._concurrent):
            self._pressed = now
        seconds = now - place.since
        if seconds > 0 and self._pressed >= place.since:
            together = (self._work - place.work) / seconds
            self._expectation.learn(seconds / together, complete=answered)
        self._taken -= 1
        self._taken_patient -= place.patient
        self._hand_on(now)

    async def _wait(self, place: Place, now: float) -> None:
        line = self._patient if place.patient else self._waiting
        if self._taken == self._concurrent:
            self._pressed = now
        loop = asyncio.get_running_loop()
        waiter, ticket = Waiter(loop.create_future(), place), next(self._tickets)
        line[ticket] = waiter
        latest = place.deadline if place.patient else place.deadline - self._expectation.wait(self._concurrent)
        timer = loop.call_later(max(0.0, latest - now), self._give_up, waiter)
        try:
            has_place = await waiter.turn
        except asyncio.CancelledError:
            metrics.QUEUE_REFUSED.labels("gone").inc()
            if not waiter.turn.cancelled() and waiter.turn.result():
                self.leave(place, answered=False)
            raise
        finally:
            timer.cancel()
            line.pop(ticket, None)
        if not has_place:
            left = place.deadline - self._clock()
            raise self._refusal("deadline", self._seconds(self._concurrent), left)

    def _hand_on(self, now: float) -> None:
        """Give free places to those who wait, in the order in which they came."""
        while self._taken < self._concurrent and (waiter := self._next()) is not None:
            if waiter.turn.done():  # it left, or gave up, a moment ago
                continue
            in_time = self._is_in_time(waiter.place, now)
            if in_time:
                self._take(waiter.place, now)
            waiter.turn.set_result(in_time)

    def _next(self) -> Waiter | None:
        lines = [self._waiting] if self._taken_patient >= self._patient_places else [self._waiting, self._patient]
        filled = [line for line in lines if line]
        if not filled:
            return None
        return min(filled, key=lambda line: next(iter(line))).popitem(last=False)[1]

    def _take(self, place: Place, now: float) -> None:
        self._count_work(now)
        self._taken += 1
        self._taken_patient += place.patient
        place.since, place.work = now, self._work

    def _count_work(self, now: float) -> None:
        self._work += self._taken * (now - self._work_until)
        self._work_until = now

    def _is_free(self, place: Place) -> bool:
        return self._taken < self._concurrent and not (place.patient and self._taken_patient >= self._patient_places)

    def _is_in_time(self, place: Place, now: float) -> bool:
        """Whether it can be expected to be answered by its deadline, if it gets a place now."""
        if place.patient or self._taken == 0:
            return True
        return now + self._seconds(self._taken + 1) <= place.deadline

    def _seconds(self, together: int) -> float:
        """To be expected of a question that is one of so many under way."""
        return self._expectation.answer(together, surely=together * QUIET_SHARE > self._concurrent)

    def _check_queue(self, place: Place, now: float) -> None:
        """Raises Problem for a question that cannot wait here."""
        ahead = len(self._waiting)
        if ahead >= self._length:
            raise self._refusal("full", self._expectation.wait(ahead), 0.0)
        ahead += min(len(self._patient), ahead // (PATIENT_SHARE - 1) + 1)  # no more of them come in between
        seconds = self._expectation.wait(ahead + 1) + self._seconds(self._concurrent)
        if now + seconds > place.deadline:
            raise self._refusal("deadline", seconds, place.deadline - now)

    def _give_up(self, waiter: Waiter) -> None:
        if not waiter.turn.done():
            waiter.turn.set_result(False)

    def _refusal(self, reason: Reason, seconds: float, left: float) -> Problem:
        """seconds: that an answer would have taken, of those that were left; for a full queue, until it is empty."""
        self._pressed = self._clock()
        metrics.QUEUE_REFUSED.labels(reason).inc()
        retry = min(LONGEST_RETRY, max(1, math.ceil(seconds - left)))
        if reason == "full":
            detail = f"{self._length} questions wait already, which is the most: ask again in {retry} s"
        else:
            detail = f"no answer can be expected in time now: ask again in {retry} s, or allow more time"
        return Problem(errors.OVERLOADED, detail, headers={"Retry-After": str(retry)})


class Place:
    """`async with` it: inside, the question is under way. Raises Problem (`overloaded`) where it cannot be in time."""

    __slots__ = ("_queue", "deadline", "patient", "since", "work")

    def __init__(self, queue: AnswerQueue, deadline: float, patient: bool) -> None:
        self._queue = queue
        self.deadline = deadline
        self.patient = patient
        self.since = 0.0
        self.work = 0.0

    async def __aenter__(self) -> None:
        await self._queue.enter(self)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._queue.leave(self, answered=kind is None)
