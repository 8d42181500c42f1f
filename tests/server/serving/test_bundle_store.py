"""A server whose bundles are in a store: it starts with the active one, lists all, and moves the pointer."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from catalog.bundle.bundle import open_bundle
from catalog.bundle.store import BundleStore
from catalog.bundle.store.files import StoreFiles, StoreUnavailable
from server.core.settings import Settings
from server.serving.deployment import open_served_bundle
from server.serving.manager import DeploymentManager
from server.storage.shared.fleet_state import Routing
from tests.support.http_shop import Shop
from tests.support.problems import assert_problem
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names

FIRST, SECOND, THIRD, FOURTH = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a", "2025-11-23-a"


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
    open_served_bundle(settings, SECOND, store)
    (copy,) = opened
    assert copy.parent == tmp_path / "cache"
    assert open_bundle(copy).version == SECOND


async def test_what_is_served_or_was_before_stays_and_older_copies_go(
    settings: Settings, store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish_names(tmp_path / "local", FOURTH)
    store.push(tmp_path / "local" / FOURTH)
    shop_of = lambda path: ShopBundle(open_bundle(path).version)  # noqa: E731
    monkeypatch.setattr("server.serving.deployment.open_bundle", shop_of)

    def here() -> set[str]:
        return {open_bundle(copy).version for copy in (tmp_path / "cache").iterdir()}

    one = settings.model_copy(update={"bundle_copies": 1})
    manager = DeploymentManager(one, make_engine=lambda *_: RecordingEngine())
    await manager.start()
    for version in (SECOND, THIRD):
        await manager.activate(version)
    assert here() == {FIRST, SECOND, THIRD}, "the first was to be rolled back to while the third came"
    await manager.activate(FOURTH)
    assert here() == {SECOND, THIRD, FOURTH}
    monkeypatch.setattr(StoreFiles, "download", lambda *_: pytest.fail("it is there"))
    assert (await manager.roll_back()).version == THIRD
    await manager.share({THIRD: 1, FOURTH: 1})
    monkeypatch.undo()
    monkeypatch.setattr("server.serving.deployment.open_bundle", shop_of)
    await manager.hold([FIRST])
    assert here() == {FIRST, THIRD, FOURTH}
    await manager.stop()


async def test_what_a_fleet_would_roll_back_to_stays_after_a_restart(
    settings: Settings, store: BundleStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.serving.deployment.open_bundle", lambda path: ShopBundle(open_bundle(path).version))
    for version in (SECOND, FIRST):
        BundleStore(store.url, tmp_path / "cache").path(version)
    one = settings.model_copy(update={"bundle_copies": 1})
    manager = DeploymentManager(one, make_engine=lambda *_: RecordingEngine())
    await manager.start(FIRST)
    await manager.route(Routing(FIRST), previous=SECOND)
    BundleStore(store.url, tmp_path / "cache", 1).path(THIRD)
    assert {open_bundle(copy).version for copy in (tmp_path / "cache").iterdir()} == {FIRST, SECOND, THIRD}
    await manager.stop()


@pytest.mark.parametrize("number", ["0", "-3", "many", ""])
def test_a_number_of_copies_that_is_none_is_refused(number: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GEMSERVE_BUNDLE_COPIES", number)
    with pytest.raises(ValidationError, match="bundle_copies"):
        Settings(bundles="s3://bucket/shops")


class _Room:
    """A bundle whose prompts fit any engine."""

    class prompts:
        max_tokens = 1


def test_an_address_stays_one_and_a_folder_becomes_a_path(tmp_path: Path) -> None:
    assert Settings(bundles="s3://bucket/shops").bundles == "s3://bucket/shops"
    assert Settings(bundles=str(tmp_path)).bundles == tmp_path
