"""The shop that browser tests look at: the small shop with more to look at, and an engine that can be broken."""

from typing import cast

import pyarrow as pa

from catalog.bundle.bundle import Bundle
from catalog.data.items import Items
from catalog.snapshot import Snapshot
from catalog.suggestions import TypedQueries, TypedQuery
from server.core.settings import Settings
from server.engine.errors import EngineUnavailable
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.small_shop import CODES_NL, NAMES, RecordingEngine, ShopBundle

HOSTILE = '<img src=x onerror="document.title=\'owned\'"><script>document.title="owned"</script>'
UNTITLED, HOSTILE_ITEM, ENDLESS = NAMES[0], NAMES[2], NAMES[3]
KINDS = ("Tents", "Lamps", "Ropes")
TYPED = ("tent poles", "tents for two", "rope ladder")
"""What many people have searched for."""


def item_table() -> pa.Table:
    titles: list[str | None] = [f"{KINDS[i % 3][:-1]} number {i}" for i in range(len(NAMES))]
    titles[0], titles[2], titles[3] = None, HOSTILE, "Endless" * 40
    return pa.table(
        {
            "item_id": NAMES,
            "title": titles,
            "description": [f"What number {i} is good for." for i in range(len(NAMES))],
            "brand": [HOSTILE if i == 2 else "Alpina" for i in range(len(NAMES))],
            "categories": [["Outdoor", KINDS[i % 3]] for i in range(len(NAMES))],
            "price": [10.0 + i for i in range(len(NAMES))],
            "available": [True] * len(NAMES),
            "season": [("summer", "winter", None)[i % 3 if i < 12 else i % 2] for i in range(len(NAMES))],
            "grams": [100 * i for i in range(len(NAMES))],
        }
    )


class BreakableEngine(RecordingEngine):
    def __init__(self) -> None:
        super().__init__()
        self.broken = False

    async def rank(self, request: RankRequest) -> Ranking:
        if self.broken:
            raise EngineUnavailable("the test broke it")
        return await super().rank(request)


class BrowserShop(ShopBundle):
    def __post_init__(self) -> None:
        super().__post_init__()
        typed = [TypedQuery(text=text, people=9 - place, weight=9 - place, last=0) for place, text in enumerate(TYPED)]
        self.typed_queries = TypedQueries(queries=tuple(typed))
        self.items = Items(item_table())
        self.snapshot = Snapshot.published(self.items, CODES_NL, self.index)


def deploy(settings: Settings, engine: BreakableEngine) -> DeploymentManager:
    return DeploymentManager(settings, lambda _, version: cast(Bundle, BrowserShop(version)), lambda *_: engine)
