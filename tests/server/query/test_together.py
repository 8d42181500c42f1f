"""Pins, hidden items, filters, boosts, orders, groups, facets and pages together, beside an oracle in plain Python."""

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.server.query.test_pins import inserted
from tests.server.query.test_sorting import ORDERS, in_order, records
from tests.support.facet_shop import FILTERS, SHOWN, Record, distribution, meeting, stock
from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES
from tests.support.steady_engine import SteadyEngine

BY_ID: dict[str, Record] = {item["id"]: item for item in SHOWN}
QUESTIONS: list[tuple[str, dict[str, object]]] = [
    ("/search", {"q": "lantern"}),
    ("/search", {"q": "warm tent", "guidance": False}),
    ("/recommend", {"user": "ada"}),
    ("/items", {}),
    ("/popular", {}),
]
LIMITS: list[tuple[dict[str, object], dict[str, int]]] = [
    ({}, {}),
    ({"group_by": "brand", "group_limit": 2}, {"brand": 2}),
    ({"group_by": "season", "max_per": "price:1"}, {"season": 1, "price": 1}),
    ({"max_per": "brand:4,price:2"}, {"brand": 4, "price": 2}),
]


@pytest.fixture
def engine() -> SteadyEngine:
    return SteadyEngine()


@dataclass
class Drawn:
    """A question, with what each of its parts means."""

    path: str
    asked: dict[str, object]
    pins: list[tuple[str, int]] = field(default_factory=list)
    hidden: list[str] = field(default_factory=list)
    limits: dict[str, int] = field(default_factory=dict)
    boost: tuple[str, float] | None = None

    @classmethod
    def of(cls, path: str, asked: dict[str, object], draw: random.Random) -> "Drawn":
        of_limits, limits = draw.choice(LIMITS)
        positions = draw.sample(range(1, 30), 8)
        drawn = cls(path, asked | of_limits, limits=limits, hidden=draw.sample(NAMES, draw.randint(0, 4)))
        drawn.pins = list(zip(draw.sample(NAMES, draw.randint(0, 8)), positions, strict=False))
        if draw.random() < 0.6:
            drawn.asked["filter"] = draw.choice(list(FILTERS))
        if draw.random() < 0.5:
            drawn.asked["sort_by"] = draw.choice([order for order in ORDERS if "_relevance" not in order])
        if draw.random() < 0.5 and path in {"/search", "/recommend"}:
            drawn.boost = (draw.choice(list(FILTERS)), draw.choice([0.1, 3, 50]))
        return drawn

    @property
    def parameters(self) -> dict[str, object]:
        """Of the query, without the override that boosts."""
        parameters = self.asked | {"facets": "brand", "total": True, "override_tags": "boosted"}
        if self.pins:
            parameters["pinned_hits"] = ",".join(f"{item_id}:{position}" for item_id, position in self.pins)
        if self.hidden:
            parameters["hidden_hits"] = ",".join(self.hidden)
        return parameters

    def counted(self) -> set[str]:
        """The items that count: what may be shown, and of a search what has all its words, or is pinned."""
        allowed = {item["id"] for item in meeting(self.asked.get("filter"))} - set(self.hidden)  # type: ignore[arg-type]
        words = str(self.asked.get("q", "")).split()
        having = {one: sum(word in _text(BY_ID[one]) for word in words) for one in allowed}
        least = len(words) if len(words) in having.values() else 1  # all words, or else some
        matching = {one for one, number in having.items() if number >= least}
        return matching | {one for one, _ in self.pins if one in allowed}

    def expected(self, scores: dict[str, float]) -> list[str]:
        """All pages of the answer. scores: of all items without boosts, by which they stand in their order."""
        if self.boost is not None:
            met = {item["id"] for item in meeting(self.boost[0])}
            scores = {one: score + (math.log(self.boost[1]) if one in met else 0) for one, score in scores.items()}
        ranked = sorted(scores, key=lambda one: (-scores[one], NAMES.index(one)))
        if "sort_by" in self.asked:
            ranked = in_order(
                records([one for one in ranked if one in self.counted()]), ORDERS[str(self.asked["sort_by"])]
            )
        allowed = {item["id"] for item in meeting(self.asked.get("filter"))} - set(self.hidden)  # type: ignore[arg-type]
        held = [pin for pin in self.pins if pin[0] in allowed]
        others = [one for one in ranked if one in allowed and one not in dict(held)]
        return inserted(self._capped(others, [one for one, _ in held]), held)

    def _capped(self, others: list[str], held: list[str]) -> list[str]:
        counts: Counter[tuple[str, Any]] = Counter(value for one in held for value in self._values(one))
        chosen = []
        for one in others:
            if all(counts[value] < self.limits[value[0]] for value in self._values(one)):
                counts.update(self._values(one))
                chosen.append(one)
        return chosen

    def _values(self, one: str) -> list[tuple[str, Any]]:
        return [(column, BY_ID[one][column]) for column in self.limits if BY_ID[one][column] is not None]


def _text(item: Record) -> str:
    """Where words are looked for, in which plurals hardly differ."""
    return " ".join([item["title"], *(item["categories"] or [])]).lower()


async def scores_of(shop: Shop, path: str, question: dict[str, object]) -> dict[str, float]:
    """Of every item; where no model gives any, by their places."""
    items = (await shop.get(path, **question, k=200)).json()["items"]
    if path in {"/search", "/recommend"}:
        return {item["id"]: item["score"] for item in items}
    return {item["id"]: -float(place) for place, item in enumerate(items)}


@pytest.mark.parametrize(("path", "question"), QUESTIONS)
async def test_every_page_and_count_is_that_of_an_oracle(shop: Shop, path: str, question: dict[str, object]) -> None:
    await stock(shop)
    shop.client._transport.app.state.parts.service._beam_width = 50  # type: ignore[attr-defined]
    scores = await scores_of(shop, path, question)
    assert len(scores) == len(SHOWN)
    for seed in range(12):
        drawn = Drawn.of(path, question, random.Random(f"{path} {question} {seed}"))
        if drawn.boost is not None:
            boost = [{"condition": drawn.boost[0], "factor": drawn.boost[1]}]
            assert (
                await shop.client.put("/overrides/b", json={"rule": {"tags": ["boosted"]}, "boost": boost})
            ).is_success
        parameters = drawn.parameters | {"k": random.Random(seed).choice([1, 3, 5, 200])}
        ids: list[str] = []
        while True:
            response = await shop.get(path, **parameters)
            assert response.status_code == 200, response.text
            body = response.json()
            ids += [item["id"] for item in body["items"]]
            counted = [BY_ID[one] for one in drawn.counted()]
            assert (body["total"], body["facetDistribution"]["brand"]) == (len(counted), distribution(counted, "brand"))
            if body["next_cursor"] is None:
                break
            parameters["cursor"] = body["next_cursor"]
        assert ids == drawn.expected(scores), drawn
        if drawn.boost is not None:
            await shop.client.delete("/overrides/b")
