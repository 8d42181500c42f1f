"""A new shop that is taken into service over HTTP: its server, its keys, and the few commands that it runs."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from tests.docs.serving import Store
from tests.support.paths import ROOT
from tests.support.processes import run
from tests.support.server_process import PATIENT, ServerProcess

SMALL = ("--port", "0", "--engine.kv-cache-bytes", str(64 << 20), "--log-level", "warning")


class NewShop:
    """A shop in a folder with `bundles`, which gets the keys and what is exported.

    imported: the fork server that its server comes from; None starts it anew.
    """

    def __init__(self, folder: Path, redis: str, imported: str | None) -> None:
        self.folder = folder
        self.bundles = folder / "bundles"
        self._redis = redis
        self._imported = imported
        self._key = command("server.cli.keys", "create", "--file", str(folder / "keys.json"), *OWNER).strip()
        self._server: ServerProcess | None = None

    @property
    def has_vllm(self) -> bool:
        return self._imported is None

    def as_store(self) -> Store:
        """For a reader of the documentation."""
        assert self._server is not None
        return Store(self._server.url, self._redis, self.folder, self._key)

    def start(self) -> None:
        flags = ("--bundles", self.bundles, "--redis", self._redis, "--keys", self.folder / "keys.json")
        analytics = ("--analytics", self.folder / "analytics")
        self._server = ServerProcess(*flags, *analytics, *SMALL, *PATIENT, imported=self._imported)

    def stop(self) -> None:
        if self._server is not None:
            server, self._server = self._server, None
            assert server.stop() == 0

    def __call__(self, method: str, path: str, body: object = None, *, key: str | None = "", **query: Any) -> Any:
        """The answer. key: of somebody else than the owner, None for nobody's. Raises HTTPStatusError for a problem."""
        response = self.ask(method, path, body, key=key, **query)
        response.raise_for_status()
        return response.json()

    def ask(self, method: str, path: str, body: object = None, *, key: str | None = "", **query: Any) -> httpx.Response:
        assert self._server is not None
        sent = self._key if key == "" else key
        return httpx.request(
            method,
            self._server.url + path,
            json=body,
            params=query or None,
            headers={} if sent is None else {"Authorization": f"Bearer {sent}"},
            timeout=600,  # an activation starts an engine
        )

    def ids(self, path: str, **query: Any) -> list[str]:
        return [item["id"] for item in self("GET", path, **query)["items"]]

    def pages(self, path: str, **query: Any) -> Iterator[list[str]]:
        """The ids of every page."""
        cursor: dict[str, str] = {}
        while True:
            answer = self("GET", path, **query, **cursor)
            yield [item["id"] for item in answer["items"]]
            if answer["next_cursor"] is None:
                return
            cursor = {"cursor": answer["next_cursor"]}

    def export(self) -> Path:
        events = self.folder / "events.parquet"
        command("server.cli.export_events", "--redis", self._redis, "--out", str(events))
        return events

    def retrain(self, items: Path, events: Path, *settings: str) -> None:
        files = ("--items", str(items), "--events", str(events), "--out", str(self.bundles))
        command("trainer.run", *files, "--warm-start", "current", "--no-activate", *settings)


OWNER = ("--name", "owner", "--scopes", "admin")


def command(module: str, *arguments: str) -> str:
    """What `python -m module …` printed."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = run("-m", module, *arguments, imported="trainer", environment=environment, folder=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
