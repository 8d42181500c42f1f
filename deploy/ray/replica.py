"""What Ray asks of a replica, of which it is told here what a server of a fleet does; nothing of it needs Ray.

The fleet decides which version is served, and keeps it in Redis. `user_config: {version: …}` is a wish: the fleet
serves a version that is named anew, once, in the processes that run. What is activated afterwards, by an administrator
or a retraining, stands, though Ray tells every replica its configuration again when it starts.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from typing import Any

import structlog
from fastapi import FastAPI

from server.api.dependencies import Parts
from server.app import create_app
from server.core.errors import HistoryUnavailable, RolloutFailed, RolloutInProgress, SettingsError
from server.core.logging import configure_logging
from server.core.settings import Settings, read_settings
from server.core.tasks import Tasks
from server.serving.fleet import Fleet

__all__ = ["Replica", "believe", "fleet_settings", "server"]

RETRY_SECONDS = 1.0
"""After which a wish is uttered again that met another change of the fleet, or a Redis that was away."""

log = structlog.get_logger(__name__)


def fleet_settings() -> Settings:
    """The settings of GEMSERVE_… variables and of the file of GEMSERVE_CONFIG. Raises SettingsError.

    Ray's ports are open to other machines whatever --host says, so keys are needed unless --require-keys false.
    """
    settings = read_settings(["--host", "0.0.0.0"], program="gemserve on Ray Serve")
    if settings.fleet is None:
        raise SettingsError("replicas of Ray Serve are a fleet: set GEMSERVE_FLEET to its name")
    return settings


def server(make_app: Callable[[Settings], FastAPI] = create_app) -> FastAPI:
    """What each replica serves. make_app: tests have another. Raises SettingsError."""
    settings = fleet_settings()
    configure_logging(settings.log_level)
    believe(settings.trusted_proxies)
    return make_app(settings)


def believe(proxies: Sequence[str]) -> None:
    """Has Ray's uvicorn believe the X-Forwarded-For of these alone. Its own default is whoever calls from the same
    node, which Ray's HAProxy does, and that passes on what callers claim."""
    os.environ["FORWARDED_ALLOW_IPS"] = ",".join(proxies)


class Replica:
    """The methods by which Ray watches and configures a replica. `serve.ingress` adds `app`, what it serves."""

    app: FastAPI

    def __init__(self) -> None:
        self._tasks = Tasks()
        self._wish: asyncio.Task[None] | None = None

    async def check_health(self) -> None:
        """Returns, which is liveness, as of /health/live: the event loop runs.

        Ray ends a replica that fails here. One that is not ready mends itself, and a new one would be no sooner.
        """

    async def reconfigure(self, user_config: Any) -> None:
        """Has the fleet serve `version`. It returns at once, since Ray sends a replica no requests meanwhile, and
        never raises, since Ray would end the replica: what is served goes on."""
        if self._wish is not None:
            self._wish.cancel()
        match user_config:
            case {"version": str(version), **others} if not others:
                self._wish = self._tasks.start(self._configure(version))
            case _:
                log.error("user_config_not_understood", user_config=user_config, understood="{version: VERSION}")

    async def _configure(self, version: str) -> None:
        parts: Parts = self.app.state.parts
        fleet = parts.models
        assert isinstance(fleet, Fleet), "fleet_settings sees to it"
        while True:
            try:
                await fleet.configure(version)
            except (RolloutInProgress, HistoryUnavailable) as error:
                log.warning("version_not_served_yet", version=version, reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            except RolloutFailed as error:
                log.error("version_not_served", version=version, reason=str(error))
                return
            except Exception:
                log.exception("version_not_served", version=version)
                return
            else:
                return
