"""Events of one moment are shuffled, by ids alone, and the events of one encounter stay together."""

from itertools import groupby

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items
from trainer.data.histories import Histories

NAMES = [f"i{n}" for n in range(12)]
PEOPLE = [f"u{n}" for n in range(200)]


def order_of_each(rows, names=NAMES, tie_seed=0):
    items = Items(pa.table({"item_id": names, "title": names}))
    columns = zip(*rows, strict=True)
    table = pa.table(dict(zip(("user_id", "item_id", "timestamp", "query"), map(list, columns), strict=True)))
    table = table.set_column(3, "query", table["query"].cast(pa.string()))
    table = table.append_column("type", pa.array(["view"] * len(rows)))
    h = Histories.from_events(table, items, tie_seed=tie_seed)
    return {
        h.users[u]: [(items.ids[h.items_E[e]], h.query(e)) for e in range(*h.span(u).indices(len(h)))]
        for u in range(len(h.users))
    }


@pytest.fixture(scope="module")
def rows():
    return [(person, name, 7, None) for person in PEOPLE for name in NAMES]


def test_every_item_is_last_about_as_often_as_any_other(rows):
    last = [order[-1][0] for order in order_of_each(rows).values()]
    counts = np.array([last.count(name) for name in NAMES])
    expected = len(PEOPLE) / len(NAMES)
    assert ((counts - expected) ** 2 / expected).sum() < 31.3  # chi-square, 11 degrees of freedom, 0.1%
    firsts = [order[0][0] for order in order_of_each(rows).values()]
    assert max(map(firsts.count, NAMES)) < 3 * expected


def test_the_order_depends_on_the_ids_and_the_seed_alone(rows):
    found = order_of_each(rows)
    assert order_of_each(rows[::-1]) == found
    assert order_of_each(rows, names=NAMES[::-1]) == found
    assert order_of_each(rows[: len(NAMES)])["u0"] == found["u0"]  # whoever else there is
    assert order_of_each(rows, tie_seed=1) != found


def test_time_goes_before_chance():
    rows = [("u", name, time, None) for time, name in enumerate(NAMES)]
    assert [item for item, _ in order_of_each(rows)["u"]] == NAMES


def test_an_encounter_stays_together_and_begins_with_its_searches():
    rows = [("u", name, 7, query) for query in (None, "b", "a") for name in NAMES]
    order = order_of_each(rows)["u"]
    encounters = [(item, [query for _, query in group]) for item, group in groupby(order, lambda event: event[0])]
    assert sorted(item for item, _ in encounters) == sorted(NAMES)
    for _, queries in encounters:
        assert queries[-1] is None
        assert sorted(queries[:-1]) == ["a", "b"]
