"""`python -m server` as it is, but for its bundle: the small shop and an engine that takes a second where k is 13.

Where the folder of bundles is there, its versions are small shops, each with an engine of its own; those of a store are
downloaded and verified first.

python -m tests.support.fake_server --bundles unused --redis URL --port 0
"""

import asyncio
import functools
import os
import sys
import tempfile
from pathlib import Path
from typing import cast

import server.app
from catalog.bundle.bundle import Bundle, open_bundle
from catalog.bundle.source import bundle_source
from catalog.errors import BundleError
from server.__main__ import main
from server.core.settings import Settings
from server.engine.protocol import Ranking, RankRequest
from server.serving.manager import DeploymentManager
from tests.support.small_shop import RecordingEngine, ShopBundle, make_deployments, publish_names

SLOW_K = 13


class SlowEngine(RecordingEngine):
    async def start(self) -> None:
        print("engine: starting", flush=True)
        await asyncio.sleep(float(os.environ.get("ENGINE_START_SECONDS", "0")))
        await super().start()

    async def rank(self, request: RankRequest) -> Ranking:
        await asyncio.sleep(1.0 if request.k == SLOW_K else 0.0)
        return await super().rank(request)

    async def stop(self) -> None:
        print("engine: stopped", flush=True)


def open_shop(settings: Settings, version: str) -> Bundle:
    if isinstance(settings.bundles, Path):
        if not (settings.bundles / version).is_dir():
            raise BundleError(f"there is no bundle {settings.bundles / version}")
    else:
        open_bundle(bundle_source(settings.bundles, settings.bundle_cache).path(version))
    return cast(Bundle, ShopBundle(version))


def deploy(settings: Settings) -> DeploymentManager:
    if isinstance(settings.bundles, str) or settings.bundles.is_dir():
        return DeploymentManager(settings, open_shop, lambda *_: SlowEngine())
    bundles = Path(tempfile.mkdtemp())
    publish_names(bundles, "2025-11-20-a")
    return make_deployments(settings.model_copy(update={"bundles": bundles}), SlowEngine())


if __name__ == "__main__":
    server.app.create_app = functools.partial(server.app.create_app, deploy=deploy)
    sys.exit(main())
