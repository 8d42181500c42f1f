"""Makes the whole data set of the store, which depends on the arguments and the seed only."""

import numpy as np
import pyarrow as pa

from catalog.data.validation_report import ValidationReport
from catalog.errors import DatasetError
from catalog.importers.dataset import Dataset, assemble
from catalog.importers.shop.assortment import Assortment, load_assortment
from catalog.importers.shop.products import Product, make_products
from catalog.importers.shop.shelves import Shelves
from catalog.importers.shop.shoppers import make_shoppers
from catalog.importers.shop.visits import Act, make_visits

__all__ = ["build_shop"]

EVENTS_A_VISIT = 4.24
"""The mean number of events of a visit, as measured, from which the number of visits is computed."""


def build_shop(*, seed: int = 0, products: int = 2000, shoppers: int = 1500, events: int = 40_000) -> Dataset:
    """A store with about so many products and events, and exactly so many shoppers.

    Items have the further columns `colour`, `activities` and `grams`, and events an `event_id`. The same arguments give
    the same tables. Raises DatasetError if there are too few products, shoppers or events.
    """
    if products < 100 or shoppers < 1 or events < 2 * shoppers:
        raise DatasetError("a store needs at least 100 products, 1 shopper, and 2 events for each shopper")
    assortment = load_assortment()
    for_products, for_shoppers, for_visits = np.random.default_rng(seed).spawn(3)
    goods = make_products(assortment, products, for_products)
    shelves = Shelves(assortment, goods)
    visits = events / shoppers / EVENTS_A_VISIT
    people = make_shoppers(assortment, shoppers, visits, for_shoppers)
    chances = for_visits.spawn(len(people))
    acts = [act for person, rng in zip(people, chances, strict=True) for act in make_visits(shelves, person, rng)]
    acts.sort(key=lambda act: act.milliseconds)
    items, happened = _items(assortment, goods), _events(goods, acts)
    return assemble(
        items, happened, ValidationReport("items", read=len(items)), ValidationReport("events", read=len(happened))
    )


def _items(assortment: Assortment, goods: list[Product]) -> pa.Table:
    kinds = [assortment.kinds[product.kind] for product in goods]
    return pa.table(
        {
            "item_id": [product.item_id for product in goods],
            "title": [product.title for product in goods],
            "description": pa.array([product.description for product in goods], pa.string()),
            "brand": [assortment.brands[product.brand].name for product in goods],
            "categories": [list(kind.category) for kind in kinds],
            "price": [product.price for product in goods],
            "available": [product.available for product in goods],
            "colour": pa.array(
                [assortment.colours[product.colour] if product.colour else None for product in goods], pa.string()
            ),
            "activities": [list(kind.activities) for kind in kinds],
            "grams": [product.grams for product in goods],
        }
    )


def _events(goods: list[Product], acts: list[Act]) -> pa.Table:
    return pa.table(
        {
            "user_id": [act.user_id for act in acts],
            "item_id": [goods[act.product].item_id for act in acts],
            "timestamp": pa.array([act.milliseconds for act in acts], pa.int64()),
            "type": [act.type.value for act in acts],
            "query": pa.array([act.query for act in acts], pa.string()),
            "event_id": [f"shop-{number:06d}" for number in range(1, len(acts) + 1)],
        }
    )
