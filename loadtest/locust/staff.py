"""Who changes the shop while it is open: merchants edit items, an operator activates another model."""

import time
from collections.abc import Iterator
from urllib.parse import quote

from locust.env import Environment

from loadtest.locust.asked import Asked
from loadtest.locust.conditions import Record
from loadtest.locust.customer import Customer, Reply
from loadtest.locust.stock import Interval
from loadtest.locust.verdicts import Fault

__all__ = ["Merchant", "Operator"]

PATH = "/items/{item_id}"
SWAP_SECONDS = 120.0


class Merchant(Customer):
    """CatalogSync an item in every way there is, and looks after each edit whether it holds for the very next
    question."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._novelty = self.shop.new_name("item")

    def visit(self) -> Iterator[float]:
        shop = self.shop
        if not shop.edited:
            yield 1.0
            return
        item_id = shop.edited.pop(0)
        record = shop.stock.published(item_id)
        price = round(float(shop.generator.uniform(1, 500)), 2)
        for state in (record | {"price": price}, record | {"available": False}, record, None, record):
            yield from self._change(item_id, state)
        shop.edited.append(item_id)
        for state in (record | {"id": self._novelty, "title": f"{record.get('title') or item_id} II"}, None):
            yield from self._change(self._novelty, state)

    def _change(self, item_id: str, record: Record | None) -> Iterator[float]:
        stock = self.shop.stock
        path = PATH.replace("{item_id}", quote(item_id, safe=""))
        now = time.monotonic()
        maybe_gone = None in stock.states(item_id, Interval(now, now))  # an edit before was not acknowledged
        edit = stock.begin(item_id, record)
        if record is None:
            reply = self.fetch("DELETE", PATH, _no_faults, path=path, expected=(200, 404) if maybe_gone else (200,))
        else:
            reply = self.fetch("PUT", PATH, _no_faults, path=path, body=record)
        if reply is not None and reply.status == 200:
            stock.acknowledge(edit)
        title = str((record or {}).get("title") or item_id)
        self.ask(Asked(kind="search", query=title, candidates=(item_id,), k=5))
        self.look_at(item_id)
        yield 1.0


class Operator(Customer):
    """Has another of the published models answer, again and again."""

    fixed_count = 1
    network_timeout = 600.0  # a second engine starts

    def wait_time(self) -> float:
        return SWAP_SECONDS

    def visit(self) -> Iterator[float]:
        while True:
            models = self.fetch("GET", "/admin/models", _no_faults)
            if models is not None:
                body = models.body
                self._activate(next(version for version in body["versions"] if version != body["current"]))
            yield 0.0

    def _activate(self, version: str) -> None:
        def judge(reply: Reply) -> list[Fault]:
            return [] if reply.body["model"] == version else [Fault("swap", f"{version} was wanted: {reply.body}")]

        route = "/admin/models/{version}/activate"
        self.fetch("POST", route, judge, path=route.replace("{version}", quote(version, safe="")))


def _no_faults(reply: Reply) -> list[Fault]:
    return []
