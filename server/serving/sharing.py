"""How several versions come to share the requests, each in an engine of its own, until an activation or a restart."""

from __future__ import annotations

import structlog

from server.core.errors import RolloutFailed
from server.core.refcount import RefCounted
from server.core.settings import Settings
from server.serving.deployment import Deployment
from server.serving.router import REFUSALS, Router
from server.serving.routing_table import RoutingTable
from server.serving.traffic_split import Traffic

__all__ = ["Sharing"]

log = structlog.get_logger(__name__)


class Sharing:
    """Loads what is not loaded yet, and deals the requests."""

    def __init__(self, settings: Settings, router: Router) -> None:
        self._settings = settings
        self._router = router

    async def share(self, traffic: Traffic) -> None:
        """Inside of `router.starting`. Raises RolloutFailed: then all is as before."""
        if self._settings.rollout == "recreate":
            raise RolloutFailed(
                "this server has one engine, which holds one model: start it with --rollout surge and memory for"
                " as many models as shall share the requests"
            )
        current = self._router.current.version
        if current not in traffic.weights:
            raise RolloutFailed(f"{current} is current and must have a weight: activate another first")
        loaded: dict[str, RefCounted[Deployment]] = {}
        try:
            for version in traffic.weights.keys() - self._router.serving.weights.keys():
                loaded[version] = await self._router.launch(version)
            async with self._router.changing:
                for leased in loaded.values():
                    await leased.value.follow(self._router.current.catalog)
                serving = self._router.serving
                beside = {name: leased for name, leased in serving.others.items() if name in traffic.weights}
                self._router.serve(RoutingTable(serving.current, traffic, beside | loaded))
        except REFUSALS as error:
            await self._router.discard(*loaded.values())
            raise RolloutFailed(f"requests are shared as before: {error}") from error
        log.info("requests_shared", weights=traffic.weights)

    async def end(self) -> None:
        """Have the current version answer alone."""
        self._router.serve(RoutingTable(self._router.serving.current))
