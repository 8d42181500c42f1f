"""The schedule of an engine benchmark: all engines answer in turns, within a budget of time.

A *sample* is one batch of new prompts. Every engine answers it, one after another (`fresh`), and those with a prefix
cache answer it once more (`cached`), so both modes see the same prompts and the same state of the machine. Slow engines
get fewer samples: at first only cells are measured that take a small share of the budget, and engines without a cache
answer one request at a time only.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from loadtest.engine.peers.process import OURS, Reply
from loadtest.engine.peers.protocol import Prompt

__all__ = ["Answerer", "Cell", "Deadline", "RoundRobin", "Tally"]

Mode = Literal["fresh", "cached"]
MODES: tuple[Mode, ...] = ("fresh", "cached")

SHARE = 0.03
"""Share of the budget that one sample of one engine may take while there are cheaper ones to repeat."""
RESERVE = 0.15
"""Share of the budget that is reserved for the cells that take more than that."""
CERTAINTY = 0.5
"""Share of the time left that a sample may be expected to take; estimates are rough."""

LOOPS = 2
MIN_CALLERS = 4
"""A closed loop has LOOPS requests a caller, and at least LOOPS * MIN_CALLERS."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The setting of a measurement."""

    engine: str
    beam: int
    concurrency: int
    mode: Mode


class Answerer(Protocol):
    """An engine that answers prompts, such as a PeerProcess."""

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> Reply:
        """Answer all prompts with a beam of `width`, at most `concurrency` at a time; the answers and the time."""


class Deadline:
    """The end of a budget of seconds, which begins when the object is made."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._end = time.monotonic() + budget

    @property
    def left(self) -> float:
        """Seconds until the end; negative after it."""
        return self._end - time.monotonic()


@dataclass(slots=True)
class Tally:
    """Counts of an engine's answers.

    returned: leaves.
    invalid: those that are no item.
    duplicates: those that an answer has twice.
    """

    returned: int = 0
    invalid: int = 0
    duplicates: int = 0

    def count(self, leaves: Sequence[Sequence[int]]) -> None:
        """Add these answers."""
        for answer in leaves:
            items = [leaf for leaf in answer if leaf >= 0]
            self.returned += len(answer)
            self.invalid += len(answer) - len(items)
            self.duplicates += len(items) - len(set(items))


class RoundRobin:
    """Has the engines answer in turns and keeps the measurements.

    engines: by name, in the order of their turns, which rotates.
    cached: names of those with a prefix cache.
    draw: makes so many new prompts.

    Attributes:
        seconds: the time of every sample of a cell, until all its prompts were answered.
        rates: our requests a second in a closed loop.
        tallies: counts of all answers, by engine.
    """

    def __init__(
        self,
        engines: Mapping[str, Answerer],
        cached: Sequence[str],
        draw: Callable[[int], list[Prompt]],
        deadline: Deadline,
    ) -> None:
        self._engines = engines
        self._cached = cached
        self._draw = draw
        self._deadline = deadline
        self._expected: dict[str, dict[tuple[int, int], float]] = {name: {} for name in engines}
        self._turn = 0
        self.seconds: dict[Cell, list[float]] = {}
        self.rates: dict[Cell, float] = {}
        self.tallies = {name: Tally() for name in engines}

    def warm_up(self, beams: Sequence[int]) -> None:
        """Every engine answers two prompts with every beam width; the second gives the first estimate of its time."""
        for name in self._engines:
            for beam in beams:
                for _ in range(2):
                    self.ask(name, self._draw(1), beam, 1)

    def loop(self, beams: Sequence[int], concurrencies: Sequence[int]) -> None:
        """Measure `rates`: as many callers as the concurrency, each of whom sends one request after another."""
        for beam, concurrency in itertools.product(beams, concurrencies):
            prompts = self._draw(LOOPS * max(concurrency, MIN_CALLERS))
            for mode in MODES:
                reply = self.ask(OURS, prompts, beam, concurrency)
                self.rates[Cell(OURS, beam, concurrency, mode)] = len(prompts) / reply.seconds

    def run(self, beams: Sequence[int], concurrencies: Sequence[int], repeats: int) -> None:
        """Measure up to `repeats` samples of every cell, cheap ones first; then one of each cell without any."""
        cells = sorted(itertools.product(beams, concurrencies), key=math.prod)
        budget = self._deadline.budget
        for _, (beam, concurrency) in itertools.product(range(repeats), cells):
            if self._deadline.left > RESERVE * budget:
                asked = [name for name in self._engines if concurrency == 1 or name in self._cached]
                self._sample(asked, beam, concurrency, SHARE * budget)
        for beam, concurrency in cells:
            without = [name for name in self._engines if Cell(name, beam, concurrency, "fresh") not in self.seconds]
            if without:
                compared = [name for name in self._engines if name in without or name == OURS]
                self._sample(compared, beam, concurrency, budget)

    def ask(self, name: str, prompts: Sequence[Prompt], beam: int, concurrency: int) -> Reply:
        """Have one engine answer, and count its answers."""
        reply = self._engines[name].answer(prompts, beam, concurrency)
        self.tallies[name].count(reply.leaves)
        self._expected[name][beam, concurrency] = reply.seconds * concurrency / len(prompts)
        return reply

    def _sample(self, names: Sequence[str], beam: int, concurrency: int, most: float) -> None:
        prompts = self._draw(concurrency)
        self._turn += 1
        first = self._turn % len(names)
        due = [name for name in (*names[first:], *names[:first]) if self._affordable(name, beam, concurrency, most)]
        for mode in MODES:
            for name in [name for name in due if mode == "fresh" or name in self._cached]:
                reply = self.ask(name, prompts, beam, concurrency)
                self.seconds.setdefault(Cell(name, beam, concurrency, mode), []).append(reply.seconds)

    def _affordable(self, name: str, beam: int, concurrency: int, most: float) -> bool:
        """Whether a sample would take at most `most` seconds, and a fair share of the time left.

        It is estimated from samples of smaller beams and concurrencies: no engine's time grows faster than with the
        square of the beam width.
        """
        expected = min(
            seconds * (beam / known_beam) ** 2 * concurrency / known
            for (known_beam, known), seconds in self._expected[name].items()
            if known_beam <= beam and known <= concurrency
        )
        times = 2 if name in self._cached else 1
        return expected <= most and times * expected <= CERTAINTY * self._deadline.left
