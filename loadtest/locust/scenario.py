"""The state that all users of one run share: the oracle, the results, and the distributions they draw from."""

import itertools
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from loadtest.locust.oracle.expected_catalog import ExpectedCatalog
from loadtest.locust.oracle.expected_history import ExpectedHistories
from loadtest.locust.oracle.expected_prior import ExpectedPrior
from loadtest.locust.oracle.facet_checks import facet_columns
from loadtest.locust.oracle.filter_cases import FilterCase, ItemRecord, draw_filter_cases
from loadtest.locust.oracle.suggestion_checks import ExpectedQueries
from loadtest.locust.profiles import Profile
from loadtest.locust.results import Results
from loadtest.locust.zipf import Zipf

__all__ = ["Scenario", "make_scenario"]

USERS = 2_000
OWN_QUERIES = 3
MAX_EDITED = 24
"""Items that merchants edit; few enough to check every answer against every state of them."""


@dataclass(slots=True, kw_only=True)
class Scenario:
    """One run of a profile.

    catalog, histories, prior: the oracle; no prior where the served bundle has none.
    users, items, queries: ids and texts to draw, a few of each much more often than the others.
    editable: ids of the items that no merchant is editing at the moment.
    facets: columns whose values are counted.
    orders: columns to sort by, and whether the greatest come first.
    own_queries: queries that only users of this run type; typed: who did.
    published: ids of the items of the bundle. Nobody clicks other items, because merchants add and delete them.
    run: a name that no other run has.
    """

    profile: Profile
    catalog: ExpectedCatalog
    histories: ExpectedHistories
    results: Results
    generator: np.random.Generator
    users: Zipf[str]
    items: Zipf[str]
    queries: Zipf[str]
    filter_cases: list[FilterCase]
    facets: list[str]
    orders: list[tuple[str, bool]]
    own_queries: Zipf[str]
    typed: ExpectedQueries
    editable: list[str]
    published: frozenset[str]
    run: str
    prior: ExpectedPrior | None = None
    _numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    @property
    def renewed(self) -> bool:
        """Whether the server takes up what people type in good time: it follows events where its bundle has priors."""
        return self.prior is not None and not self.profile.overloads

    def new_name(self, kind: str) -> str:
        """An id that was never used before, in this run or another."""
        return f"{kind}-{self.run}-{next(self._numbers)}"

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return bool(self.generator.random() < probability)

    def draw_facets(self) -> tuple[str, ...]:
        """One to three of the columns whose values are counted."""
        return tuple(map(str, self.generator.permutation(np.array(self.facets))[: self.generator.integers(1, 4)]))

    def draw_order(self) -> tuple[tuple[str, bool], ...]:
        """One column or two to sort by."""
        places = self.generator.permutation(len(self.orders))[: self.generator.integers(1, 3)]
        return tuple({column: (column, falls) for column, falls in map(self.orders.__getitem__, places)}.values())

    def draw_filter(self) -> FilterCase:
        """One of the filters, all equally likely."""
        return self.filter_cases[int(self.generator.integers(len(self.filter_cases)))]


def make_scenario(
    profile: Profile, catalog: ExpectedCatalog, seed: int, prior: ExpectedPrior | None = None
) -> Scenario:
    """A scenario of this catalog, all drawn from the seed except for the users' names, which no other run has."""
    generator = np.random.default_rng(seed)
    records = [catalog.published(item_id) for item_id in catalog.ids]
    run = uuid.uuid4().hex[:8]
    queries = sorted({query for record in records for query in _queries(record)})
    facets = facet_columns(records)
    word = "".join(chr(ord("a") + int(digit, 16)) for digit in run)  # letters: long numbers are never suggested
    edited = min(MAX_EDITED, max(1, len(catalog.ids) // 8))
    return Scenario(
        profile=profile,
        catalog=catalog,
        histories=ExpectedHistories(),
        results=Results(),
        generator=generator,
        users=Zipf([f"user-{run}-{number}" for number in range(USERS)], generator),
        items=Zipf(catalog.ids, generator),
        queries=Zipf(queries, generator),
        filter_cases=draw_filter_cases(records, generator),
        facets=facets,
        orders=[(name, falls) for name in [*facets, "title"] if _has_order(records, name) for falls in (False, True)],
        own_queries=Zipf([f"{word} {query}".lower() for query in queries[:OWN_QUERIES]], generator),
        typed=ExpectedQueries(word),
        editable=[str(item_id) for item_id in generator.choice(np.array(catalog.ids), edited, replace=False)],
        published=frozenset(catalog.ids),
        run=run,
        prior=prior,
    )


def _has_order(records: Sequence[ItemRecord], column: str) -> bool:
    return column in records[0] and not any(isinstance(record[column], list) for record in records)


def _queries(record: dict[str, object]) -> list[str]:
    """What somebody may type who looks for this item."""
    title = str(record.get("title") or record["id"]).replace(",", "")
    words = title.split()
    category = record.get("categories")
    found = [" ".join(words[:3]), " ".join(words[-2:])]
    if isinstance(category, list) and category:
        found.append(f"{record.get('brand') or ''} {category[-1]}".strip().lower())
    return [query for query in found if query.strip()]
