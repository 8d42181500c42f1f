"""Units of a catalog are known however they are written, where its own texts show it, and only there."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items, clean_items
from catalog.data.validation_report import ValidationReport
from catalog.importers.shop import build_shop
from catalog.priors.priors import Priors
from catalog.priors.weights import USUAL_WEIGHTS, prior_of
from catalog.text.units import Units, abbreviates, with_signs

NONE = np.empty(0, np.int64)


def items_of(titles, descriptions=()):
    described = dict(enumerate(descriptions))
    records = [{"item_id": f"i{n}", "title": title, "description": described.get(n)} for n, title in enumerate(titles)]
    return Items(clean_items(pa.Table.from_pylist(records), ValidationReport("items")))


def tents():
    """Written `4-Person` only, as in the bundled store, beside stoves of four burners and tents of four seasons."""
    tents = [f"Fjell {n}-Person {season} Tent {c}" for n in (1, 2, 3, 4) for season in ("", "4-Season") for c in "abcd"]
    return items_of([*tents, *[f"Fjell {n}-Burner stove {c}" for n in (1, 2, 4) for c in "abcd"]])


def kitchen():
    """Titles with `L` and descriptions with `litres`; pans of `in` and of `inch`, and boards of `10"` and `10 in`."""
    pots = [f"Stock pot {n} L" for n in (2, 4, 8, 12)]
    pans = [f"Pan {n} {unit}, {finish}" for n in (8, 10, 12) for unit in ("in", "inch") for finish in ("steel", "iron")]
    boards = [f'Board {n}" oak' for n in (8, 10, 12, 14)]
    words = ["Two litres of soup.", "Four litres of soup.", "Eight litres.", "Twelve litres for parties."]
    return items_of(
        [*pots, *pans, *boards], [*words, *[""] * len(pans), *[f"It is {n} in wide." for n in (8, 10, 12, 14)]]
    )


def pharmacy():
    """In German: `Stk` and `Stück` on the same numbers, of different items, and `Kapseln`."""
    packs = [
        f"Pflaster {n} {unit} {kind}" for n in (10, 20, 50) for unit in ("Stk", "Stück") for kind in ("breit", "schmal")
    ]
    return items_of([*packs, *[f"Zink {n} Kapseln {c}" for n in (60, 120, 240) for c in "ab"]])


def books():
    return items_of([f"Volume {n} of the Parisian letters" for n in range(1, 30)])


def two_units(small, large, numbers=range(1, 13)):
    """Items that come in the same numbers of either of two units."""
    return items_of([f"{thing} {n} {unit}" for n in numbers for unit in (small, large) for thing in ("Tube", "Bar")])


def readings(items, query):
    found = Priors.of_items(items).candidates(query, NONE, prefix=False)
    return [set(own) for own in found.words]


@pytest.mark.parametrize(
    ("items", "query", "read"),
    [
        (tents(), "4P", {"p", "person"}),
        (tents(), "4 p tent", {"p", "person"}),
        (tents(), "4pers", {"per", "person"}),
        (tents(), "4B", {"b", "burner"}),
        (tents(), "3B", {"b"}),  # no stove has three
        (tents(), "4 X", {"x"}),
        (tents(), "P 4", {"p"}),
        (kitchen(), "8 litre", {"litr", "l"}),
        (kitchen(), "12 litres pot", {"litr", "l"}),
        (kitchen(), "10 inch", {"inch", "in"}),
        (kitchen(), "10in", {"in", "inch", "\u02ba"}),
        (kitchen(), "litre", {"litr"}),
        (pharmacy(), "20 stk", {"stk", "stuck"}),
        (pharmacy(), "20 Stück", {"stuck", "stk"}),
        (pharmacy(), "120 kps", {"kps", "kapseln"}),
        (books(), "4P", {"p"}),
        (books(), "4 l", {"l"}),
    ],
)
def test_a_unit_is_read_as_the_catalog_writes_it(items, query, read):
    assert read in readings(items, query)


@pytest.mark.parametrize(
    ("short", "other"), [("m", "mm"), ("m", "ml"), ("k", "kg"), ("g", "gb"), ("m", "mhz"), ("м", "мм"), ("l", "lb")]
)
def test_an_abbreviation_is_not_short_for_another(short, other):
    assert {short} in readings(two_units(short, other), f"6 {short}")
    assert {other} in readings(two_units(short, other), f"6{other}")
    assert {short} in readings(items_of([f"Tube {n} {other}" for n in range(1, 13)]), f"6 {short}")


@pytest.mark.parametrize(
    ("short", "word"), [("m", "metre"), ("in", "inch"), ("л", "литр"), ("ft", "foot"), ("lb", "lbs")]
)
def test_an_abbreviation_is_short_for_a_word(short, word):
    stem = next(iter(readings(items_of([word]), word)[0]))
    assert {short, stem} in readings(two_units(short, word), f"6 {short}")


@pytest.mark.parametrize("query", ['10" oak', "10 ″ oak", "10'' oak"])
def test_a_sign_behind_a_number_is_a_unit_where_texts_show_it(query):
    assert {"in"} in readings(kitchen(), query)
    assert {"in"} not in readings(pharmacy(), query)


@pytest.mark.parametrize(
    ("items", "query", "right"),
    [
        (tents(), "4P tent", "4-Person"),
        (tents(), "fjell 4 person tent", "4-Person"),
        (tents(), "2 p tent", "2-Person"),
        (tents(), "4 season tent", "4-Season"),
        (pharmacy(), "pflaster 50 stk", "50 "),
        (kitchen(), "stock pot 12 litre", "12 L"),
    ],
)
def test_it_brings_what_has_that_many(items, query, right):
    titles = items.table["title"].to_pylist()
    prior = prior_of(Priors.of_items(items).candidates(query, NONE), USUAL_WEIGHTS["search"])
    best = [titles[leaf] for leaf in prior.leaves[np.argsort(-prior.values, kind="stable")]]
    count = sum(right in title for title in titles)
    assert all(right in title for title in best[: min(count, 8)])


def test_items_that_come_later_show_their_units():
    priors = Priors.of_items(books())
    assert [set(own) for own in priors.candidates("4P", NONE, prefix=False).words][1] == {"p"}
    new = tents()
    changed = priors.with_items(np.arange(100, 100 + len(new)), new)
    assert [set(own) for own in changed.candidates("4P", NONE, prefix=False).words][1] == {"p", "person"}


@pytest.mark.parametrize(
    ("short", "word", "is_one"),
    [
        ("kg", "kilogram", True),
        ("l", "litre", True),
        ("ft", "foot", True),
        ("pers", "person", True),
        ("oz", "ounce", False),
        ("cu", "column", False),
        ("person", "person", False),
        ("person", "p", False),
        ("", "p", False),
        ("шт", "штук", True),
    ],
)
def test_abbreviations(short, word, is_one):
    assert abbreviates(short, word) is is_one


def test_signs_are_letters_only_behind_numbers():
    assert with_signs('"ten" 10" 5\' 1980\'s') == '"ten" 10 \u02ba  5 \u02b9  1980\'s'


@given(st.lists(st.lists(st.sampled_from(["2", "4", "p", "person", "m", "²", "١"]), max_size=6), max_size=8))
def test_any_texts_are_learned_from_and_any_are_read(texts):
    units = Units(str)
    units.learn(texts)
    for words in texts:
        for unit, read in units.of(words).items():
            assert unit not in read
            assert all(0 < sure < 1 for sure in read.values())


@pytest.fixture(scope="module")
def store():
    return Items(build_shop(products=1000, shoppers=50, events=500).items)


@pytest.mark.parametrize(
    ("query", "right"),
    [
        ("4P", "4-Person"),
        ("2p tent", "2-Person"),
        ("3 pers tent", "3-Person"),
        ("35 litre", "35 L"),
        ("35l dry bag", "35 L"),
        ("10pt crampons", "10-Point"),
    ],
)
def test_the_bundled_store_shows_its_units(store, query, right):
    titles = store.table["title"].to_pylist()
    prior = prior_of(Priors.of_items(store).candidates(query, NONE), USUAL_WEIGHTS["search"])
    best = [titles[leaf] for leaf in prior.leaves[np.argsort(-prior.values, kind="stable")]]
    assert all(right in title for title in best[: min(sum(right in title for title in titles), 5)])


@pytest.mark.parametrize("end", [". ", ", ", "; ", "! ", ") "])
def test_what_stands_behind_an_end_is_not_counted(end):
    """A brand is no unit because titles end with numbers: `Title 7. Alpina`."""
    items = items_of([f"Title {n}{end}Alpina" for n in range(20)])
    assert readings(items, "7 alpi")[1:] == [{"alpi"}]
    branded = Items(items.table.set_column(items.table.column_names.index("brand"), "brand", pa.array(["Norvik"] * 20)))
    assert readings(branded, "7 norv")[1:] == [{"norv"}]
