"""The files of deploy/ray, as far as they need no Ray: what a replica does when Ray asks it, and its manifests."""

import importlib.util
import re
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any, cast

import httpx
import pytest
import uvicorn
import yaml
from structlog.testing import capture_logs
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from catalog.bundle.bundle import Bundle
from catalog.errors import BundleError
from server.core.errors import SettingsError
from server.core.settings import Settings
from server.serving.fleet import Fleet, FleetTimes
from server.serving.manager import DeploymentManager
from tests.support.http_shop import Shop
from tests.support.manifests import REFUSED, Manifest, objects_in, templates, validate, validate_by, with_key
from tests.support.memory_app import create_memory_app
from tests.support.memory_fleet import MemoryFleet
from tests.support.paths import ROOT
from tests.support.small_shop import RecordingEngine, ShopBundle, publish_names
from tests.support.waiting import until

FOLDER = ROOT / "deploy/ray"
OLD, NEW, BROKEN = "2025-11-20-a", "2025-11-21-a", "2025-11-22-a"
TIMES = FleetTimes(lease=150, look=15, flip=60, load=60_000)


def module(name: str) -> ModuleType:
    """One of the folder, which stands in PYTHONPATH where Ray runs."""
    spec = importlib.util.spec_from_file_location(f"deploy_ray_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


replica = module("replica")


@pytest.fixture
def store() -> MemoryFleet:
    return MemoryFleet()


@pytest.fixture
async def started(tmp_path: Path, store: MemoryFleet, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    """A replica whose application has started, as Ray has it before it asks anything."""
    monkeypatch.setattr(replica, "RETRY_SECONDS", 0.02)
    publish_names(tmp_path, OLD, NEW)

    def open_bundle(_: Settings, version: str) -> Bundle:
        if version == BROKEN:
            raise BundleError(f"model.safetensors of {version} is missing")
        return cast(Bundle, ShopBundle(version))

    app = create_memory_app(
        Settings(bundles=tmp_path, open_admin=True),
        partial(DeploymentManager, open_bundle=open_bundle, make_engine=lambda *_: RecordingEngine()),
        control=lambda manager, _: Fleet(manager, store, name="shop", address="one", times=TIMES),
    )
    async with app.router.lifespan_context(app):
        made = replica.Replica()
        made.app = app
        yield made


@pytest.fixture
async def shop(started: Any) -> AsyncIterator[Shop]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=started.app), base_url="http://shop") as client:
        yield Shop(client)


async def test_a_version_that_is_named_is_served(started: Any, shop: Shop, store: MemoryFleet) -> None:
    await started.reconfigure({"version": NEW})
    assert (await shop.get("/recommend", user="ada")).json()["model"] == OLD, "it returns at once"
    await until(lambda: store.state.epoch == 2)
    await started._tasks.wait()
    assert (await shop.get("/recommend", user="ada")).json()["model"] == NEW


async def test_what_cannot_be_served_leaves_what_is_and_says_so_in_the_log_and_to_operators(
    started: Any, shop: Shop
) -> None:
    with capture_logs() as logs:
        await started.reconfigure({"version": BROKEN})
        await started._tasks.wait()
    [said] = [line for line in logs if line["event"] == "version_not_served"]
    assert (said["log_level"], said["version"]) == ("error", BROKEN)
    assert "model.safetensors" in said["reason"]
    fleet = (await shop.get("/admin/fleet")).json()
    problem = f"server one: model.safetensors of {BROKEN} is missing"
    assert (fleet["current"], fleet["configured"]) == (OLD, {"version": BROKEN, "problem": problem})
    assert (await shop.get("/recommend", user="ada")).json()["model"] == OLD


@pytest.mark.parametrize("told", [None, {}, [], "2025", {"version": 3}, {"version": OLD, "k": 1}, {"versoin": OLD}])
async def test_what_is_not_understood_changes_nothing(started: Any, store: MemoryFleet, told: Any) -> None:
    before = store.state
    with capture_logs() as logs:
        await started.reconfigure(told)
        await started._tasks.wait()
    assert [line["event"] for line in logs if line["log_level"] == "error"] == ["user_config_not_understood"]
    assert store.state == before


async def test_a_wish_that_meets_an_outage_is_served_afterwards(started: Any, store: MemoryFleet) -> None:
    store.away = True
    with capture_logs() as logs:
        await started.reconfigure({"version": NEW})
        await until(lambda: any(line["event"] == "version_not_served_yet" for line in logs))
        store.away = False
        await started._tasks.wait()
    assert store.state.routing is not None
    assert store.state.routing.current == NEW


async def test_the_last_wish_counts(started: Any, store: MemoryFleet) -> None:
    store.away = True
    await started.reconfigure({"version": NEW})
    await started.reconfigure({"version": OLD})
    store.away = False
    await started._tasks.wait()
    assert store.state.configured is not None
    assert store.state.configured.version == OLD
    assert store.state.epoch == 1


