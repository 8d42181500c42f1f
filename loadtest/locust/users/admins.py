"""The users who change the shop while it serves: merchants edit items, an operator activates another model."""

import time
from collections.abc import Iterator
from urllib.parse import quote

from locust.env import Environment

from loadtest.locust.oracle.expected_catalog import Interval
from loadtest.locust.oracle.fault import Fault
from loadtest.locust.oracle.filter_cases import ItemRecord
from loadtest.locust.oracle.query import Query
from loadtest.locust.users.base import Reply, ShopUser

__all__ = ["Merchant", "Operator"]

PATH = "/items/{item_id}"
SWAP_SECONDS = 120.0


class Merchant(ShopUser):
    """Edits an item in every way there is, and checks after each edit that it holds for the very next query."""

    def __init__(self, environment: Environment) -> None:
        super().__init__(environment)
        self._new_item = self.scenario.new_name("item")

    def visit(self) -> Iterator[float]:
        scenario = self.scenario
        if not scenario.editable:
            yield 1.0
            return
        item_id = scenario.editable.pop(0)
        record = scenario.catalog.published(item_id)
        price = round(float(scenario.generator.uniform(1, 500)), 2)
        for state in (record | {"price": price}, record | {"available": False}, record, None, record):
            yield from self._change(item_id, state)
        scenario.editable.append(item_id)
        for state in (record | {"id": self._new_item, "title": f"{record.get('title') or item_id} II"}, None):
            yield from self._change(self._new_item, state)

    def _change(self, item_id: str, record: ItemRecord | None) -> Iterator[float]:
        catalog = self.scenario.catalog
        path = PATH.replace("{item_id}", quote(item_id, safe=""))
        now = time.monotonic()
        maybe_gone = None in catalog.states(item_id, Interval(now, now))  # an earlier edit was not acknowledged
        edit = catalog.begin_edit(item_id, record)
        if record is None:
            reply = self.fetch("DELETE", PATH, _unchecked, path=path, expected=(200, 404) if maybe_gone else (200,))
        else:
            reply = self.fetch("PUT", PATH, _unchecked, path=path, body=record)
        if reply is not None and reply.status == 200:
            catalog.acknowledge(edit)
        title = str((record or {}).get("title") or item_id)
        self.ask(Query(kind="search", q=title, candidates=(item_id,), k=5))
        self.look_at(item_id)
        yield 1.0


class Operator(ShopUser):
    """Activates another of the published models, again and again."""

    fixed_count = 1
    network_timeout = 600.0  # a second engine starts

    def wait_time(self) -> float:
        return SWAP_SECONDS

    def visit(self) -> Iterator[float]:
        while True:
            models = self.fetch("GET", "/admin/models", _unchecked)
            if models is not None:
                body = models.body
                self._activate(next(version for version in body["versions"] if version != body["current"]))
            yield 0.0

    def _activate(self, version: str) -> None:
        def check(reply: Reply) -> list[Fault]:
            return [] if reply.body["model"] == version else [Fault("swap", f"{version} was wanted: {reply.body}")]

        route = "/admin/models/{version}/activate"
        self.fetch("POST", route, check, path=route.replace("{version}", quote(version, safe="")))


def _unchecked(reply: Reply) -> list[Fault]:
    return []
