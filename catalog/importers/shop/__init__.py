"""The bundled store: a generated outdoor shop, so that everything runs without real data.

**Synthetic.** Brands, products, people and events are made up by this package from the word lists beside it, and
figures measured on it say nothing about real shops. A model can learn from it: people have activities, budgets, sizes
and favourite brands, buy winter clothes in winter and mats after tents. A query names properties of the product that is
then clicked, in the shopper's words rather than the shop's, and sometimes with a typing error.

    assortment   reads and checks the word lists
    sampling     random draws
    products     makes the products
    shoppers     makes the people
    queries      makes the queries that they type
    shelves      holds the products by kind, and what each shopper would like
    visits       makes the events
    store        makes the whole data set: `build_shop`
"""

from catalog.importers.shop.store import build_shop

__all__ = ["build_shop"]
