"""Health: alive is that the process answers; ready is that it can answer questions now."""

from __future__ import annotations

from dataclasses import dataclass

from server.core.errors import HistoryUnavailable
from server.engine.errors import EngineError
from server.serving.manager import ModelControl
from server.serving.router import Router
from server.storage.protocol import HistoryStore

__all__ = ["Health", "Readiness"]

OK = "ok"


@dataclass(frozen=True, slots=True)
class Readiness:
    """checks: "ok" or what is wrong, by part; `traffic` or `fleet` is there only while something is wrong with it.

    Without its history store, while one of several engines is dead, and while the split does not hold, the server is
    ready, but degraded. A member of a fleet that may not answer as the fleet does is not ready.
    """

    ready: bool
    degraded: bool
    checks: dict[str, str]


class Health:
    """Asks the parts. `drain` is for shutting down: not ready from then on, while requests are still answered."""

    def __init__(self, router: Router, history: HistoryStore, models: ModelControl) -> None:
        self._router = router
        self._history = history
        self._models = models
        self.draining = False

    def drain(self) -> None:
        self.draining = True

    async def readiness(self) -> Readiness:
        (answers, engine), history = await self._engine(), await self._redis()
        server = "draining: the server is shutting down" if self.draining else OK
        checks = {"server": server, "engine": engine, "redis": history}
        blocked = self._models.blocked
        if (wrong := blocked or self._models.problem) is not None:
            checks[self._models.health_check] = wrong
        degraded = any(checks[part] != OK for part in checks.keys() - {"server"})
        return Readiness(server == OK and answers and blocked is None, degraded, checks)

    async def _engine(self) -> tuple[bool, str]:
        """Whether every question is answered, and how the engines are."""
        live = self._router.table.deployments
        dead = [deployment.version for deployment in live if not deployment.engine.alive]
        try:
            for deployment in live:
                if deployment.version not in dead:
                    await deployment.engine.check()
        except EngineError as error:
            return False, str(error)
        if not dead:
            return True, OK
        if len(dead) == len(live):
            return False, "the engine died and is being started again"
        return True, f"the engine of {', '.join(dead)} died and is being started again; the others answer for it"

    async def _redis(self) -> str:
        try:
            await self._history.check()
        except HistoryUnavailable as error:
            return str(error)
        return OK
