"""Queries: they say true things about the product somebody has in mind."""

import numpy as np
import pytest

from catalog.importers.shop.assortment import load_assortment
from catalog.importers.shop.products import make_products
from catalog.importers.shop.queries import make_query
from catalog.importers.shop.shoppers import make_shoppers


@pytest.fixture(scope="module")
def world():
    assortment = load_assortment()
    rng = np.random.default_rng(0)
    return assortment, make_products(assortment, 300, rng), make_shoppers(assortment, 300, 5.0, rng)


def test_the_product_in_mind_always_matches_its_query(world):
    assortment, products, shoppers = world
    rng = np.random.default_rng(1)
    for product, shopper in zip(products, shoppers, strict=False):
        query = make_query(assortment, product, shopper, rng)
        assert query.text
        assert query.matches(product, assortment.colours)


def test_a_query_excludes_products_that_are_otherwise(world):
    assortment, products, shoppers = world
    rng = np.random.default_rng(2)
    tents = [product for product in products if product.kind == products[0].kind]
    told_apart = 0
    for _ in range(50):
        query = make_query(assortment, tents[0], shoppers[0], rng)
        told_apart += not all(query.matches(tent, assortment.colours) for tent in tents)
    assert told_apart > 25


def test_careless_shoppers_make_slips(world):
    assortment, products, shoppers = world
    known = {
        word.lower()
        for text in (
            *(typed for kind in assortment.kinds for typed in kind.typed),
            *(typed for values in assortment.attributes.values() for value in values for typed in value.typed),
            *(brand.name for brand in assortment.brands),
            *assortment.lines,
            *assortment.marks,
            *assortment.colours.values(),
            *assortment.activities,
            "cheap budget affordable sale best premium top high end",
        )
        for word in text.split()
    }
    rng = np.random.default_rng(3)
    words = [
        word.lower()
        for product, shopper in zip(products, shoppers, strict=False)
        for word in make_query(assortment, product, shopper, rng).text.split()
    ]
    strange = sum(word not in known for word in words) / len(words)
    assert 0.02 < strange < 0.2
