"""Makes the queries of shoppers: properties of a product in their own words, sometimes with a typing error."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from catalog.importers.shop.assortment import Assortment, Kind
from catalog.importers.shop.products import Product
from catalog.importers.shop.sampling import draw, pick
from catalog.importers.shop.shoppers import Shopper

__all__ = ["Query", "make_query"]

FORMS = {
    ("kind",): 20,
    ("attribute", "kind"): 26,
    ("attribute", "attribute", "kind"): 9,
    ("brand", "kind"): 14,
    ("brand", "attribute", "kind"): 6,
    ("brand", "line"): 6,
    ("line", "kind"): 4,
    ("colour", "kind"): 5,
    ("activity", "kind"): 5,
    ("price", "kind"): 4,
    ("kind", "attribute"): 5,
}
"""The parts of queries, and their relative frequency."""
CHEAP = ("cheap", "budget", "affordable", "sale")
DEAR = ("best", "premium", "top", "high end")
NEIGHBOURS = {
    "a": "s", "b": "v", "c": "x", "d": "f", "e": "r", "f": "g", "g": "h", "h": "j", "i": "o", "j": "k", "k": "l",
    "l": "k", "m": "n", "n": "m", "o": "p", "p": "o", "r": "t", "s": "d", "t": "y", "u": "i", "v": "b", "w": "e",
    "y": "u",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Query:
    """A query and what it says about the product, by which the clicked products are chosen.

    text: as it is typed.
    brand, line, colour: None where the query does not say.
    choices: values that it names, by the position of their attribute in the kind.
    """

    text: str
    brand: int | None
    line: str | None
    colour: str | None
    choices: dict[int, int]

    def matches(self, product: Product, colours: Mapping[str, str]) -> bool:
        """Whether a product of the searched kind is what the query says.

        colours: plain words by the names of colours.
        """
        return (
            self.brand in {None, product.brand}
            and self.line in {None, product.line}
            and (self.colour is None or colours.get(product.colour or "") == self.colour)
            and all(product.choices[place] == choice for place, choice in self.choices.items())
        )


def make_query(assortment: Assortment, product: Product, shopper: Shopper, rng: np.random.Generator) -> Query:
    """A query of a shopper who looks for something like `product`."""
    kind = assortment.kinds[product.kind]
    forms = list(FORMS)
    form = forms[draw(rng, list(FORMS.values()))]
    said: dict[str, str] = {}
    choices: dict[int, int] = {}
    words: list[str] = []
    for part in form:
        if part == "attribute":
            place = _unsaid(kind, choices, rng)
            if place is not None:
                choices[place] = product.choices[place]
                words.append(pick(rng, assortment.attributes[kind.attributes[place]][choices[place]].typed))
        else:
            said[part] = _word(part, assortment, product, shopper, rng)
            words.append(said[part])
    return Query(
        text=_typed(" ".join(word for word in words if word), shopper, rng),
        brand=product.brand if "brand" in said else None,
        line=product.line if "line" in said else None,
        colour=said.get("colour") or None,
        choices=choices,
    )


def _unsaid(kind: Kind, choices: dict[int, int], rng: np.random.Generator) -> int | None:
    """The position of an attribute that the query does not name yet; the first ones are likelier."""
    weights = [0.0 if place in choices else 1.0 / (1 + place) for place in range(len(kind.attributes))]
    return draw(rng, weights) if any(weights) else None


def _word(part: str, assortment: Assortment, product: Product, shopper: Shopper, rng: np.random.Generator) -> str:
    kind = assortment.kinds[product.kind]
    match part:
        case "kind":
            # the shop's own word is the first and likeliest
            return kind.typed[draw(rng, [2.0 if place == 0 else 1.0 for place in range(len(kind.typed))])]
        case "brand":
            return assortment.brands[product.brand].name
        case "line":
            return product.line
        case "colour":
            return assortment.colours[product.colour] if product.colour else ""
        case "activity":
            return list(kind.activities)[draw(rng, list(kind.activities.values()))]
        case _:
            return pick(rng, CHEAP if shopper.level < 0 else DEAR)


def _typed(text: str, shopper: Shopper, rng: np.random.Generator) -> str:
    """The text as it is typed: mostly in lower case, sometimes cut short, sometimes with a typing error."""
    if rng.random() > 0.06:
        text = text.lower()
    words = text.split()
    if rng.random() < 0.06 and len(words[-1]) > 5:
        words[-1] = words[-1][: int(rng.integers(4, len(words[-1])))]
    if rng.random() < shopper.careless:
        long = [place for place, word in enumerate(words) if re.fullmatch(r"[A-Za-z]{5,}", word)]
        if long:
            place = pick(rng, long)
            words[place] = _slip(words[place], rng)
    return " ".join(words)


def _slip(word: str, rng: np.random.Generator) -> str:
    """The word with one letter left out, doubled, swapped with the next, or replaced by a neighbour on the keyboard."""
    place = int(rng.integers(1, len(word) - 1))
    before, letter, after = word[:place], word[place], word[place + 1 :]
    slips = (
        before + after,
        before + letter + letter + after,
        before + after[0] + letter + after[1:],
        before + NEIGHBOURS.get(letter.lower(), letter) + after,
    )
    return pick(rng, slips)
