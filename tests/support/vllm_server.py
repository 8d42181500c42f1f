"""One server with vLLM for the tests of several files: it takes most of a minute to start."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.support import world
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.trained import Trained

__all__ = ["VllmServer", "VllmServers"]

OPTIONS = ("--port", "0", "--engine.kv-cache-bytes", str(64 << 20), "--log-level", "warning", "--open-admin", "true")
HANGS = ("--engine.hang-seconds", "20")


@dataclass(frozen=True, slots=True)
class VllmServer:
    """A running `python -m server` with a Redis of its own.

    bundles: a folder of two bundles of the tiny shop that learned it; the older one was current at the start.
    """

    process: ServerProcess
    bundles: Path


class VllmServers:
    """Lends one server to a file of tests after another, and starts a new one where the last was changed.

    So files may come in any order. The sooner those come that change nothing, the fewer starts there are.
    new_folder: makes an empty folder of this name.
    """

    def __init__(self, trained: Trained, new_folder: Callable[[str], Path]) -> None:
        self._trained = trained
        self._new_folder = new_folder
        self._server: VllmServer | None = None
        self._changed = False

    def unchanged(self) -> VllmServer:
        """One with the published items, the older model and no engine that died. Users may be made, but not changed."""
        if self._changed:
            self.stop()
        if self._server is None:
            self._server, self._changed = self._start(), False
        return self._server

    def changeable(self) -> VllmServer:
        """One with the published items, though perhaps with other codes, and either model. They must be there again."""
        server = self._server or self.unchanged()
        self._changed = True
        return server

    def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            assert server.process.stop() == 0
            said = "".join(server.process.lines)
            assert "Exception ignored" not in said, said[-2_000:]
            assert "leaked" not in said, said[-2_000:]

    def _start(self) -> VllmServer:
        recipes = [(*world.LEARNING, *other) for other in ((), ("seed=1",))]
        folder = self._new_folder("vllm-server")
        bundles = Path(shutil.copytree(self._trained.folder(*recipes), folder / "bundles", symlinks=True))
        flags = (
            "--bundles",
            bundles,
            "--managed-redis",
            folder / "redis",
            "--rollout",
            "recreate",
            *OPTIONS,
            *HANGS,
            *PATIENT,
        )
        return VllmServer(ServerProcess(*flags, imported="vllm"), bundles)
