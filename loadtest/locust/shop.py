"""What all customers of one run share: the truth that answers are held to, and what chance draws from."""

import itertools
import uuid
from dataclasses import dataclass, field

import numpy as np

from loadtest.locust.conditions import Condition, draw_conditions
from loadtest.locust.draws import Zipf
from loadtest.locust.ledger import Ledger
from loadtest.locust.profiles import Profile
from loadtest.locust.record import Record
from loadtest.locust.stock import Stock

__all__ = ["Shop", "open_shop"]

USERS = 2_000
EDITED = 24
"""Items that merchants edit; so few that every answer can be held to every state of them."""


@dataclass(slots=True, kw_only=True)
class Shop:
    """users, items, queries: who is there, what is looked at, what is typed, a few of each much more than the others.

    edited: items that no merchant is at. published: those of the bundle; what merchants add comes and goes, so nobody
    clicks it.
    """

    profile: Profile
    stock: Stock
    ledger: Ledger
    record: Record
    generator: np.random.Generator
    users: Zipf[str]
    items: Zipf[str]
    queries: Zipf[str]
    conditions: list[Condition]
    edited: list[str]
    published: frozenset[str]
    run: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def new_name(self, kind: str) -> str:
        """An id that nobody had before, in this run or another."""
        return f"{kind}-{self.run}-{next(self._numbers)}"

    def chance(self, probability: float) -> bool:
        return bool(self.generator.random() < probability)

    def condition(self) -> Condition:
        return self.conditions[int(self.generator.integers(len(self.conditions)))]


def open_shop(profile: Profile, stock: Stock, seed: int) -> Shop:
    """A shop of this stock, all drawn from the seed but for the names of its users, which no other run has."""
    generator = np.random.default_rng(seed)
    records = [stock.published(item_id) for item_id in stock.ids]
    run = uuid.uuid4().hex[:8]
    queries = sorted({query for record in records for query in _queries(record)})
    edited = min(EDITED, max(1, len(stock.ids) // 8))
    return Shop(
        profile=profile,
        stock=stock,
        ledger=Ledger(),
        record=Record(),
        generator=generator,
        users=Zipf([f"user-{run}-{number}" for number in range(USERS)], generator),
        items=Zipf(stock.ids, generator),
        queries=Zipf(queries, generator),
        conditions=draw_conditions(records, generator),
        edited=[str(item_id) for item_id in generator.choice(np.array(stock.ids), edited, replace=False)],
        published=frozenset(stock.ids),
        run=run,
    )


def _queries(record: dict[str, object]) -> list[str]:
    """What somebody might type who wants this item."""
    title = str(record.get("title") or record["id"]).replace(",", "")
    words = title.split()
    category = record.get("categories")
    found = [" ".join(words[:3]), " ".join(words[-2:])]
    if isinstance(category, list) and category:
        found.append(f"{record.get('brand') or ''} {category[-1]}".strip().lower())
    return [query for query in found if query.strip()]
