"""The bundled store: an invented outdoor shop, generated, so that everything runs where no real data is at hand.

**Synthetic.** Brands, products, people and what they do are made up by the code in this folder from the word lists
beside it; figures measured on it say nothing about real shops. It is built to be worth learning from: people have
activities, budgets, sizes and favourite brands, buy winter things in winter and mats after tents; a query names
properties of the product that is then clicked, in the shopper's words rather than the shop's, with slips of the
keyboard.

    assortment   the word lists, read and checked
    products     what is sold
    shelves      the products by kind, and who would like what
    shoppers     who buys
    queries      what they type
    visits       what they do, in time
    store        all of it together: `build_shop`
"""

from catalog.importers.shop.store import build_shop

__all__ = ["build_shop"]
