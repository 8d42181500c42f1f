"""Events that come while a catalog serves: clicks, transitions, item-kNN and popularity count them at once.

The state is that of the bundle and of the events that are remembered, whatever came and went in between: each event is
kept with its user, and what it counted is taken back when the user is erased, or dislikes its item. Events count their
weights, as in a fit of all of them. EASE and intents stay as they are fitted.

At most MAX_EVENTS are remembered, MAX_OF_USER of one user. Beyond that the oldest event of the user is dropped, and all
of the user who did nothing for the longest time.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from math import sqrt
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from catalog.priors.clicks import ClickSettings, Words
from catalog.priors.learned import Learned
from catalog.priors.live.clicks import LiveClicks
from catalog.priors.live.neighbours import LiveNeighbours
from catalog.priors.live.popularity import LivePopularity
from catalog.priors.neighbours import ease, item_knn, transitions

__all__ = ["LIVE_SOURCES", "MAX_EVENTS", "MAX_OF_USER", "LiveEvents", "NeighbourSettings", "Sparse"]

MAX_EVENTS = 25_000
MAX_OF_USER = 200
MAX_PAST = 50
"""Items before a user's first event that are remembered."""
LIVE_SOURCES = ("clicks", "transitions", "item_knn", "popularity")
"""What counts events while it serves."""
EVENT_BYTES, USER_BYTES = 150, 1_000
"""About what is remembered of an event, its query among it, and of a user."""
MAX_PARTNERS = 10
"""Items of a user, the newest, that item-kNN counts together with a new one."""


Sparse = tuple[NDArray[np.int64], NDArray[np.float64]]
"""Items, in any order, and what a source says of each; of all others it says 0."""


class NeighbourSettings(Protocol):
    """How neighbours are counted and asked; see `PriorSettings`."""

    @property
    def ease(self) -> ease.EaseSettings: ...

    @property
    def transitions(self) -> transitions.TransitionSettings: ...

    @property
    def item_knn(self) -> item_knn.ItemKnnSettings: ...


UserEvent = tuple[int, str | None, float]


@dataclass(slots=True)
class UserEvents:
    """What is remembered of a user: the events before, oldest first, and those since, each an item, a query and what it
    counts. Queries of those before are not known."""

    past: list[UserEvent]
    events: list[UserEvent] = field(default_factory=list)


