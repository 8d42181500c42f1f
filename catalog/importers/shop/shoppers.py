"""Makes the people of the store: their activities, budget, sizes, favourite brands and way of typing."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from catalog.importers.shop.assortment import Assortment
from catalog.importers.shop.sampling import draw

__all__ = ["Shopper", "make_shoppers"]


@dataclass(frozen=True, slots=True)
class Shopper:
    """A person.

    activities: weights that sum to one, float [activities].
    brands: utilities, float [brands].
    wishes: the preferred value of every attribute.
    level: the logarithm of the preferred price over a middling one.
    visits: expected number of visits.
    joined: share of the period before the first visit.
    searching: probability that a visit begins with a query.
    careless: probability of a typing error in a query.
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
    """`count` people, who visit the store `visits` times on average, a few of them far more often."""
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
    """The utility of every brand: small for most, high for three favourites."""
    tastes = rng.normal(0.0, 0.4, size=len(assortment.brands))
    fames = [brand.fame for brand in assortment.brands]
    for _ in range(3):
        tastes[draw(rng, fames)] += 1.5
    return tastes
