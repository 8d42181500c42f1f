"""The questions that held-out events make, which are looked up only where they are asked.

Shapes: Q questions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, overload

import numpy as np

from catalog.priors.live.shown import NOTHING_SHOWN, Shown
from catalog.text.prompts import TASKS, Task
from trainer.data.histories import NO_QUERY, Histories, length_before_run

__all__ = [
    "Part",
    "Question",
    "Questions",
    "Split",
    "count_questions",
    "drawn_questions",
    "left_beside",
    "shown_before",
]

Part = Literal["validation", "test"]


@dataclass(frozen=True, slots=True)
class Question:
    """The question that a held-out event makes: which item does the user take next, given the history before it?

    The history is made of the user's events from `start` up to, but without, `stop`.

    user: the user's number.
    start: the number, in the full histories, of the user's first event.
    stop: the number of the event before which the history ends.
    task: search if the user searched for the item, otherwise recommendation.
    item: the number of the right item.
    query: what the user searched for; None if the task is recommendation.
    known: whether the item stands in the history, from where the answer could be copied. This is so for some searches
        and for no recommendation.
    time: of the event, Unix milliseconds.
    """

    user: int
    start: int
    stop: int
    task: Task
    item: int
    query: str | None
    known: bool = False
    time: int = 0


class Questions(Sequence[Question]):
    """The questions of events, eight bytes each.

    event_Q: the numbers of the events in the histories, int64.
    """

    def __init__(self, histories: Histories, event_Q: np.ndarray) -> None:
        self._histories, self._event_Q = histories, event_Q

    def __len__(self) -> int:
        return len(self._event_Q)

    @overload
    def __getitem__(self, place: int) -> Question: ...

    @overload
    def __getitem__(self, place: slice) -> Questions: ...

    def __getitem__(self, place: int | slice) -> Question | Questions:
        if isinstance(place, slice):
            return Questions(self._histories, self._event_Q[place])
        return _question(self._histories, int(self._event_Q[place]))

    def __iter__(self) -> Iterator[Question]:
        return (_question(self._histories, int(event)) for event in self._event_Q)

    def of_users(self, chosen_U: np.ndarray) -> Questions:
        """Those of the users for whom a mask is true, in their order."""
        user_Q = np.searchsorted(self._histories.starts_U1, self._event_Q, side="right") - 1
        return Questions(self._histories, self._event_Q[chosen_U[user_Q]])

    def places_of(self, task: Task) -> np.ndarray:
        """Where the questions of a task stand, ascending."""
        return np.flatnonzero((self._histories.queries_E[self._event_Q] != NO_QUERY) == (task == "search"))


@dataclass(frozen=True, slots=True)
class Split:
    """A division of histories into training and evaluation.

    full: the histories of all events.
    train: the histories without the visits of held-out events, and without what their users later did with their items.
    validation, test: the questions that the held-out events make.
    """

    full: Histories
    train: Histories
    validation: Sequence[Question]
    test: Sequence[Question]

    def questions(self, part: Part) -> Sequence[Question]:
        """The questions of a part: those on which settings are chosen, or those that are reported."""
        return self.validation if part == "validation" else self.test


def count_questions(questions: Sequence[Question], most: int) -> int:
    """How many `drawn_questions` of both tasks draws."""
    return sum(min(len(_places_of(questions, task)), most) for task in TASKS)


def drawn_questions(questions: Sequence[Question], task: Task, most: int, *, seed: int = 0) -> list[Question]:
    """The questions of a task in their order; `most` of them, drawn by the seed, where there are more."""
    places = _places_of(questions, task)
    if len(places) > most:
        places = places[np.sort(np.random.default_rng(seed).choice(len(places), most, replace=False))]
    return [questions[place] for place in places.tolist()]


def _places_of(questions: Sequence[Question], task: Task) -> np.ndarray:
    if isinstance(questions, Questions):
        return questions.places_of(task)
    return np.flatnonzero([question.task == task for question in questions])


def shown_before(histories: Histories, question: Question) -> Shown:
    """What the question's user was shown and left before its answer was shown; see `Impressions.before`."""
    if histories.impressions is None:
        return NOTHING_SHOWN
    known_until = int(histories.times_E[question.stop - 1]) if question.stop > question.start else -1
    return histories.impressions.before(question.user, question.item, question.time, known_until)


def left_beside(histories: Histories, question: Question) -> np.ndarray:
    """The items that the question's answer showed beside the right one and that were left there: int64."""
    if histories.impressions is None:
        return np.empty(0, np.int64)
    return histories.impressions.listed_beside(question.user, question.item, question.time)


def _question(histories: Histories, event: int) -> Question:
    """The question of an event. Its history ends before the event's visit, from which the answer could be copied."""
    query, item, user = histories.query(event), int(histories.items_E[event]), histories.user_of(event)
    start = histories.span(user).start
    stop = start + length_before_run(histories.items_E[start:event], item)
    known = bool((histories.items_E[start:stop] == item).any())
    task: Task = "recommendation" if query is None else "search"
    return Question(user, start, stop, task, item, query, known, int(histories.times_E[event]))
