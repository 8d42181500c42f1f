"""Who buys: people with activities, a budget, sizes, favourite brands and a way of typing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.importers.shop.assortment import Assortment
from catalog.importers.shop.chance import draw

__all__ = ["Shopper", "make_shoppers"]


@dataclass(frozen=True, slots=True)
class Shopper:
    """`activities` [activities] sum to one; `brands` [brands] are utilities; `wishes`: the preferred value of every
    attribute; `level`: log of how much above a middling price they like to pay; `visits`: how many, roughly;
    `joined`: share of the period gone by before the first visit; `searching`: chance that a visit begins with a query;
    `careless`: chance of a slip in a query.
    """

    user_id: str
    activities: npt.NDArray[np.float64]
    brands: npt.NDArray[np.float64]
    wishes: Mapping[str, int]
    level: float
    visits: float
    joined: float
    searching: float
    careless: float


def make_shoppers(assortment: Assortment, count: int, visits: float, rng: np.random.Generator) -> list[Shopper]:
    """`count` people who visit the store `visits` times each on average, a few of them far more often."""
    return [_make_shopper(assortment, number, visits, rng) for number in range(1, count + 1)]


def _make_shopper(assortment: Assortment, number: int, visits: float, rng: np.random.Generator) -> Shopper:
    wishes = {name: draw(rng, [value.share for value in values]) for name, values in assortment.attributes.items()}
    spread = 0.6
    return Shopper(
        user_id=f"u{number:05d}",
        activities=rng.dirichlet(np.full(len(assortment.activities), 0.3)),
        brands=_brand_tastes(assortment, rng),
        wishes=wishes,
        level=rng.normal(0.0, 0.35),
        visits=max(2.0, visits * rng.lognormal(-(spread**2) / 2, spread)),
        joined=rng.beta(1.0, 2.5) * 0.8,
        searching=rng.beta(3.7, 6.3),
        careless=rng.beta(1.2, 8.0),
    )


def _brand_tastes(assortment: Assortment, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """Utility of every brand: mild opinions about most, loyalty to three."""
    tastes = rng.normal(0.0, 0.4, size=len(assortment.brands))
    fames = [brand.fame for brand in assortment.brands]
    for _ in range(3):
        tastes[draw(rng, fames)] += 1.5
    return tastes