async def test_a_replica_that_cannot_answer_lives(started: Any, shop: Shop, store: MemoryFleet) -> None:
    """Liveness, and not readiness: Ray would end it, and start one that is no better off."""
    started.app.state.parts.health.drain()
    assert (await shop.get("/health/ready")).status_code == 503
    assert await started.check_health() is None


def test_replicas_are_a_fleet_with_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"BUNDLES": "b", "REDIS": "redis://redis/0", "CURSOR_SECRET": "0123456789abcdef"}.items():
        monkeypatch.setenv(f"GEMSERVE_{name}", value)
    with pytest.raises(SettingsError, match="--keys"):
        replica.fleet_settings()
    monkeypatch.setenv("GEMSERVE_REQUIRE_KEYS", "false")
    with pytest.raises(SettingsError, match="GEMSERVE_FLEET"):
        replica.fleet_settings()
    monkeypatch.setenv("GEMSERVE_FLEET", "shop")
    assert replica.fleet_settings().fleet == "shop"


def test_callers_do_not_say_where_they_call_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray's uvicorn asks the environment whom to believe."""
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")
    replica.believe([])
    assert uvicorn.Config("app").forwarded_allow_ips == ""
    replica.believe(["127.0.0.1", "10.0.0.0/8"])
    trusted = uvicorn.Config("app").forwarded_allow_ips
    assert "10.1.2.3" in ProxyHeadersMiddleware(replica.server, trusted_hosts=trusted).trusted_hosts


def manifests() -> list[Manifest]:
    return list(yaml.safe_load_all((FOLDER / "rayservice.yaml").read_text()))


def config() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((FOLDER / "serve.yaml").read_text())
    return found


def test_the_manifests_are_what_the_apis_take() -> None:
    for manifest in manifests():
        validate(manifest)
    validate_by("serve_config", config())


def test_a_wrong_key_is_refused_wherever_it_stands() -> None:
    tried = 0
    for manifest in manifests():
        for place in objects_in(manifest):
            if place[1:4] == ("rayClusterConfig", "headGroupSpec", "template") and len(place) > 6:
                continue  # the workers' pods have the same by YAML anchors
            with pytest.raises(REFUSED):
                pytest.fail(f"{manifest['kind']} at {place}: {validate(with_key(manifest, place, 'maxReplcas'))}")
            tried += 1
    for place in objects_in(config()):
        with pytest.raises(REFUSED):
            pytest.fail(f"{place}: {validate_by('serve_config', with_key(config(), place, 'max_replcas'))}")
        tried += 1
    assert tried > 50


def test_the_manifest_has_the_configuration_and_the_release_that_were_tried() -> None:
    [service] = [manifest for manifest in manifests() if manifest["kind"] == "RayService"]
    assert yaml.safe_load(service["spec"]["serveConfigV2"]) == config()
    [pinned] = re.findall(r"^ray\[serve\]==(\S+)$", (FOLDER / "requirements.txt").read_text(), re.MULTILINE)
    assert service["spec"]["rayClusterConfig"]["rayVersion"] == pinned


def test_the_configuration_names_what_there_is() -> None:
    [application] = config()["applications"]
    name, attribute = application["import_path"].split(":")
    source = (FOLDER / f"{name}.py").read_text()
    assert f"\n{attribute} = " in source
    [deployment] = application["deployments"]
    assert f'name="{deployment["name"]}"' in source
    usual = (Settings.model_fields[name].default for name in ("max_concurrency", "max_queue"))
    assert deployment["max_ongoing_requests"] > sum(usual)
    assert deployment["health_check_timeout_s"] > deployment["health_check_period_s"]


def test_the_pods_have_the_settings_of_a_fleet(monkeypatch: pytest.MonkeyPatch) -> None:
    [service] = [manifest for manifest in manifests() if manifest["kind"] == "RayService"]
    cluster = service["spec"]["rayClusterConfig"]
    secrets = {"redis": "redis://redis:6379/0", "cursor-secret": "0123456789abcdef"}
    for template in templates(service):
        [container] = template["spec"]["containers"]
        mounted = {mount["mountPath"] for mount in container["volumeMounts"]}
        for variable in container["env"]:
            value = variable.get("value") or secrets[variable["valueFrom"]["secretKeyRef"]["key"]]
            monkeypatch.setenv(variable["name"], value)
        settings = replica.fleet_settings()
        assert settings.keys is not None
        assert {str(settings.bundles), str(settings.keys.parent), "/dev/shm", "/tmp"} <= mounted
        [policy] = [manifest for manifest in manifests() if manifest["kind"] == "NetworkPolicy"]
        assert policy["spec"]["podSelector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    [group] = cluster["workerGroupSpecs"]
    [deployment] = config()["applications"][0]["deployments"]
    assert group["replicas"] == deployment["num_replicas"]
    assert float(group["rayStartParams"]["num-cpus"]) >= deployment["ray_actor_options"]["num_cpus"]
    assert cluster["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0", "no replica is scheduled on the head"
    assert cluster["authOptions"] == {"mode": "token"}
    assert cluster["gcsFaultToleranceOptions"]["redisAddress"]
