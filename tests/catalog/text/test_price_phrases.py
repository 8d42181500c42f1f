"""Which prices a query asks for, and which numbers of it are no prices."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.text.price_phrases import PricePhrase, find_price, units_of

UNITS = units_of(
    [
        "Rigel 2-Person 3-Season Tent",
        "Wren 4 person tent, 2.5 kg",
        "Headlamp, 200 lumens",
        "Pack 60 L, blue",
        "Kg Scales for tents",
        "A headlamp 100 of ours",
        "A bag, 12 kg",
    ]
)


def test_units_are_words_that_mostly_follow_numbers() -> None:
    assert {"person", "season", "kg", "lumens", "l", "of"} == UNITS


@pytest.mark.parametrize(
    ("query", "rest", "low", "high"),
    [
        ("sleeping bag under 100", "sleeping bag", None, 100),
        ("under 100 sleeping bag", "sleeping bag", None, 100),
        ("Tents UP TO $1,250.50", "Tents", None, 1250.5),
        ("tent < 200", "tent", None, 200),
        ("tent <= 200€ blue", "tent blue", None, 200),
        ("tent over 99.90 euros", "tent", 99.9, None),
        ("tent 100-200 €", "tent", 100, 200),
        ("tent €200 to €100", "tent", 100, 200),
        ("tent between 100 and 200", "tent", 100, 200),
        ("from 1 000 to 2 000 euros tent", "tent", 1000, 2000),
        ("Zelt unter 1.000 €", "Zelt", None, 1000),
        ("Zelt zwischen 100 und 200", "Zelt", 100, 200),
        ("tente moins de 80,50 €", "tente", None, 80.5),
        ("bag under 3 pounds", "bag", None, 3),
        ("bag under £3", "bag", None, 3),
        ("under 100", "", None, 100),
        ("tent under 3 kg under 200", "tent under 3 kg", None, 200),
        ("2 person tent, max 150", "2 person tent", None, 150),
    ],
)
def test_a_price_is_found(query: str, rest: str, low: float | None, high: float | None) -> None:
    assert find_price(query, UNITS) == PricePhrase(rest, low, high)


@pytest.mark.parametrize(
    "query",
    [
        "tent under 3 kg",
        "tent under 3kg",
        "headlamp over 200 lumens",
        "headlamp over 200-lumens",
        "2-3 person tent",
        "tent 100-200",
        "between 2 and 3 person tent",
        "tent 100",
        "wonderunder 100",
        "under the 100 trees",
        "under 100%",
        'tv over 55"',
        "",
        "🏕",
        "<<<",
    ],
)
def test_other_numbers_are_no_prices(query: str) -> None:
    assert find_price(query, UNITS) is None


def test_pounds_that_a_catalog_weighs_in_are_no_money() -> None:
    """Only a catalog can say what pounds are; with a sign of currency they need no telling."""
    units = units_of(["a bag of 3 pounds"])
    assert find_price("bag under 3 pounds", units) is None
    assert find_price("bag under £3", units) == PricePhrase("bag", None, 3)


@given(st.text(max_size=60), st.text(max_size=20))
def test_the_rest_is_of_the_query(before: str, after: str) -> None:
    found = find_price(f"{before} under 12 {after}", frozenset())
    assert found is None or set(found.rest) <= set(before) | set(after) | set(" under 12")
