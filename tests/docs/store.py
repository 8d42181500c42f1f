"""The store of the documentation: a few items of the bundled one, under the names that its examples use."""

from typing import cast

import pyarrow as pa

from catalog.bundle.bundle import Bundle
from catalog.data.items import Items
from catalog.ids.index import ItemIndex
from catalog.snapshot import Snapshot
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.fake_engine import FakeEngine
from tests.support.small_shop import CODES_NL, SIZES, ShopBundle, publish_names

ITEMS = 20
"""Of 32 paths, so that there is room for what examples add."""
VERSIONS = ("20261120-190454", "20261121-101500")
SETTINGS = {"events": {"weights": {"purchase": 5, "cart": 3, "view": 1}}}
NAMED = {
    "CAM-0011": "Tarnwell Rigel 2-Person 3-Season Tunnel Tent, Pine",
    "CAM-0023": "Tarnwell Rigel 2-Person Tunnel Tent, Sand",
    "CAM-0057": "Tarnwell Rigel 4-Person 3-Season Tunnel Tent, Night Blue",
    "FOO-0003": "Fellmark Ridge Hiking Boots, Brown",
}


def make_items() -> Items:
    ids = [*NAMED, *(f"CAM-{number}" for number in range(2_000, 2_000 + ITEMS - len(NAMED)))]
    return Items(
        pa.table(
            {
                "item_id": ids,
                "title": [NAMED.get(item_id, f"Tarnwell Tent {item_id}") for item_id in ids],
                "description": ["For two people and three seasons."] * len(ids),
                "brand": ["Tarnwell"] * len(ids),
                "categories": [["Camping", "Tents"]] * len(ids),
                "price": [150.0 + 10 * number for number in range(len(ids))],
                "available": [True] * len(ids),
                "colour": ["Pine"] * len(ids),
            }
        )
    )


def make_index() -> ItemIndex:
    return ItemIndex.build(CODES_NL[:ITEMS], SIZES)[0]


class StoreBundle(ShopBundle):
    def __post_init__(self) -> None:
        super().__post_init__()
        self.items, self.codes_NL, self.index = make_items(), CODES_NL[:ITEMS], make_index()
        self.manifest = self.manifest.model_copy(update={"items": ITEMS, "settings": SETTINGS})
        self.snapshot = Snapshot.published(self.items, self.codes_NL, self.index)


def deploy(settings: Settings) -> DeploymentManager:
    """Publishes both versions where the folder of bundles is empty."""
    settings.bundles.mkdir(parents=True, exist_ok=True)
    if not (settings.bundles / "current").exists():
        publish_names(settings.bundles, *VERSIONS)
    return DeploymentManager(
        settings, lambda _, version: cast(Bundle, StoreBundle(version)), lambda *_: FakeEngine(make_index())
    )
