"""Training sequences: windows of users' histories, and synthetic searches that connect words with items.

A causal model learns to predict every item of a window that belongs to the sequence's task, search or recommendation.
An encoder-decoder learns to predict one item in each sequence. What a step draws depends on the seed and the step
alone, so a resumed run draws what an uninterrupted one would.

W events of a window.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from catalog.data.items import Items
from catalog.text.prompts import PromptFormat, Task
from trainer.config.recipe import UserSampling
from trainer.data.histories import NO_QUERY, Histories, length_before_run
from trainer.data.prepared import draws_of
from trainer.data.synthetic_queries import synthetic_query


@dataclass(frozen=True, slots=True)
class TrainingSequence:
    """A sequence of tokens, and the items that are to be predicted in it.

    ids: the token ids.
    leaves: the items to predict, by leaf number. An encoder-decoder's sequence has exactly one.
    positions: where in `ids` the identifier of each of these items begins. It is empty for an encoder-decoder, whose
        output is apart from `ids`.
    """

    ids: list[int]
    leaves: list[int]
    positions: list[int]


class SequenceSource(Protocol):
    """Draws sequences of one task."""

    def draw(self, count: int, generator: np.random.Generator) -> Iterator[TrainingSequence]:
        """Draws `count` sequences."""
        ...


class EventSampler:
    """Draws events of one task, each with the same weight or so that users with many events do not crowd out others.

    by: what a user's share of the draws grows with: the number of their events of the task ("events"), its root
        ("root"), or nothing ("uniform"). Of a user's events each is drawn as often as any other of theirs, or as its
        weight says (`catalog/data/event_weights.py`), which then stands for the number of events.
    """

    def __init__(self, histories: Histories, task: Task, by: UserSampling) -> None:
        self._events, self._cumulative_E = draws_of(histories, task, by)

    def __len__(self) -> int:
        return len(self._events)

    def draw(self, count: int, generator: np.random.Generator) -> list[int]:
        """The numbers of `count` events, with repeats."""
        if self._cumulative_E is None:
            return list(map(int, generator.choice(self._events, count)))
        place = generator.random(count) * self._cumulative_E[-1]
        last = len(self._events) - 1  # rounding may reach the sum itself
        at = np.minimum(np.searchsorted(self._cumulative_E, place, side="right"), last)
        return list(map(int, self._events[at]))


class HistoryWindows:
    """For causal models: windows of histories, each around an event of the task that is drawn.

    If the prompts show the queries of the latest items only, so does a window, as a prompt for its last item would:
    searches before those have a marker without words, and are not predicted.

    item_dropout: the share of a window's other events that is left out at random.
    by: how events are drawn, see `EventSampler`.
    """

    def __init__(
        self,
        histories: Histories,
        prompts: PromptFormat,
        task: Task,
        *,
        item_dropout: float,
        by: UserSampling = "events",
    ) -> None:
        self._histories, self._prompts, self._task = histories, prompts, task
        self._item_dropout = item_dropout
        self._events = EventSampler(histories, task, by)
        self._questions = {NO_QUERY: prompts.query_tokens(None)}
        self._with_query = prompts.settings.shown_queries + 1  # events at a window's end: the latest items and the next

    def __len__(self) -> int:
        return len(self._events)

    def draw(self, count: int, generator: np.random.Generator) -> Iterator[TrainingSequence]:
        for event in self._events.draw(count, generator):
            yield self._sequence(self._window(event, generator))

    def _window(self, event: int, generator: np.random.Generator) -> np.ndarray:
        """The numbers of the events in the window around a drawn event, int64 [W]."""
        span = self._histories.span(self._histories.user_of(event))
        shown = self._prompts.max_history + 1
        reach = int(shown / (1 - self._item_dropout))
        start = max(span.start, min(event - int(generator.integers(0, reach)), span.stop - reach))
        events = np.arange(start, min(start + reach, span.stop))
        kept = generator.random(len(events)) >= self._item_dropout
        kept[event - start] = True
        events = _one_of_each_run(events[kept], self._histories.items_E[events[kept]], event, generator)
        place = int(np.searchsorted(events, event))
        first = max(0, place - shown + 1)
        if self._task == "search" and self._with_query < shown:  # or the drawn search might be without words
            return events[first : place + 1 + int(generator.integers(0, self._with_query))][-shown:]
        return events[first : first + shown]

    def _sequence(self, events: np.ndarray) -> TrainingSequence:
        ids, leaves, positions = list(self._prompts.instruction), [], []
        for left, event in zip(range(len(events), 0, -1), events, strict=True):
            query, leaf = int(self._histories.queries_E[event]), int(self._histories.items_E[event])
            hidden = query != NO_QUERY and left > self._with_query
            ids += self._prompts.marker("search") if hidden else self._question(query)
            if (query != NO_QUERY) == (self._task == "search") and not hidden:
                leaves.append(leaf)
                positions.append(len(ids))
            ids += self._prompts.item_tokens(leaf)
        return TrainingSequence(ids, leaves, positions)

    def _question(self, query: int) -> list[int]:
        if query not in self._questions:
            self._questions[query] = self._prompts.query_tokens(self._histories.texts[query])
        return self._questions[query]


class SyntheticSearchWindows:
    """For causal models: sequences of synthetic searches, which are made of words of items' own texts.

    They are an auxiliary task, which is never evaluated. All of their queries are shown, for each is to be answered.
    """

    def __init__(self, items: Items, prompts: PromptFormat) -> None:
        self._items, self._prompts = items, prompts

    def draw(self, count: int, generator: np.random.Generator) -> Iterator[TrainingSequence]:
        for _ in range(count):
            ids, leaves, positions = list(self._prompts.instruction), [], []
            for leaf in generator.integers(0, len(self._items), generator.integers(1, self._prompts.max_history + 1)):
                ids += self._prompts.query_tokens(synthetic_query(self._items.record(int(leaf)), generator))
                leaves.append(int(leaf))
                positions.append(len(ids))
                ids += self._prompts.item_tokens(int(leaf))
            yield TrainingSequence(ids, leaves, positions)


class HistoryPrompts:
    """For encoder-decoders: one item to predict in each sequence, from exactly the prompt that a server would render.

    item_dropout: the share of the history's events that is left out at random.
    by: how events are drawn, see `EventSampler`.
    """

    def __init__(
        self,
        histories: Histories,
        prompts: PromptFormat,
        task: Task,
        *,
        item_dropout: float,
        by: UserSampling = "events",
    ) -> None:
        self._histories, self._prompts, self._item_dropout = histories, prompts, item_dropout
        self._events = EventSampler(histories, task, by)

    def __len__(self) -> int:
        return len(self._events)

    def draw(self, count: int, generator: np.random.Generator) -> Iterator[TrainingSequence]:
        for event in self._events.draw(count, generator):
            span = self._histories.span(self._histories.user_of(event))
            before = np.arange(max(span.start, event - 2 * self._prompts.max_history), event)
            kept = before[generator.random(len(before)) >= self._item_dropout]
            leaf = int(self._histories.items_E[event])
            kept = kept[: length_before_run(self._histories.items_E[kept], leaf)]  # or the answer could be copied
            ids = self._prompts.render(self._histories.interactions(kept), self._histories.query(event))
            yield TrainingSequence(ids, [leaf], [])


class SyntheticSearchPrompts:
    """For encoder-decoders: one synthetic search in each sequence, made of words of the item's own text."""

    def __init__(self, items: Items, prompts: PromptFormat) -> None:
        self._items, self._prompts = items, prompts

    def draw(self, count: int, generator: np.random.Generator) -> Iterator[TrainingSequence]:
        for leaf in map(int, generator.integers(0, len(self._items), count)):
            query = synthetic_query(self._items.record(leaf), generator)
            yield TrainingSequence(self._prompts.render([], query), [leaf], [])


class MixedSource:
    """Mixes two sources: `share` of the sequences are drawn from `second`, the others from `first`."""

    def __init__(self, first: SequenceSource, second: SequenceSource, share: float) -> None:
        self._first, self._second, self._share = first, second, share

    def draw(self, count: int, generator: np.random.Generator) -> Iterator[TrainingSequence]:
        from_second = round(count * self._share)
        yield from self._first.draw(count - from_second, generator)
        yield from self._second.draw(from_second, generator)


def _one_of_each_run(
    events_W: np.ndarray, items_W: np.ndarray, needed: int, generator: np.random.Generator
) -> np.ndarray:
    """Of every run of events with the same item, keeps one that is drawn at random; in the run of `needed`, that one.

    A prompt shows one interaction of a run, and no answer may be copied from the event just before it.
    """
    run_W = np.cumsum(np.r_[True, items_W[1:] != items_W[:-1]]) - 1
    draws_W = np.where(events_W == needed, 1.0, generator.random(len(events_W)))
    by_run = np.lexsort((draws_W, run_W))
    drawn: np.ndarray = events_W[by_run[np.cumsum(np.bincount(run_W)) - 1]]
    return drawn
