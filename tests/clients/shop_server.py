"""`python -m server` as it is, but for two bundles of the small shop, with a column of large numbers, and fake engines.

python -m tests.clients.shop_server --bundles EMPTY_FOLDER --redis URL --port 0
"""

import functools
import sys
from typing import cast

import pyarrow as pa

import server.app
from catalog.bundle.bundle import Bundle
from catalog.data.items import Items
from catalog.snapshot import Snapshot
from server.__main__ import main
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names

VERSIONS = ("2025-11-20-a", "2025-11-21-a")
SERIAL = 2**53 + 1  # of the first item; a double has no such number


class SerialShopBundle(ShopBundle):
    """The small shop with a `serial` that no double holds."""

    def __post_init__(self) -> None:
        super().__post_init__()
        table = self.items.table
        serials = pa.array([SERIAL + i for i in range(table.num_rows)], pa.uint64())
        self.items = Items(table.append_column("serial", serials))
        self.snapshot = Snapshot.published(self.items, self.codes_NL, self.index)


def deploy(settings: Settings) -> DeploymentManager:
    publish_names(settings.bundles, *VERSIONS)
    return DeploymentManager(
        settings, lambda _, version: cast(Bundle, SerialShopBundle(version)), lambda *_: RecordingEngine()
    )


if __name__ == "__main__":
    server.app.create_app = functools.partial(server.app.create_app, deploy=deploy)
    sys.exit(main())
