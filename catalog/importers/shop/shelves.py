"""The products of the store by kind, as arrays, and the utility of each for a shopper."""

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

FAME, BRAND, WISH, PRICE = 0.9, 1.2, 1.6, 1.2
"""Weights in the utility: of being well known, the brand, the preferred attributes, and the price."""


@dataclass(frozen=True, slots=True)
class Shelf:
    """The products of one kind. All arrays have one row for each of them.

    products: positions in the list of all products.
    fame: the logarithm of the product's fame.
    level: the logarithm of its price, less the mean of the kind.
    choices: the values of the kind's attributes, one column for each.
    """

    products: Numbers
    fame: Floats
    brand: Numbers
    level: Floats
    choices: Numbers


class Shelves:
    """All products by kind.

    kind_of: the position of a kind, by its name.
    """

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
        """A shopper's demand for every kind in a month, where 0 is January; float [kinds]."""
        wants: Floats = (self._uses @ shopper.activities) * self._months[:, month] + 1e-6
        return wants

    def liking(self, shopper: Shopper, kind: int) -> Floats:
        """The utility of every product of a kind for a shopper, float [products of the kind]."""
        shelf = self._shelves[kind]
        wishes = np.array([shopper.wishes[name] for name in self.assortment.kinds[kind].attributes])
        fit = (shelf.choices == wishes) @ (WISH / (1.0 + 0.5 * np.arange(len(wishes))))
        dear = np.abs(shelf.level - shopper.level)
        liking: Floats = FAME * shelf.fame + BRAND * shopper.brands[shelf.brand] + fit - PRICE * dear
        return liking

    def matching(self, kind: int, query: Query) -> npt.NDArray[np.bool_]:
        """Whether each product of a kind is what a query says, bool [products of the kind]."""
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
