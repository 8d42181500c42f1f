"""The splits of histories into training, validation and test that evaluation shares.

An *encounter* is all that a user did with one item at one moment; a *visit* is a run of events of a user with one item.
A held-out event takes its whole visit, and whatever the user later did with that item, out of training. So nothing that
is trained or counted on `Split.train` has seen an answer, and a question whose item is not in its history is about a
pair of user and item that occurs nowhere in training.

Shapes: U users, E events of all users together, B events of a block of whole users, Q questions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from trainer.data.histories import BLOCK, NO_QUERY, Histories, changes
from trainer.data.questions import Questions, Split

__all__ = ["HOLDING_OUT", "SPLITS", "HeldOut", "leave_one_out", "quantile", "time_cut"]

MIN_EVENTS = 3
"""Events of a task of which `leave_one_out` holds out the last."""


@dataclass(frozen=True, slots=True)
class HeldOut:
    """What a split holds out of a block of users.

    train_B: which of their events are trained on, bool [B].
    validation, test: the numbers, in the full histories, of the events that are asked for, int64 [Q] each.
    """

    train_B: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def hold_out_last(histories: Histories) -> Iterator[HeldOut]:
    """What `leave_one_out` holds out of every block of `Histories.blocks`."""
    for users in histories.blocks():
        block = _Block.of(histories, users)
        held = [_last_two(block, events_B) for events_B in block.answerable()]
        yield block.hold_out(np.ones(len(block), bool), *zip(*held, strict=True))


def hold_out_after(histories: Histories, share: float = 0.1) -> Iterator[HeldOut]:
    """What `time_cut` holds out of every block of `Histories.blocks`."""
    late, later = (quantile(histories.times_E, part) for part in (1 - 2 * share, 1 - share))
    for users in histories.blocks():
        block = _Block.of(histories, users)
        validation = [_first_between(block, events_B, late, later) for events_B in block.answerable()]
        test = [_first_between(block, events_B, later, np.inf) for events_B in block.answerable()]
        yield block.hold_out(block.time_B < late, validation, test)


def leave_one_out(histories: Histories) -> Split:
    """Holds out the last event of every user and task for the test, and the last one in its history for validation.

    `_Block.answerable` says which events can be held out. If a user has fewer than three of a task, none of them is.
    """
    return _divided(histories, hold_out_last(histories))


def time_cut(histories: Histories, share: float = 0.1) -> Split:
    """Holds out all events after one moment in time. Each user's first event of each task after it is a test question.

    share: the share of all events that lie after that moment. As many events before it are held out for validation.
    """
    return _divided(histories, hold_out_after(histories, share))


HOLDING_OUT: dict[str, Callable[[Histories], Iterator[HeldOut]]] = {
    "leave_one_out": hold_out_last,
    "time_cut": hold_out_after,
}
SPLITS: dict[str, Callable[[Histories], Split]] = {"leave_one_out": leave_one_out, "time_cut": time_cut}


def quantile(number_E: np.ndarray, share: float) -> float:
    """`np.quantile` of whole numbers, bit for bit, without a copy of them, which may be mapped."""
    place = (len(number_E) - 1) * share
    below, above = (_at_place(number_E, int(at)) for at in (np.floor(place), np.ceil(place)))
    return float(np.quantile(np.array([below, above]), place - np.floor(place)))


def _at_place(number_E: np.ndarray, place: int) -> int:
    """The number at a place in ascending order, by bisection: a pass over all for each bit of their range."""
    low, high = int(number_E.min()), int(number_E.max())
    while low < high:
        middle = (low + high) // 2
        up_to = sum(
            int(np.count_nonzero(number_E[begin : begin + BLOCK] <= middle)) for begin in range(0, len(number_E), BLOCK)
        )
        low, high = (low, middle) if up_to > place else (middle + 1, high)
    return low


def _divided(histories: Histories, blocks: Iterator[HeldOut]) -> Split:
    held = list(blocks)
    train = histories.keep(np.concatenate([block.train_B for block in held]))
    validation, test = (
        Questions(histories, np.concatenate([getattr(block, part) for block in held]))
        for part in ("validation", "test")
    )
    return Split(histories, train, validation, test)


@dataclass(frozen=True, slots=True)
class _Block:
    """The events of some users, by their number within the block.

    begin: the number of its first event in the histories.
    user_B, time_B, searched_B: of each event its user, from 0, its time, and whether a search led to it.
    pair_B: the number of each event's user and item.
    first_B, visit_B: the first event of the same user and item, and the first of the same visit.
    """

    begin: int
    user_B: np.ndarray
    time_B: np.ndarray
    searched_B: np.ndarray
    pair_B: np.ndarray
    first_B: np.ndarray
    visit_B: np.ndarray

    @classmethod
    def of(cls, histories: Histories, users: range) -> _Block:
        span, count_U = histories.span_of(users)
        user_B, item_B = np.repeat(np.arange(len(users)), count_U), np.asarray(histories.items_E[span])
        by_pair_B = np.lexsort((item_B, user_B))
        opens_B = changes(user_B[by_pair_B], item_B[by_pair_B])
        pair_B = np.empty(len(user_B), np.int64)
        pair_B[by_pair_B] = np.cumsum(opens_B) - 1
        visit_B = np.maximum.accumulate(np.where(changes(user_B, item_B), np.arange(len(user_B)), 0))
        return cls(
            span.start,
            user_B,
            np.asarray(histories.times_E[span]),
            np.asarray(histories.queries_E[span]) != NO_QUERY,
            pair_B,
            by_pair_B[opens_B][pair_B],
            visit_B,
        )

    def __len__(self) -> int:
        return len(self.user_B)

    def answerable(self) -> tuple[np.ndarray, np.ndarray]:
        """The events that may be held out, ascending: recommendations, and searches.

        A recommendation shows what the user does not have yet, so its event is of the first encounter with the item.
        The searches of that encounter may precede it: a review dataset has a search and a purchase at one moment, and
        asks for both. A search may well lead to a known item.
        """
        in_first_encounter_B = self.time_B == self.time_B[self.first_B]
        return np.flatnonzero(in_first_encounter_B & ~self.searched_B), np.flatnonzero(self.searched_B)

    def hold_out(self, train_B: np.ndarray, validation: Sequence[np.ndarray], test: Sequence[np.ndarray]) -> HeldOut:
        """What is held out for these events of each task; of train_B without what gives an answer away."""
        held = np.concatenate([*validation, *test])
        stop_P = np.full(int(self.pair_B.max(initial=-1)) + 1, len(self))
        np.minimum.at(stop_P, self.pair_B[held], self.visit_B[held])
        train_B = train_B & (np.arange(len(self)) < stop_P[self.pair_B])
        return HeldOut(train_B, self._in_order(validation), self._in_order(test))

    def _in_order(self, events: Sequence[np.ndarray]) -> np.ndarray:
        """The events of both tasks by user, the recommendation first, by their numbers in the histories."""
        every = np.concatenate(events)
        ordered: np.ndarray = every[np.argsort(self.user_B[every], kind="stable")] + self.begin
        return ordered


def _last_two(block: _Block, events: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each user's events of a task the last one in the history of their last, where there is one; and that last."""
    count_U = np.bincount(block.user_B[events])
    end_U = np.cumsum(count_U)
    asked_U = count_U >= MIN_EVENTS
    last = events[end_U[asked_U] - 1]
    place = np.searchsorted(events, block.visit_B[last]) - 1
    return events[place[place >= (end_U - count_U)[asked_U]]], last


def _first_between(block: _Block, events: np.ndarray, begin: float, end: float) -> np.ndarray:
    """Each user's first of these events in a time."""
    inside = events[(block.time_B[events] >= begin) & (block.time_B[events] < end)]
    first: np.ndarray = inside[changes(block.user_B[inside])]
    return first
