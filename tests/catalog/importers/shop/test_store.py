"""The bundled store: what must hold for it to be worth learning from, and for tests to rely on it."""

from collections import Counter, defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pytest

from catalog.data.events import EventType
from catalog.data.items import Items
from catalog.errors import DatasetError
from catalog.importers.dataset import Dataset
from catalog.importers.shop import build_shop
from catalog.priors import words

START, END = 1_688_169_600_000, 1_751_328_000_000  # 1 July 2023, 1 July 2025


@pytest.fixture(scope="module")
def shop() -> Dataset:
    return build_shop(products=1000, shoppers=400, events=10_000)


@pytest.fixture(scope="module")
def records(shop) -> dict[str, dict[str, Any]]:
    return {row["item_id"]: row for row in shop.items.to_pylist()}


@pytest.fixture(scope="module")
def events(shop) -> list[dict[str, Any]]:
    return shop.events.to_pylist()


def test_the_store_has_the_size_asked_for(shop):
    assert 950 <= len(shop.items) <= 1050
    assert 8_500 <= len(shop.events) <= 11_500
    assert pc.count_distinct(shop.events["user_id"]).as_py() == 400
    assert shop.broken == 0


def test_products_look_like_products(records):
    titles = [record["title"] for record in records.values()]
    assert len(set(titles)) == len(titles)
    assert all(0 < record["price"] < 5000 for record in records.values())
    assert all(len(record["categories"]) == 2 and record["activities"] for record in records.values())
    assert len({record["categories"][-1] for record in records.values()}) == 49
    assert 0 < sum(record["description"] is None for record in records.values()) < 100
    assert 0 < sum(not record["available"] for record in records.values()) < 100
    descriptions = Counter(record["description"] for record in records.values() if record["description"])
    assert max(descriptions.values()) < 5


def test_events_lie_in_the_two_years_and_have_identifiers(events):
    assert all(START <= event["timestamp"] < END for event in events)
    assert len({event["event_id"] for event in events}) == len(events)
    assert {event["type"] for event in events} == {"view", "click", "cart", "purchase"}


def test_a_third_of_the_events_are_searches_with_queries_as_people_type_them(events):
    queries = [event["query"] for event in events if event["query"] is not None]
    assert 0.28 <= len(queries) / len(events) <= 0.4
    assert all(query.strip() == query and query for query in queries)
    assert sum(query == query.lower() for query in queries) > 0.85 * len(queries)
    assert len(set(queries)) > 800


def test_only_what_was_looked_at_is_put_into_the_cart_and_only_that_is_bought(events):
    for before, after in pairwise(events):
        if after["type"] in {EventType.CART, EventType.PURCHASE}:
            expected = {EventType.CART: {EventType.VIEW, EventType.CLICK}, EventType.PURCHASE: {EventType.CART}}
            assert before["type"] in expected[after["type"]]
            assert [before[name] for name in ("user_id", "item_id", "query")] == [
                after[name] for name in ("user_id", "item_id", "query")
            ]


def test_winter_things_are_wanted_in_winter(events, records):
    def share_in_winter(department: str) -> float:
        months = [
            event["timestamp"] // 2_629_800_000 % 12  # months since January 1970, near enough
            for event in events
            if records[event["item_id"]]["categories"][0] == department
        ]
        return sum(month in {11, 0, 1} for month in months) / len(months)

    assert share_in_winter("Snow") > 2 * share_in_winter("Paddling")


def test_one_thing_leads_to_another(events, records):
    """Who bought a tent looks at sleeping bags and mats more than others do."""
    kinds = defaultdict(list)
    for event in events:
        kinds[event["user_id"]].append((event["type"], records[event["item_id"]]["categories"][-1]))
    after, elsewhere = Counter(), Counter()
    for history in kinds.values():
        bought = history.index((EventType.PURCHASE, "Tents")) if (EventType.PURCHASE, "Tents") in history else None
        later = history[bought + 1 : bought + 15] if bought is not None else []
        after.update(kind for _, kind in later)
        elsewhere.update(kind for _, kind in history)
    follow = {"Sleeping Bags", "Sleeping Mats"}
    assert sum(after[kind] for kind in follow) / after.total() > 2 * (
        sum(elsewhere[kind] for kind in follow) / elsewhere.total()
    )


def test_queries_lead_to_what_they_say_but_not_to_the_letter(shop, events):
    """BM25 finds much of what was clicked, far more than chance and far less than everything."""
    items = Items(shop.items)
    index = words.fit({"text": items.texts()}, words.WordSettings())
    clicks = [event for event in events if event["type"] == EventType.CLICK]
    score_QN = words.score(index, [event["query"] for event in clicks], words.WordSettings()).toarray()
    best = np.argsort(-score_QN, axis=1, kind="stable")[:, :10]
    hits = sum(items.row_of(event["item_id"]) in rows for event, rows in zip(clicks, best, strict=True))
    assert 0.25 < hits / len(clicks) < 0.75


def test_a_few_products_are_popular_and_most_are_not(events):
    counts = Counter(event["item_id"] for event in events)
    top = sum(count for _, count in counts.most_common(10)) / len(events)
    assert 0.02 < top < 0.12


def test_the_same_arguments_give_the_same_tables():
    small = {"products": 120, "shoppers": 10, "events": 100}
    one, again, other = (build_shop(seed=seed, **small) for seed in (5, 5, 6))
    assert one.items.equals(again.items)
    assert one.events.equals(again.events)
    assert not one.items.equals(other.items)


@pytest.mark.parametrize("small", [{"products": 99}, {"shoppers": 0}, {"shoppers": 100, "events": 100}])
def test_a_store_too_small_is_refused(small):
    with pytest.raises(DatasetError, match="a store needs at least"):
        build_shop(**small)
