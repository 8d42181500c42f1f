"""Bundles in S3, over HTTP: a server that is a process of its own, with fake engines, downloads what it serves."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.folder import publish
from catalog.bundle.store import BundleStore
from tests.support.object_store import S3Store
from tests.support.problems import assert_problem
from tests.support.server_process import PATIENT, ServerProcess
from tests.support.small_shop import make_manifest
from tests.support.vllm_server import OPTIONS

pytestmark = pytest.mark.integration
FIRST, SECOND, CUT = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a"


@pytest.fixture
def store(s3_store: S3Store, tmp_path: Path) -> BundleStore:
    made = BundleStore(s3_store.url, tmp_path / "published")
    for version in (FIRST, SECOND, CUT):
        manifest = make_manifest().model_copy(update={"version": version})
        made.push(publish(tmp_path / "local", manifest, lambda draft: (draft / "weights").write_bytes(bytes(100))))
    made.activate(FIRST)
    s3_store.write(f"{CUT}/weights", bytes(99))
    return made


@pytest.fixture
def client(store: BundleStore, tmp_path: Path, redis_url: str) -> Iterator[httpx.Client]:
    server = ServerProcess(
        *("--bundles", store.url, "--bundle-cache", tmp_path / "cache", "--redis", redis_url, "--open-admin", "true"),
        *(*OPTIONS, *PATIENT),
        module="tests.support.fake_server",
        imported="server",
    )
    with httpx.Client(base_url=server.url, timeout=60) as made:
        yield made
    server.stop()


def test_what_the_store_has_is_served_and_what_was_cut_is_refused(
    client: httpx.Client, store: BundleStore, tmp_path: Path
) -> None:
    assert client.get("/version").json()["model"] == FIRST
    assert client.get("/admin/models").json()["versions"] == [FIRST, SECOND, CUT]
    assert client.post(f"/admin/models/{SECOND}/activate").status_code == 200
    assert (client.get("/version").json()["model"], store.current()) == (SECOND, SECOND)
    refused = client.post(f"/admin/models/{CUT}/activate")
    assert_problem(refused, 409, "activation_failed")
    assert f"{store.url}/{CUT}/weights does not match its SHA-256" in refused.json()["detail"]
    assert client.get("/search", params={"q": "tent"}).json()["model"] == store.current() == SECOND
    copies = {open_bundle(copy).version: copy.name for copy in (tmp_path / "cache").iterdir()}
    assert copies == {version: open_bundle(store.path(version)).manifest.seal for version in (FIRST, SECOND)}
