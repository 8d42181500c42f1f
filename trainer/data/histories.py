"""Users' histories as flat arrays, and the splits into training, validation and test that evaluation shares.

Shapes: U users, E events of all users together, W events of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from catalog.data.items import Items
from catalog.text.prompts import Interaction, Task
from trainer.core.errors import TrainerError

NO_QUERY = -1


@dataclass(frozen=True, slots=True)
class Histories:
    """Events grouped by user, oldest first. Consecutive events with the same item and query are one event.

    users: the users' ids.
    starts_U1: int64 [U+1]; the events of user u are those from starts_U1[u] up to, but without, starts_U1[u+1].
    items_E: int64, the number of each event's item.
    queries_E: int64, the number of each event's query in `texts`; NO_QUERY for events that no search led to.
    times_E: int64, the time of each event in Unix milliseconds.
    texts: the distinct queries.
    """

    users: tuple[str, ...]
    starts_U1: np.ndarray
    items_E: np.ndarray
    queries_E: np.ndarray
    times_E: np.ndarray
    texts: tuple[str, ...]

    @classmethod
    def from_events(cls, events: pa.Table, items: Items) -> Histories:
        """The histories of an events table (`catalog/data/events.py`), without events of items that are not in `items`.

        Raises TrainerError if no event is left.
        """
        table = events.select(["user_id", "item_id", "timestamp", "query"])
        rows = np.array([_row(items, i) for i in table["item_id"].to_pylist()], dtype=np.int64)
        encoded = table["query"].combine_chunks().dictionary_encode()
        queries = encoded.indices.fill_null(NO_QUERY).to_numpy(zero_copy_only=False).astype(np.int64)
        names = table["user_id"].combine_chunks().dictionary_encode()
        user = names.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        times = table["timestamp"].to_numpy()
        order = np.lexsort((np.arange(len(rows)), times, user))
        kept = order[rows[order] >= 0]
        kept = kept[_changes(user[kept], rows[kept], queries[kept])]
        if len(kept) == 0:
            raise TrainerError("no event names an item of the catalog: do --items and --events belong together?")
        users = tuple(names.dictionary.to_pylist())
        starts = np.r_[0, np.cumsum(np.bincount(user[kept], minlength=len(users)))]
        texts = tuple(encoded.dictionary.to_pylist())
        return cls(users, starts, rows[kept], queries[kept], times[kept], texts)

    def __len__(self) -> int:
        return len(self.items_E)

    def span(self, user: int) -> slice:
        """The numbers of a user's events."""
        return slice(int(self.starts_U1[user]), int(self.starts_U1[user + 1]))

    @property
    def user_E(self) -> np.ndarray:
        """The user number of every event, int64."""
        return np.repeat(np.arange(len(self.users)), np.diff(self.starts_U1))

    def events_of(self, task: Task) -> np.ndarray:
        """The numbers of the events of one task, ascending."""
        return np.flatnonzero((self.queries_E != NO_QUERY) == (task == "search"))

    def query(self, event: int) -> str | None:
        """The query that led to an event, or None."""
        number = int(self.queries_E[event])
        return None if number == NO_QUERY else self.texts[number]

    def interactions(self, events: Iterable[int]) -> list[Interaction]:
        """The interactions of these events, as a prompt shows them."""
        return [Interaction(int(self.items_E[e]), self.query(e)) for e in events]

    def sequences(self) -> Iterator[np.ndarray]:
        """The item numbers of every user who has events, in time order."""
        return (self.items_E[self.span(u)] for u in range(len(self.users)) if len(self.items_E[self.span(u)]))

    def keep(self, mask_E: np.ndarray) -> Histories:
        """The histories of those events for which the mask is true."""
        counts = np.add.reduceat(np.r_[mask_E, False], self.starts_U1[:-1])[: len(self.users)]
        counts[np.diff(self.starts_U1) == 0] = 0
        starts = np.r_[0, np.cumsum(counts)]
        kept = self.items_E[mask_E], self.queries_E[mask_E], self.times_E[mask_E]
        return Histories(self.users, starts, *kept, self.texts)


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
    """

    user: int
    start: int
    stop: int
    task: Task
    item: int
    query: str | None


@dataclass(frozen=True, slots=True)
class Split:
    """A division of histories into training and evaluation.

    full: the histories of all events.
    train: the histories without the held-out events.
    validation, test: the questions that the held-out events make.
    """

    full: Histories
    train: Histories
    validation: tuple[Question, ...]
    test: tuple[Question, ...]


def leave_one_out(histories: Histories) -> Split:
    """Holds out the last event of every user and task for the test, and the one before it for validation.

    A recommendation shows what the user does not have yet, so for this task only the first event with an item can be
    held out, while a search may well lead to a known item. If a user has fewer than three such events of a task, none
    of them is held out. Held-out events are not part of training histories either.
    """
    held: dict[str, list[Question]] = {"validation": [], "test": []}
    mask_E = np.ones(len(histories), dtype=bool)
    for user in range(len(histories.users)):
        span = histories.span(user)
        for answerable in _answerable(histories, span):
            events = span.start + np.flatnonzero(answerable)
            if len(events) < 3:
                continue
            for name, event in (("validation", events[-2]), ("test", events[-1])):
                held[name].append(_question(histories, user, int(event)))
                mask_E[event] = False
    return Split(histories, histories.keep(mask_E), tuple(held["validation"]), tuple(held["test"]))


def time_cut(histories: Histories, share: float = 0.1) -> Split:
    """Holds out all events after one moment in time. Each user's first event of each task after it is a test question.

    share: the share of all events that lie after that moment. As many events before it are held out for validation.
    """
    late, later = np.quantile(histories.times_E, [1 - 2 * share, 1 - share])
    questions = [tuple(_first_after(histories, begin, end)) for begin, end in ((late, later), (later, np.inf))]
    return Split(histories, histories.keep(histories.times_E < late), questions[0], questions[1])


SPLITS = {"leave_one_out": leave_one_out, "time_cut": time_cut}


def _first_after(histories: Histories, begin: float, end: float) -> Iterator[Question]:
    for user in range(len(histories.users)):
        span = histories.span(user)
        inside = (histories.times_E[span] >= begin) & (histories.times_E[span] < end)
        for answerable in _answerable(histories, span):
            events = np.flatnonzero(inside & answerable)
            if len(events):
                yield _question(histories, user, span.start + int(events[0]))


def _answerable(histories: Histories, span: slice) -> tuple[np.ndarray, np.ndarray]:
    """Two masks of a user's events: recommendations of an item for the first time, and all searches."""
    searched = histories.queries_E[span] != NO_QUERY
    first = np.zeros(len(searched), dtype=bool)
    first[np.unique(histories.items_E[span], return_index=True)[1]] = True
    return first & ~searched, searched


def _question(histories: Histories, user: int, event: int) -> Question:
    """The question of an event. Its history ends before the run of events with the same item that leads to it.

    People tag one film several times in a row, and a review dataset has a search and a purchase at one moment. With
    those events in the history, the answer could be copied from it.
    """
    query, item = histories.query(event), int(histories.items_E[event])
    start = histories.span(user).start
    stop = start + length_before_run(histories.items_E[start:event], item)
    return Question(user, start, stop, "recommendation" if query is None else "search", item, query)


def length_before_run(items_W: np.ndarray, item: int) -> int:
    """How many items are left when the run of `item` at the end of the window is removed."""
    others = np.flatnonzero(items_W != item)
    return int(others[-1]) + 1 if len(others) else 0


def _row(items: Items, item_id: str) -> int:
    row = items.row_of(item_id)
    return -1 if row is None else row


def _changes(*columns: np.ndarray) -> np.ndarray:
    """A mask of the rows that differ in any column from the row before them; the first row is one of them."""
    differs = np.zeros(len(columns[0]), dtype=bool)
    differs[:1] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return differs
