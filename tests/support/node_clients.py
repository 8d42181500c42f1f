"""The built clients for JavaScript, which tests of several processes import."""

import fcntl
import os
import subprocess
from pathlib import Path

from tests.support.paths import ROOT

TYPESCRIPT = ROOT / "clients/typescript"
INSTANTSEARCH = ROOT / "clients/instantsearch"


def npm(client: Path, *words: str, **environment: str) -> None:
    """Runs an npm script of a client. `make test` installs what it needs; by hand: `npm ci` in its folder."""
    done = subprocess.run(
        ["npm", *words], cwd=client, env=os.environ | environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-4_000:]


def build(*clients: Path) -> None:
    """Builds `dist` of each, in this order, where it is older than what it is made of: a second build would take it
    away from a test that imports it."""
    for client in clients:
        with (client / "node_modules/.building").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            built = client / "node_modules/.built"
            if not (client / "dist").is_dir() or _changed(client) > (built.stat().st_mtime if built.exists() else 0):
                npm(client, "run", "build")
                built.touch()


def _changed(client: Path) -> float:
    """When a source was written last."""
    return max(file.stat().st_mtime for file in [*client.glob("src/*.ts"), *client.glob("*.json")])
