"""Who answers what when: all engines in turns, within a budget of time.

A *sample* is one batch of new prompts, asked of every engine one after another (`fresh`) and then once more of those
that keep what they have computed (`cached`), so both modes see the same prompts and the same state of the machine.
Slow engines get fewer samples: first only cells are measured that take a small share of the budget, and those without
a cache with one request at a time only.
"""

import itertools
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from loadtest.peers.process import OURS, Reply
from loadtest.peers.protocol import Prompt

__all__ = ["Answerer", "Cell", "Deadline", "Rounds", "Tally"]

Mode = Literal["fresh", "cached"]
MODES: tuple[Mode, ...] = ("fresh", "cached")

SHARE = 0.03
"""Of the budget, what one sample of one engine may take while there are cheaper ones to repeat."""
RESERVE = 0.15
"""Of the budget, what is left for the cells that take more than that."""
CERTAINTY = 0.5
"""Of the time left, what a sample is expected to take at most; estimates are rough."""

LOOPS = 2
LEAST_CALLERS = 4
"""A closed loop has this many requests a caller, and is not shorter than with so many callers."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a time belongs to."""

    engine: str
    beam: int
    concurrency: int
    mode: Mode


class Answerer(Protocol):
    """A PeerProcess."""

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> Reply:
        """Timed answers to all prompts."""


class Deadline:
    """The end of a budget of seconds, which begins when this is made."""

    def __init__(self, budget: float) -> None:
        self.budget = budget
        self._end = time.monotonic() + budget

    @property
    def left(self) -> float:
        """Seconds; negative afterwards."""
        return self._end - time.monotonic()


@dataclass(slots=True)
class Tally:
    """Leaves an engine has returned, how many of them are no item, and how many come twice in one answer."""

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


class Rounds:
    """Asks the engines and keeps what comes of it.

    engines: in the order in which they are asked, which rotates. cached: those that are asked again.
    draw(count): new prompts. seconds: every sample of a cell, until all its prompts were answered. rates: our requests
    a second in a closed loop. tallies: of all answers.
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
        """Ask everybody one prompt with every beam, and a second one, from which is learned what to expect."""
        for name in self._engines:
            for beam in beams:
                for _ in range(2):
                    self.ask(name, self._draw(1), beam, 1)

    def loop(self, beams: Sequence[int], concurrencies: Sequence[int]) -> None:
        """Measure `rates`: as many callers as the concurrency, each with one request of ours after another."""
        for beam, concurrency in itertools.product(beams, concurrencies):
            prompts = self._draw(LOOPS * max(concurrency, LEAST_CALLERS))
            for mode in MODES:
                reply = self.ask(OURS, prompts, beam, concurrency)
                self.rates[Cell(OURS, beam, concurrency, mode)] = len(prompts) / reply.seconds

    def run(self, beams: Sequence[int], concurrencies: Sequence[int], repeats: int) -> None:
        """Up to `repeats` samples of every cell, cheap ones first; then one of each without any, while time lasts."""
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
        """One engine's answers, counted."""
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
        """By what this engine took for less: no engine gets slower than with the square of the beam."""
        expected = min(
            seconds * (beam / known_beam) ** 2 * concurrency / known
            for (known_beam, known), seconds in self._expected[name].items()
            if known_beam <= beam and known <= concurrency
        )
        times = 2 if name in self._cached else 1
        return expected <= most and times * expected <= CERTAINTY * self._deadline.left
