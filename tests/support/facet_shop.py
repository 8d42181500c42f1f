"""A small shop whose items differ in every kind of column, and what plain Python counts of them."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from tests.support.http_shop import Shop
from tests.support.small_shop import NAMES, UNAVAILABLE

Record = dict[str, Any]

BRANDS = ("Alpina", "Nordlys", "Zebra", None)
RECORDS: list[Record] = [
    {
        "id": name,
        "title": f"{('Tent', 'Warm lantern', 'Tent lantern')[row % 3]} {row}",
        "brand": BRANDS[row % 4],
        "categories": [["Tents"], ["Tents", "Camping", "Tents"], [], ["Lights"], None][row % 5],
        "price": None if row % 7 == 3 else 10.0 * (row % 6) + 0.5,
        "available": row not in UNAVAILABLE,
        "season": ("summer", "winter")[row % 2],
    }
    for row, name in enumerate(NAMES)
]
SHOWN = [record for record in RECORDS if record["available"]]

FILTERS: dict[str, dict[str | None, Callable[[Record], bool]]] = {
    'brand = "Zebra"': {"brand": lambda item: item["brand"] == "Zebra"},
    'brand in ("Zebra", "Alpina") and price < 30': {
        "brand": lambda item: item["brand"] in {"Zebra", "Alpina"},
        "price": lambda item: item["price"] is not None and item["price"] < 30,
    },
    '(brand = "Zebra" or season = "winter") and not category = "Tents"': {
        None: lambda item: item["brand"] == "Zebra" or item["season"] == "winter",
        "categories": lambda item: "Tents" not in (item["categories"] or []),
    },
    '(category = "Tents" or category = "Lights") and season = "summer"': {
        "categories": lambda item: not {"Tents", "Lights"}.isdisjoint(item["categories"] or []),
        "season": lambda item: item["season"] == "summer",
    },
}
"""Filters, and what each of their conditions means by the column that it is on; None: it is on several."""


async def stock(shop: Shop) -> None:
    """Write the records over those of the small shop."""
    response = await shop.client.post("/items", json=RECORDS)
    assert response.status_code == 200, response.text


def meeting(expression: str | None, without: str | None = None, among: Iterable[Record] = SHOWN) -> list[Record]:
    """The items that a filter lets through, but for its conditions on one column."""
    tests = [test for column, test in FILTERS.get(expression or "", {}).items() if column is None or column != without]
    return [item for item in among if all(test(item) for test in tests)]


def distribution(items: Iterable[Record], column: str, most: int = 10) -> dict[str, int]:
    """What a distribution of strings should be, in its order."""
    counts = Counter(value for item in items for value in _values(item[column]))
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:most])


def _values(value: Any) -> Iterator[str]:
    yield from set(value) if isinstance(value, list) else [] if value is None else [value]
