"""Reads and checks the word lists of the store: the YAML files beside this module."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Any

import yaml

__all__ = ["Assortment", "Brand", "Kind", "Value", "load_assortment"]


@dataclass(frozen=True, slots=True)
class Value:
    """One value of an attribute, such as "2-Person".

    label: as titles have it; an empty one is in no title.
    price: factor of the product's price.
    typed: the words of shoppers for it.
    says: sentences of descriptions.
    share: relative frequency.
    """

    label: str
    price: float
    typed: Sequence[str]
    says: Sequence[str]
    share: float = 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of product, which is a leaf category.

    nouns, typed: the words of titles, and of shoppers, for it.
    activities: what it is used for, with weights.
    price: in euros, of a middling product.
    share: relative number of products.
    months: name of a yearly profile of demand.
    grams: weights of the lightest and the heaviest product.
    leads: first sentences of descriptions.
    next: kinds that are bought after it, the most frequent first.
    """

    category: Sequence[str]
    nouns: Sequence[str]
    typed: Sequence[str]
    activities: Mapping[str, float]
    price: float
    share: float
    months: str
    attributes: Sequence[str]
    grams: Sequence[int]
    colours: bool
    leads: Sequence[str]
    next: Sequence[str]

    @property
    def name(self) -> str:
        """The name of the category."""
        return self.category[-1]


@dataclass(frozen=True, slots=True)
class Brand:
    """An invented brand.

    departments: top categories, or "all".
    level: factor of prices.
    fame: how readily its products are chosen.
    named: whether titles begin with it.
    activities: those for which it makes products; empty for any.
    """

    name: str
    departments: Sequence[str]
    level: float
    fame: float
    named: bool
    says: Sequence[str]
    activities: Sequence[str] = ()

    def makes(self, kind: Kind) -> bool:
        """Whether the brand sells products of this kind."""
        department = "all" in self.departments or kind.category[0] in self.departments
        purpose = not self.activities or any(name in self.activities for name in kind.activities)
        return department and purpose


@dataclass(frozen=True, slots=True)
class Assortment:
    """Everything that the store is made of."""

    kinds: Sequence[Kind]
    brands: Sequence[Brand]
    attributes: Mapping[str, Sequence[Value]]
    lines: Sequence[str]
    marks: Sequence[str]
    colours: Mapping[str, str]
    activities: Mapping[str, Sequence[str]]
    closings: Sequence[str]
    worn: Sequence[str]
    months: Mapping[str, Sequence[float]]

    def values(self, kind: Kind) -> list[Sequence[Value]]:
        """The possible values of every attribute of a kind, in its order."""
        return [self.attributes[name] for name in kind.attributes]


@functools.cache
def load_assortment() -> Assortment:
    """The word lists of this package. Raises ValueError if one refers to something that another does not have."""
    attributes = {name: tuple(Value(**value) for value in values) for name, values in _load("attributes").items()}
    kinds = tuple(Kind(**kind) for kind in _load("kinds"))
    brands = tuple(Brand(**brand) for brand in _load("brands"))
    assortment = Assortment(kinds=kinds, brands=brands, attributes=attributes, **_load("words"))
    _check(assortment)
    return assortment


def _load(name: str) -> Any:
    text = resources.files(__package__).joinpath(f"{name}.yaml").read_text(encoding="utf-8")
    return yaml.safe_load(text)


def _check(assortment: Assortment) -> None:
    names = {kind.name for kind in assortment.kinds}
    for kind in assortment.kinds:
        known = (
            (kind.next, names),
            (kind.attributes, assortment.attributes),
            (kind.activities, assortment.activities),
            ((kind.months,), assortment.months),
        )
        for used, there in known:
            unknown = [name for name in used if name not in there]
            if unknown:
                raise ValueError(f"kinds.yaml: {kind.name} refers to {unknown[0]!r}, which is not defined")
        if not any(brand.makes(kind) for brand in assortment.brands):
            raise ValueError(f"brands.yaml: no brand makes {kind.name}")
