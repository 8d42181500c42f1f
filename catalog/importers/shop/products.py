"""Makes the products of the store: lines of a brand, each in several variants, with titles and descriptions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from catalog.importers.shop.assortment import Assortment, Brand, Kind, Value
from catalog.importers.shop.sampling import draw, pick

__all__ = ["Product", "make_products"]

ATTEMPTS = 40
"""Attempts to make a variant with a new title before the kind gets no more products."""


@dataclass(frozen=True, slots=True)
class Product:
    """A product.

    kind, brand: positions in the assortment.
    choices: for every attribute of the kind, the position of the value.
    price: in euros.
    fame: how readily it is chosen, all else being equal.
    """

    item_id: str
    kind: int
    brand: int
    line: str
    choices: tuple[int, ...]
    title: str
    description: str | None
    price: float
    grams: int
    colour: str | None
    available: bool
    fame: float


@dataclass(frozen=True, slots=True)
class _Line:
    brand: int
    name: str
    noun: str
    lead: str
    colour_named: bool
    grams: float
    fame: float


def make_products(assortment: Assortment, count: int, rng: np.random.Generator) -> list[Product]:
    """About `count` products, fewer if a kind has too few variants, numbered in the order of their kinds."""
    shares = np.array([kind.share for kind in assortment.kinds])
    targets = np.maximum(1, np.round(count * shares / shares.sum())).astype(int)
    products: list[Product] = []
    titles: set[str] = set()
    for number, kind in enumerate(assortment.kinds):
        lines = _make_lines(assortment, kind, int(targets[number]), rng)
        chances = [line.fame for line in lines]
        made, attempts = 0, 0
        while made < targets[number] and attempts < ATTEMPTS:
            line = lines[draw(rng, chances)]
            product = _make_variant(assortment, number, line, len(products) + 1, rng)
            if product.title in titles:
                attempts += 1
                continue
            titles.add(product.title)
            products.append(product)
            made, attempts = made + 1, 0
    return products


def _make_lines(assortment: Assortment, kind: Kind, products: int, rng: np.random.Generator) -> list[_Line]:
    """Several lines of each brand that makes the kind, with random ranks; their fame falls with the rank."""
    makers = [number for number, brand in enumerate(assortment.brands) if brand.makes(kind)]
    count = max(len(makers), products // 3)
    fames = np.array([assortment.brands[maker].fame for maker in makers])
    brands = [*makers, *rng.choice(makers, size=count - len(makers), p=fames / fames.sum())]
    names = rng.permutation(len(assortment.lines))
    ranks = rng.permutation(count)
    lines: list[_Line] = []
    for order, brand in enumerate(brands):
        mark = pick(rng, assortment.marks)
        name = assortment.lines[names[order % len(names)]]
        lines.append(
            _Line(
                brand=int(brand),
                name=f"{name} {mark}".strip(),
                noun=pick(rng, kind.nouns),
                lead=pick(rng, kind.leads),
                colour_named=kind.colours and rng.random() < 0.4,
                grams=float(rng.uniform(kind.grams[0], kind.grams[1])),
                fame=float(assortment.brands[brand].fame ** 0.5 / (1 + ranks[order]) ** 0.8),
            )
        )
    return lines


def _make_variant(assortment: Assortment, number: int, line: _Line, serial: int, rng: np.random.Generator) -> Product:
    kind, brand = assortment.kinds[number], assortment.brands[line.brand]
    choices = tuple(draw(rng, [value.share for value in values]) for values in assortment.values(kind))
    values = [options[choice] for options, choice in zip(assortment.values(kind), choices, strict=True)]
    factor = float(np.prod([value.price for value in values])) * brand.level
    grams = int(np.clip(line.grams * rng.uniform(0.9, 1.1), kind.grams[0], kind.grams[1]))
    colour = pick(rng, list(assortment.colours)) if kind.colours else None
    return Product(
        item_id=f"{kind.category[0][:3].upper()}-{serial:04d}",
        kind=number,
        brand=line.brand,
        line=line.name,
        choices=choices,
        title=_title(brand, line, values, colour if line.colour_named else None, rng),
        description=_description(assortment, kind, brand, line, values, grams, rng),
        price=_price(kind.price * factor * rng.lognormal(0.0, 0.08)),
        grams=grams,
        colour=colour,
        available=bool(rng.random() > 0.03),
        fame=line.fame * rng.lognormal(0.0, 0.6),
    )


def _title(brand: Brand, line: _Line, values: Sequence[Value], colour: str | None, rng: np.random.Generator) -> str:
    labels = [value.label for value in values if value.label]
    if len(labels) > 1 and rng.random() < 0.25:
        labels.pop()  # Shops leave some properties out of titles.
    sizes = [label for label in labels if label[0].isdigit() and "-" not in label]
    adjectives = [label for label in labels if label not in sizes]
    adjectives.sort(key=lambda label: not label.endswith("'s"))
    words = [brand.name] if brand.named else []
    words += [line.name, *adjectives, line.noun, *sizes]
    return " ".join(words) + (f", {colour}" if colour else "")


def _description(
    assortment: Assortment,
    kind: Kind,
    brand: Brand,
    line: _Line,
    values: Sequence[Value],
    grams: int,
    rng: np.random.Generator,
) -> str | None:
    if rng.random() < 0.03:
        return None
    sentences = [pick(rng, value.says) for value in values if rng.random() < 0.8]
    activity = list(kind.activities)[draw(rng, list(kind.activities.values()))]
    if rng.random() < 0.55:
        sentences.append(pick(rng, assortment.activities[activity]))
    if rng.random() < 0.35:
        sentences.append(pick(rng, brand.says))
    closings = [*assortment.closings, *(assortment.worn if kind.category[0] == "Clothing" else ())]
    order = rng.permutation(len(sentences))
    text = [line.lead, *(sentences[number] for number in order)]
    if rng.random() < 0.5:
        text.append(pick(rng, closings).format(grams=grams))
    return " ".join(text)


def _price(amount: float) -> float:
    """A price as shops write it: ending in .95 below a hundred euros, and a multiple of five above."""
    return round(np.floor(amount) + 0.95, 2) if amount < 100 else float(5 * round(amount / 5))
