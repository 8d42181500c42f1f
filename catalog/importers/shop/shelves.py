"""The products of the store by kind, as arrays, and how much a given shopper would like each."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.importers.shop.assortment import Assortment
from catalog.importers.shop.products import Product
from catalog.importers.shop.queries import Query
from catalog.importers.shop.shoppers import Shopper

__all__ = ["Shelf", "Shelves"]

Floats = npt.NDArray[np.float64]
Numbers = npt.NDArray[np.int64]

# How much counts: being well known, the brand, the wishes (the first attribute of a kind most), the price.
FAME, BRAND, WISH, PRICE = 0.9, 1.2, 1.6, 1.2


@dataclass(frozen=True, slots=True)
class Shelf:
    """The products of one kind: `products` are positions in the list of products, `fame` and `level` (price) are logs.

    All arrays are over these products; `choices` has a column for each attribute of the kind.
    """

    products: Numbers
    fame: Floats
    brand: Numbers
    level: Floats
    choices: Numbers


class Shelves:
    """What is where, and for whom."""

    def __init__(self, assortment: Assortment, products: Sequence[Product]) -> None:
        self.assortment = assortment
        self.products = products
        self.kind_of = {kind.name: number for number, kind in enumerate(assortment.kinds)}
        self._shelves = [self._fill(number) for number in range(len(assortment.kinds))]
        self._months = np.array([assortment.months[kind.months] for kind in assortment.kinds])
        uses = [[kind.activities.get(name, 0.0) for name in assortment.activities] for kind in assortment.kinds]
        self._uses = np.array(uses) * np.array([[kind.share] for kind in assortment.kinds])

    def __getitem__(self, kind: int) -> Shelf:
        return self._shelves[kind]

    def wants(self, shopper: Shopper, month: int) -> Floats:
        """How readily a shopper comes for each kind [kinds] in a month (0 is January)."""
        wants: Floats = (self._uses @ shopper.activities) * self._months[:, month] + 1e-6
        return wants

    def liking(self, shopper: Shopper, kind: int) -> Floats:
        """The utility of every product of a kind [products of the kind] to a shopper, before the mood of the day."""
        shelf = self._shelves[kind]
        wishes = np.array([shopper.wishes[name] for name in self.assortment.kinds[kind].attributes])
        fit = (shelf.choices == wishes) @ (WISH / (1.0 + 0.5 * np.arange(len(wishes))))
        dear = np.abs(shelf.level - shopper.level)
        liking: Floats = FAME * shelf.fame + BRAND * shopper.brands[shelf.brand] + fit - PRICE * dear
        return liking

    def matching(self, kind: int, query: Query) -> npt.NDArray[np.bool_]:
        """Which products of a kind [products of the kind] are what a query says."""
        products = (self.products[place] for place in self._shelves[kind].products)
        return np.array([query.matches(product, self.assortment.colours) for product in products])

    def _fill(self, kind: int) -> Shelf:
        here = [place for place, product in enumerate(self.products) if product.kind == kind]
        products = [self.products[place] for place in here]
        prices = np.log([product.price for product in products])
        return Shelf(
            products=np.array(here),
            fame=np.log([product.fame for product in products]),
            brand=np.array([product.brand for product in products]),
            level=prices - prices.mean(),
            choices=np.array([product.choices for product in products]),
        )
