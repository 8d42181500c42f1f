"""How several versions come to share the requests, each in an engine of its own, until an activation or a restart."""

from __future__ import annotations

import structlog

from server.deployment import Deployment
from server.errors import ActivationFailed
from server.leases import Leased
from server.roster import REFUSALS, Roster
from server.serving import Serving
from server.settings import Settings
from server.traffic import Traffic

__all__ = ["Sharing"]

log = structlog.get_logger(__name__)


class Sharing:
    """Loads what is not loaded yet, and deals the requests."""

    def __init__(self, settings: Settings, roster: Roster) -> None:
        self._settings = settings
        self._roster = roster

    async def share(self, traffic: Traffic) -> None:
        """Inside of `roster.starting`. Raises ActivationFailed: then all is as before."""
        if self._settings.activation == "in_place":
            raise ActivationFailed(
                "this server has one engine, which holds one model: start it with --activation beside and memory for"
                " as many models as shall share the requests"
            )
        current = self._roster.current.version
        if current not in traffic.weights:
            raise ActivationFailed(f"{current} is current and must have a weight: activate another first")
        loaded: dict[str, Leased[Deployment]] = {}
        try:
            for version in traffic.weights.keys() - self._roster.serving.weights.keys():
                loaded[version] = await self._roster.launch(version)
            async with self._roster.changing:
                for leased in loaded.values():
                    await leased.value.follow(self._roster.current.catalogue)
                serving = self._roster.serving
                beside = {name: leased for name, leased in serving.others.items() if name in traffic.weights}
                self._roster.serve(Serving(serving.current, traffic, beside | loaded))
        except REFUSALS as error:
            await self._roster.discard(*loaded.values())
            raise ActivationFailed(f"requests are shared as before: {error}") from error
        log.info("requests_shared", weights=traffic.weights)

    async def end(self) -> None:
        """Have the current version answer alone."""
        self._roster.serve(Serving(self._roster.serving.current))
