"""`python -m server` as it is, but for two bundles of the small shop and fake engines.

python -m tests.clients.shop_server --bundles EMPTY_FOLDER --redis URL --port 0
"""

import functools
import sys
from typing import cast

import server.__main__ as program
from catalog.bundle.bundle import Bundle
from server.app import create_app
from server.core.settings import Settings
from server.serving.manager import DeploymentManager
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names

VERSIONS = ("2025-11-20-a", "2025-11-21-a")


def deploy(settings: Settings) -> DeploymentManager:
    publish_names(settings.bundles, *VERSIONS)
    return DeploymentManager(
        settings, lambda _, version: cast(Bundle, ShopBundle(version)), lambda *_: RecordingEngine()
    )


if __name__ == "__main__":
    program.create_app = functools.partial(create_app, deploy=deploy)
    sys.exit(program.main())
