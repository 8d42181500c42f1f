"""Users' histories as flat arrays.

Shapes: U users, E events of all users together, W events of a window.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from catalog.data.columns.long_text import encoded
from catalog.data.event_weights import EQUAL_WEIGHTS, EventWeights
from catalog.data.items import Items
from catalog.text.prompts import Interaction, Task
from trainer.core.errors import TrainerError
from trainer.data.event_order import chronological_order
from trainer.data.impressions import Impressions

NO_QUERY = -1
BLOCK = 1 << 20
"""Events of whole users that are looked at together, about."""
MAX_COUNTED = 10_000_000
"""Events from which embeddings, baselines and priors learn; of more, those of whole users that are drawn."""


@dataclass(frozen=True, slots=True)
class Histories:
    """Events grouped by user, oldest first; those of one moment are in random order (`trainer/data/event_order.py`).

    Consecutive events with the same item and query are one event.

    users: the users' ids, by number.
    starts_U1: int64 [U+1]; the events of user u are those from starts_U1[u] up to, but without, starts_U1[u+1].
    items_E: int64, the number of each event's item.
    queries_E: int64, the number of each event's query in `texts`; NO_QUERY for events that no search led to.
    times_E: int64, the time of each event in Unix milliseconds.
    texts: the distinct queries.
    weights_E: float64 [E], what each event counts; of several that are one, the most. None for 1.
    impressions: what the users were shown; None where nobody knows.
    """

    users: Sequence[str]
    starts_U1: np.ndarray
    items_E: np.ndarray
    queries_E: np.ndarray
    times_E: np.ndarray
    texts: Sequence[str]
    weights_E: np.ndarray | None = None
    impressions: Impressions | None = None

    @classmethod
    def from_events(
        cls, events: pa.Table, items: Items, *, weights: EventWeights = EQUAL_WEIGHTS, tie_seed: int = 0
    ) -> Histories:
        """The histories of an events table (`catalog/data/events.py`), without events of items that are not in `items`,
        and without those that count nothing, such as dislikes and what a dislike of the item followed.

        tie_seed: what the order of one moment's events is drawn from. It is not the seed of a training run, because all
            runs and all bundles are to be asked the same questions.

        Raises TrainerError if no event is left.
        """
        weight_E = weights.of_events(events)
        table = events.select(["user_id", "item_id", "timestamp", "query"])
        users, names, queries = (encoded(table[name]) for name in ("user_id", "item_id", "query"))
        rows_of_names = np.array([_row(items, name) for name in names.dictionary.to_pylist()], dtype=np.int64)
        rows_E = rows_of_names[names.indices.to_numpy(zero_copy_only=False)]
        queries_E = queries.indices.fill_null(NO_QUERY).to_numpy(zero_copy_only=False).astype(np.int64)
        user_E = users.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        times_E = table["timestamp"].to_numpy()
        order = chronological_order(users, names, queries, times_E, seed=tie_seed)
        kept, most = without_repetitions(order[rows_E[order] >= 0], user_E, rows_E, queries_E, weight_E)
        if len(kept) == 0:
            if (rows_E >= 0).any():
                raise TrainerError(
                    "no event counts: do events.weights ignore all, or are all of them dislikes and impressions?"
                )
            raise TrainerError("no event names an item of the catalog: do --items and --events belong together?")
        ids = tuple(users.dictionary.to_pylist())
        starts = np.r_[0, np.cumsum(np.bincount(user_E[kept], minlength=len(ids)))]
        texts = tuple(queries.dictionary.to_pylist())
        own = None if (most == 1).all() else most
        impressions = Impressions.of(events, user_E, rows_E, len(ids))
        return cls(ids, starts, rows_E[kept], queries_E[kept], times_E[kept], texts, own, impressions)

    def __len__(self) -> int:
        return len(self.items_E)

    def span(self, user: int) -> slice:
        """The numbers of a user's events."""
        return slice(int(self.starts_U1[user]), int(self.starts_U1[user + 1]))

    def user_of(self, event: int) -> int:
        """The number of the user of an event."""
        return int(np.searchsorted(self.starts_U1, event, side="right")) - 1

    def blocks(self) -> Iterator[range]:
        """The numbers of all users, in blocks of about BLOCK events, or of one user with more."""
        begin = 0
        while begin < len(self.users):
            fitting = int(np.searchsorted(self.starts_U1, self.starts_U1[begin] + BLOCK, side="right")) - 1
            yield range(begin, max(begin + 1, fitting))
            begin = max(begin + 1, fitting)

    def span_of(self, users: range) -> tuple[slice, np.ndarray]:
        """The numbers of the events of a block of users, and how many each user has, int64."""
        starts = np.asarray(self.starts_U1[users.start : users.stop + 1])
        return slice(int(starts[0]), int(starts[-1])), np.diff(starts)

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

    def sample(self, most: int, *, seed: int = 0) -> Histories:
        """The histories of users, drawn by the seed, who have at most `most` events together; of one who has more.

        All users stay, under the same numbers. Where there are no more events, these histories themselves.
        """
        if len(self) <= most:
            return self
        count_U = np.diff(self.starts_U1)
        drawn = np.random.default_rng(seed).permutation(np.flatnonzero(count_U))
        fitting = np.searchsorted(np.cumsum(count_U[drawn]), most, side="right")
        kept_U = np.zeros(len(count_U), bool)
        kept_U[drawn[: max(1, fitting)]] = True
        return self.keep(np.repeat(kept_U, count_U))

    def keep(self, mask_E: np.ndarray) -> Histories:
        """The histories of those events for which the mask is true, with the texts of their queries only, and without
        impressions.

        All users stay, under the same numbers.
        """
        counts = np.add.reduceat(np.r_[mask_E, False], self.starts_U1[:-1])[: len(self.users)]
        counts[np.diff(self.starts_U1) == 0] = 0
        starts = np.r_[0, np.cumsum(counts)]
        kept, queries_E = np.unique(np.r_[NO_QUERY, self.queries_E[mask_E]], return_inverse=True)
        texts = tuple(self.texts[number] for number in kept[1:].tolist())
        weights = None if self.weights_E is None else self.weights_E[mask_E]
        items, times = self.items_E[mask_E], self.times_E[mask_E]
        return Histories(self.users, starts, items, queries_E[1:] - 1, times, texts, weights)


def length_before_run(items_W: np.ndarray, item: int) -> int:
    """How many items are left when the run of `item` at the end of the window is removed."""
    others = np.flatnonzero(items_W != item)
    return int(others[-1]) + 1 if len(others) else 0


def without_repetitions(
    order: np.ndarray, user_E: np.ndarray, items_E: np.ndarray, queries_E: np.ndarray, weight_E: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Of events in order, those that count and differ from the one before; and what each counts, repeated, at most."""
    every = order[weight_E[order] > 0]
    first = np.flatnonzero(changes(user_E[every], items_E[every], queries_E[every]))
    most = np.maximum.reduceat(weight_E[every], first) if len(first) else np.empty(0)
    return every[first], most


def _row(items: Items, item_id: str) -> int:
    row = items.row_of(item_id)
    return -1 if row is None else row


def changes(*columns: np.ndarray) -> np.ndarray:
    """A mask of the rows that differ in any column from the row before them; the first row is one of them."""
    differs = np.zeros(len(columns[0]), dtype=bool)
    differs[:1] = True
    for column in columns:
        differs[1:] |= column[1:] != column[:-1]
    return differs