class LiveEvents:
    """What a bundle learned, and what events since add to it. Threads may share it.

    counted: how many events each of LIVE_SOURCES has counted, those among them that were taken back since.
    """

    def __init__(self, learned: Learned, settings: NeighbourSettings, words: Words) -> None:
        """words: the distinct words of a query."""
        of_transitions, of_knn = settings.transitions, settings.item_knn
        self._settings = settings
        self._lock = Lock()
        self._users: dict[str, UserEvents] = {}  # who did something last is last
        self._events = 0
        self._clicks = LiveClicks(learned.queries, learned.count_TN, words)
        self._ease = LiveNeighbours(learned.ease_NN, last=settings.ease.last, decay=settings.ease.decay)
        self._transitions = LiveNeighbours(
            learned.transitions_NN,
            learned.steps_N,
            added=of_transitions.shrinkage,
            least=1.0,
            last=of_transitions.last,
            decay=of_transitions.decay,
        )
        self._item_knn = LiveNeighbours(
            learned.item_knn_NN,
            learned.takers_N,
            shrinkage=of_knn.shrinkage,
            last=of_knn.last,
            decay=of_knn.decay,
        )
        self._popularity = LivePopularity(learned.events_N)
        self.counted = dict.fromkeys(LIVE_SOURCES, 0)

    def add(
        self,
        user: str,
        item: int,
        query: str | None = None,
        past: Sequence[tuple[int, float]] = (),
        *,
        weight: float = 1.0,
    ) -> None:
        """Count an event.

        past: what the user took before and what it counts, oldest first; it is looked at where nothing is remembered.
        weight: what the event counts.
        """
        with self._lock:
            self._make_room(item + 1)
            own = self._of_user(user, past)
            if len(own.events) == MAX_OF_USER:
                self._drop_oldest(own)
            own.events.append((item, query, weight))
            self._count(own, len(own.events) - 1, 1)
            self._events += 1
            self._keep_bounds()

    def erase(self, user: str) -> None:
        """Take back what the events of a user counted, as if there had been none."""
        with self._lock:
            if user in self._users:
                self._forget(user)

    def dislike(self, user: str, item: int, past: Sequence[tuple[int, float]] = ()) -> None:
        """Take back what a user's events with an item counted, as if there had been none of them.

        What the bundle learned from stays counted until it is trained again. past: as `add` takes it.
        """
        with self._lock:
            own = self._of_user(user, past)  # remembered though nothing counts: events to come do not follow the item
            if any(item == other for other, *_ in (*own.past, *own.events)):
                self._count(own, 0, -1)
                self._events -= len(own.events)
                own.past = [event for event in own.past if event[0] != item]
                own.events = [event for event in own.events if event[0] != item]
                self._events += len(own.events)
                self._recount(own)
            self._keep_bounds()

    def make_room(self, items: int) -> None:
        """Know at least so many items."""
        with self._lock:
            self._make_room(items)

    def taken_after(self, query: str, ways: Sequence[ClickSettings], most: int) -> list[Sparse]:
        """What people took after queries like this one; see `LiveClicks`."""
        with self._lock:
            return self._clicks.taken_after(query, ways, most)

    def neighbours(self, history_H: NDArray[np.int64]) -> list[Sparse]:
        """What EASE, transitions and item-kNN say of a history, whose items are int64, oldest first."""
        with self._lock:
            return [own.said_of(history_H) for own in (self._ease, self._transitions, self._item_knn)]

    def origins(self, source: str, history_H: NDArray[np.int64], items: Collection[int]) -> dict[int, int]:
        """The item of a history from which neighbours led to each of some items most, of those to which any did.

        source: `ease`, `transitions` or `item_knn`.
        """
        own = {"ease": self._ease, "transitions": self._transitions, "item_knn": self._item_knn}[source]
        with self._lock:
            return own.origins(history_H, items)

    def popular(self, count: int) -> NDArray[np.int64]:
        """The most popular items, so many."""
        with self._lock:
            return self._popularity.best(count)

    def popularity(self, item_C: NDArray[np.int64]) -> NDArray[np.float64]:
        """log(1 + n) of the n events of items, divided by the greatest of all."""
        return self._popularity.of(item_C)

    def popularity_of_all(self) -> NDArray[np.float32]:
        """The same of every item."""
        return self._popularity.of_all()

    def events_of_all(self) -> NDArray[np.float64]:
        """How many events every item has."""
        return self._popularity.events_of_all()

    def taken_together(self, history_H: NDArray[np.int64]) -> Sparse:
        """What people took who took items of a history, int64, oldest first: what item-kNN says."""
        with self._lock:
            return self._item_knn.said_of(history_H)

    def __len__(self) -> int:
        """How many events are remembered."""
        return self._events

    @property
    def nbytes(self) -> int:
        """About how many bytes it takes beside what the bundle has."""
        sources = (self._clicks, self._ease, self._transitions, self._item_knn, self._popularity)
        remembered = self._events * EVENT_BYTES + len(self._users) * USER_BYTES
        return sum(source.nbytes for source in sources) + remembered

    def _note(self, source: str, sign: float) -> None:
        self.counted[source] += int(sign > 0)

    def _make_room(self, items: int) -> None:
        for own in (self._ease, self._transitions, self._item_knn, self._popularity):
            own.make_room(items)

    def _drop_oldest(self, own: UserEvents) -> None:
        self._count(own, 0, -1)
        self._events -= MAX_OF_USER // 2
        del own.events[: MAX_OF_USER // 2]
        self._recount(own)

    def _recount(self, own: UserEvents) -> None:
        counted = self.counted.copy()
        self._count(own, 0, 1)
        self.counted = counted  # what is kept has been counted before

    def _of_user(self, user: str, past: Sequence[tuple[int, float]]) -> UserEvents:
        """What is remembered of a user, who did something last from now on."""
        own = self._users.pop(user, None) or UserEvents([(item, None, weight) for item, weight in past[-MAX_PAST:]])
        self._users[user] = own
        return own

    def _keep_bounds(self) -> None:
        while self._events > MAX_EVENTS or len(self._users) > MAX_EVENTS:
            self._forget(next(iter(self._users)))

    def _forget(self, user: str) -> None:
        own = self._users.pop(user)
        self._count(own, 0, -1)
        self._events -= len(own.events)

    def _count(self, own: UserEvents, begin: int, sign: int) -> None:
        """Count a user's events from the given one on, or take them back."""
        steps: list[tuple[int, float]] = []  # each an item and its greatest weight
        taken: dict[int, float] = {}
        for place, (item, query, weight) in enumerate([*own.past, *own.events], -len(own.past)):
            counts = place >= begin
            if counts:
                self._popularity.add(item, sign * weight)
                self._note("popularity", sign)
            if counts and query is not None:
                self._clicks.add(query, item, sign * weight)
                self._note("clicks", sign)
            again = steps.pop()[1] if steps and steps[-1][0] == item else 0.0
            if counts and weight > again:
                self._count_step(
                    [earlier for earlier, _ in steps[-self._settings.transitions.window :]],
                    item,
                    sign * (weight - again),
                )
            steps.append((item, max(weight, again)))
            before = taken.get(item, 0.0)
            taken[item] = max(weight, before)
            if counts and weight > before:
                self._count_taker(_partners(taken, item), item, before, weight, sign)

    def _count_step(self, steps: Sequence[int], item: int, weight: float) -> None:
        """steps: the items of those before, oldest first, as many as count."""
        settings = self._settings.transitions
        self._note("transitions", weight)
        self._transitions.add_item(item, weight)
        for distance, earlier in enumerate(reversed(steps)):
            if earlier != item:
                amount = weight * settings.step**distance
                self._transitions.add_pair(earlier, item, amount)
                if settings.backward:
                    self._transitions.add_pair(item, earlier, settings.backward * amount)

    def _count_taker(
        self, partners: Sequence[tuple[int, float]], item: int, before: float, weight: float, sign: int
    ) -> None:
        """That a user took an item with a greater weight than before. partners: items and weights of the same user."""
        self._note("item_knn", sign)
        self._item_knn.add_item(item, sign * (weight - before))
        more = sign * (sqrt(weight) - sqrt(before))
        for other, own in partners:
            self._item_knn.add_pair(item, other, more * sqrt(own))
            self._item_knn.add_pair(other, item, more * sqrt(own))


def _partners(taken: Mapping[int, float], item: int) -> Sequence[tuple[int, float]]:
    """The items, with their weights, that a user took first shortly before an item, or shortly after."""
    names = list(taken)
    place = names.index(item) if taken and names[-1] != item else len(names) - 1
    near = names[max(0, place - MAX_PARTNERS) : place] + names[place + 1 : place + 1 + MAX_PARTNERS]
    return [(other, taken[other]) for other in near]
