"""Words that a catalog writes in one and people in two, and the other way round."""

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.priors.priors import Priors
from catalog.priors.weights import USUAL_WEIGHTS, prior_of
from catalog.priors.words.readings import Readings

NONE = np.empty(0, np.int64)
HARDWARE = [
    "Toolbox red",
    "Toolbox blue",
    "Tool rack",
    "Tool belt",
    "Box of nails",
    "Box lid",
    "Deck board pine",
    "Deck board oak",
]
OUTDOOR = [
    "Sleeping bag down",
    "Sleeping bag light",
    "Headlamp",
    "Headlamp bright",
    "Rain jacket",
    "Tea bag",
    "Sleeping mat",
]
GERMAN = ["Kaffeemühle weiß", "Kaffeemühle schwarz", "Kaffee gemahlen", "Wasser Kocher", "Wasser Kocher klein", "Mühle"]


def readings(titles, query, **asked):
    return [dict(own) for own in Readings(titles, None).of(query, **asked)]


@pytest.mark.parametrize(
    ("titles", "query", "read"),
    [
        (HARDWARE, "tool box", [{"tool": 1, "toolbox": 0.9}, {"box": 1, "toolbox": 0.9}]),
        (HARDWARE, "Tool-Box", [{"tool": 1, "toolbox": 0.9}, {"box": 1, "toolbox": 0.9}]),
        (HARDWARE, "box tool", [{"box": 1}, {"tool": 1}]),
        (HARDWARE, "deckboard", [{"deckboard": 1, "deck": 0.6, "board": 0.6}]),
        (HARDWARE, "deck board", [{"deck": 1}, {"board": 1}]),
        (HARDWARE, "toolbox", [{"toolbox": 1}]),
        (HARDWARE, "boxbelt", [{"boxbelt": 1}]),  # one item alone has belt
        (OUTDOOR, "sleepingbag", [{"sleepingbag": 1, "sleeping": 0.6, "bag": 0.6}]),
        (OUTDOOR, "head lamp", [{"head": 1, "headlamp": 0.9}, {"lamp": 1, "headlamp": 0.9}]),
        (GERMAN, "Kaffee Mühle", [{"kaffee": 1, "kaffeemuhle": 0.9}, {"muhle": 1, "kaffeemuhle": 0.9}]),
        (GERMAN, "wasserkocher", [{"wasserkocher": 1, "wasser": 0.6, "kocher": 0.6}]),
        (GERMAN, "4 2", [{"4": 1}, {"2": 1}]),
    ],
)
def test_words_in_one_and_in_two(titles, query, read):
    assert readings(titles, query, prefix=False) == read


def test_words_of_synonyms_are_what_they_are():
    assert readings(HARDWARE, "tool box", kept={"tool"}) == [{"tool": 1}, {"box": 1}]
    assert readings(HARDWARE, "deckboard", kept={"deckboard"}) == [{"deckboard": 1}]


def test_a_part_is_a_word_that_is_frequent_in_a_large_catalog():
    titles = [*HARDWARE, *[f"Nail {n}" for n in range(10_000)]]
    assert readings(titles, "deckboard", prefix=False) == [{"deckboard": 1}]


def test_later_items_count():
    words = Readings(HARDWARE, None)
    assert [dict(own) for own in words.of("lock nut", prefix=False)] == [{"lock": 1}, {"nut": 1}]
    words.learn(["Locknut", "Locknut small"])
    assert words.of("lock nut", prefix=False)[0] == {"lock": 1, "locknut": 0.9}


@pytest.mark.parametrize(
    ("titles", "query", "right"),
    [(HARDWARE, "tool box", {0, 1}), (OUTDOOR, "sleepingbag", {0, 1}), (GERMAN, "kaffee mühle", {0, 1})],
)
def test_they_come_first(titles, query, right):
    records = [{"item_id": f"i{n}", "title": title} for n, title in enumerate(titles)]
    items = Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items")))
    prior = prior_of(Priors.of_items(items).candidates(query, NONE), USUAL_WEIGHTS["search"])
    assert set(prior.leaves[np.argsort(-prior.values, kind="stable")][:2].tolist()) == right
