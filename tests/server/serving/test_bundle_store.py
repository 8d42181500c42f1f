"""A server whose bundles are in a store: it starts with the active one, lists all, and moves the pointer."""

from pathlib import Path

import pytest

from catalog.bundle.bundle import open_bundle
from catalog.bundle.store import BundleStore
from catalog.bundle.store.files import StoreFiles, StoreUnavailable
from server.core.settings import Settings
from server.serving.deployment import open_served_bundle
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import publish_names

FIRST, SECOND, THIRD = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a"


@pytest.fixture
def store(tmp_path: Path) -> BundleStore:
    (tmp_path / "local").mkdir()
    publish_names(tmp_path / "local", FIRST, SECOND, THIRD)
    made = BundleStore(f"file://{tmp_path}/remote", tmp_path / "cache")
    for version in (FIRST, SECOND, THIRD):
        made.push(tmp_path / "local" / version)
    made.activate(FIRST)
    return made


@pytest.fixture
def settings(tmp_path: Path, store: BundleStore) -> Settings:
    return Settings(bundles=store.url, bundle_cache=tmp_path / "cache", open_admin=True, guidance_timeout_ms=60_000)


async def test_it_starts_with_the_active_bundle_and_activates_another(shop: Shop, store: BundleStore) -> None:
    body = (await shop.get("/admin/models")).json()
    assert (body["current"], body["versions"]) == (FIRST, [FIRST, SECOND, THIRD])
    assert (await shop.client.post(f"/admin/models/{SECOND}/activate")).status_code == 200
    assert store.current() == SECOND
    assert (await shop.get(f"/admin/models/{FIRST}")).status_code == 200
    assert_problem(await shop.client.post("/admin/models/2025-11-23-a/activate"), 404, "model_not_found")


async def test_a_pointer_that_moves_meanwhile_is_left_alone_and_the_old_model_answers(
    shop: Shop, store: BundleStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = StoreFiles.replace

    def too_late(files: StoreFiles, name: str, *content: object) -> bool:
        monkeypatch.undo()
        store.activate(THIRD)  # another server, between this one's look and its write
        return replace(files, name, *content)

    monkeypatch.setattr(StoreFiles, "replace", too_late)
    problem = await shop.client.post(f"/admin/models/{SECOND}/activate")
    assert_problem(problem, 409, "activation_failed")
    assert f"points to {THIRD} by now" in problem.json()["detail"]
    assert store.current() == THIRD
    assert (await shop.get("/version")).json()["model"] == FIRST


async def test_a_store_that_is_away_is_said_while_the_model_answers(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: StoreFiles) -> list[str]:
        raise StoreUnavailable("the store cannot be reached")

    monkeypatch.setattr(StoreFiles, "names", away)
    assert_problem(await shop.get("/admin/models"), 409, "bundle_unreadable")
    assert (await shop.get("/search", q="tent")).status_code == 200


def test_a_bundle_is_opened_from_its_copy(
    settings: Settings, store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[Path] = []
    monkeypatch.setattr("server.serving.deployment.open_bundle", lambda path: opened.append(path) or _Room())
    open_served_bundle(settings, SECOND)
    (copy,) = opened
    assert copy.parent == tmp_path / "cache"
    assert open_bundle(copy).version == SECOND


class _Room:
    """A bundle whose prompts fit any engine."""

    class prompts:
        max_tokens = 1


def test_an_address_stays_one_and_a_folder_becomes_a_path(tmp_path: Path) -> None:
    assert Settings(bundles="s3://bucket/shops").bundles == "s3://bucket/shops"
    assert Settings(bundles=str(tmp_path)).bundles == tmp_path
