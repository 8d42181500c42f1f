"""Makes the events of shoppers: visits, each with a purpose, which may follow from an earlier visit."""

from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from catalog.data.events import EventType
from catalog.importers.shop.queries import make_query
from catalog.importers.shop.sampling import draw, draw_by_utility
from catalog.importers.shop.shelves import Shelves
from catalog.importers.shop.shoppers import Shopper

__all__ = ["Act", "make_visits"]

START_MS = 1_688_169_600_000  # 1 July 2023, 00:00 UTC
DAYS = 731  # up to and including 30 June 2025
DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS = 86_400_000, 3_600_000, 60_000, 1_000

FOLLOW_A_NEED = 0.8
"""Probability that a visit serves a need that is due, such as a mat after a tent."""
RETURN_TO_OPEN = 0.45
"""Probability that a visit returns to the kind that was looked at last and not bought."""
LOOK_FURTHER = 0.4
"""Probability that a visit continues with a kind that is bought after the last one."""
INTO_CART, OUT_OF_CART = 0.32, 0.6
"""Probabilities that the last product goes into the cart, and that the cart is bought."""
NEEDS_NEXT = 0.6
"""Probability that a purchase makes another kind necessary, for each of the two that follow most often."""
OWNED_DAYS = 240
"""Days after a purchase in which the shopper seldom looks for the same kind."""
BRAND_HABIT = 0.7
"""The additional utility of the brand bought last."""
MAX_SEEN = 12
"""Number of the last products that are seldom looked at again."""


class Act(NamedTuple):
    """One event.

    product: position in the list of products.
    milliseconds: Unix time.
    """

    user_id: str
    product: int
    milliseconds: int
    type: EventType
    query: str | None


def make_visits(shelves: Shelves, shopper: Shopper, rng: np.random.Generator) -> Iterator[Act]:
    """The events of one shopper between 1 July 2023 and 30 June 2025, in the order of time."""
    count = max(2, int(rng.poisson(shopper.visits)))
    days = np.floor(DAYS * (shopper.joined + (1.0 - shopper.joined) * rng.random(count)))
    visitor = _Visitor(shelves, shopper, rng)
    for day in np.unique(days):
        hour = float(np.clip(rng.normal(18.0, 3.5), 6.0, 23.0))
        yield from visitor.visit(int(day), START_MS + int(day) * DAY_MS + int(hour * HOUR_MS))


class _Visitor:
    """The state of a shopper: what they own, have seen and left unbought, and need from which day on."""

    def __init__(self, shelves: Shelves, shopper: Shopper, rng: np.random.Generator) -> None:
        self._shelves = shelves
        self._shopper = shopper
        self._rng = rng
        self._needs: list[tuple[float, int]] = []
        self._owned: dict[int, int] = {}
        self._open: int | None = None
        self._brand: int | None = None
        self._seen: deque[int] = deque(maxlen=MAX_SEEN)

    def visit(self, day: int, clock: int) -> Iterator[Act]:
        """The events of one visit to one to three kinds of product.

        clock: its beginning, in Unix milliseconds.
        """
        kind = self._purpose(day)
        for _ in range(3):
            for act in self._pursue(kind, day, clock):
                yield act
                clock = act.milliseconds
            if self._rng.random() > LOOK_FURTHER:
                break
            follow = self._shelves.assortment.kinds[kind].next
            kind = self._shelves.kind_of[follow[draw(self._rng, 1.0 / np.arange(1, len(follow) + 1))]]
            clock = self._later(clock, MINUTE_MS, 4 * MINUTE_MS)

    def _purpose(self, day: int) -> int:
        """The kind that a visit begins with."""
        due = [need for need in self._needs if need[0] <= day]
        if due and self._rng.random() < FOLLOW_A_NEED:
            self._needs.remove(due[0])
            return due[0][1]
        if self._open is not None and self._rng.random() < RETURN_TO_OPEN:
            return self._open
        month = int(6 + day / 30.45) % 12
        wants = self._shelves.wants(self._shopper, month)
        for kind, since in self._owned.items():
            if day - since < OWNED_DAYS:
                wants[kind] *= 0.15
        return draw(self._rng, wants)

    def _pursue(self, kind: int, day: int, clock: int) -> Iterator[Act]:
        """The events of one kind: some products, found by a query or by browsing, and perhaps a purchase."""
        shelf = self._shelves[kind]
        liking = self._shelves.liking(self._shopper, kind)
        if self._brand is not None:
            liking += BRAND_HABIT * (shelf.brand == self._brand)
        liking -= 5.0 * np.isin(shelf.products, list(self._seen))
        text: str | None = None
        if self._rng.random() < self._shopper.searching:
            wanted = self._shelves.products[shelf.products[draw_by_utility(self._rng, liking)]]
            query = make_query(self._shelves.assortment, wanted, self._shopper, self._rng)
            liking[~self._shelves.matching(kind, query)] = -np.inf
            text = query.text
        for _ in range(self._looks(searched=text is not None, there=int(np.isfinite(liking).sum()))):
            place = draw_by_utility(self._rng, liking)
            liking[place] = -np.inf
            self._seen.append(int(shelf.products[place]))
            clock = self._later(clock, 8 * SECOND_MS, 90 * SECOND_MS)
            yield self._act(clock, EventType.VIEW if text is None else EventType.CLICK, text)
        self._open = kind
        if self._rng.random() < INTO_CART:
            clock = self._later(clock, 10 * SECOND_MS, 2 * MINUTE_MS)
            yield self._act(clock, EventType.CART, text)
            if self._rng.random() < OUT_OF_CART:
                clock = self._later(clock, MINUTE_MS, 10 * MINUTE_MS)
                yield self._act(clock, EventType.PURCHASE, text)
                self._remember_purchase(kind, day)

    def _looks(self, *, searched: bool, there: int) -> int:
        """The number of products that are looked at, of the `there` that exist; fewer after a query."""
        return min(1 + int(self._rng.poisson(0.8 if searched else 1.3)), there, 5)

    def _later(self, clock: int, least: int, most: int) -> int:
        return clock + int(self._rng.uniform(least, most))

    def _act(self, clock: int, kind: EventType, query: str | None) -> Act:
        """An event with the product that was looked at last."""
        return Act(self._shopper.user_id, self._seen[-1], clock, kind, query)

    def _remember_purchase(self, kind: int, day: int) -> None:
        self._owned[kind] = day
        self._open = None
        self._brand = self._shelves.products[self._seen[-1]].brand
        for name in self._shelves.assortment.kinds[kind].next[:2]:
            follow = self._shelves.kind_of[name]
            if follow not in self._owned and self._rng.random() < NEEDS_NEXT:
                self._needs.append((day + self._rng.exponential(14.0), follow))
        self._needs.sort()
