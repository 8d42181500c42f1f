"""The manifests of deploy/kubernetes, as kubectl renders them: what the API takes, and what the server has."""

import shlex
from pathlib import Path

import pytest
import yaml

from catalog.bundle import fetch
from catalog.bundle.store import is_url
from gemserve.command import COMMANDS
from server.cli.retrain import __main__ as retrain
from server.cli.retrain.steps import NOT_BETTER
from server.core import metrics
from server.core.settings import Settings
from server.core.settings.sentinel_url import read_sentinel_url
from tests.support.manifests import REFUSED, Manifest, objects_in, rendered, validate, with_key

SCALED = ("overlays/autoscaled", "overlays/gpu")
STORED, STORE = "overlays/object-store", "gemserve-store"
KINDS = ("base", *SCALED, STORED)


def of(kind: str, name: str) -> Manifest:
    """The one of its kind, but for what is of the store and stands beside the base's."""
    [found] = [one for one in rendered(kind) if one["kind"] == name and one["metadata"]["name"] != STORE]
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_every_manifest_is_what_the_api_takes(kind: str) -> None:
    for manifest in rendered(kind):
        validate(manifest)


def test_a_wrong_key_is_refused_wherever_it_stands() -> None:
    """In the overlay, which has one manifest of every kind."""
    tried = 0
    for manifest in rendered("overlays/autoscaled"):
        selector = {("spec", "selector")} if manifest["kind"] == "Service" else set()
        for place in set(objects_in(manifest)) - selector:
            wrong = with_key(manifest, place, "maxUnavailble")
            with pytest.raises(REFUSED):
                pytest.fail(f"{manifest['kind']} at {place}: {validate(wrong)}")
            tried += 1
    assert tried > 80


def test_the_base_has_what_a_fleet_needs() -> None:
    kinds = sorted(manifest["kind"] for manifest in rendered("base"))
    needed = ["ConfigMap", "CronJob", "Deployment", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget"]
    assert kinds == [*needed, "Service"]
    spec = of("base", "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    pod = spec["template"]["spec"]
    [server] = pod["containers"]
    probes = {name: server[f"{name}Probe"]["httpGet"]["path"] for name in ("startup", "readiness", "liveness")}
    assert probes == {"startup": "/health/live", "readiness": "/health/ready", "liveness": "/health/live"}
    volumes = {volume["name"]: volume for volume in pod["volumes"]}
    mounts = {mount["mountPath"]: volumes[mount["name"]] for mount in server["volumeMounts"]}
    assert mounts["/dev/shm"]["emptyDir"]["medium"] == "Memory"
    claim, settings = (of("base", name)["metadata"]["name"] for name in ("PersistentVolumeClaim", "ConfigMap"))
    assert mounts["/bundles"]["persistentVolumeClaim"]["claimName"] == claim
    assert mounts["/etc/gemserve"]["configMap"]["name"] == settings
    for container in (*pod["initContainers"], server):
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        written = [m for m in container["volumeMounts"] if not m.get("readOnly")]
        assert container["name"] == "bundle" or any(m["mountPath"] == "/tmp" for m in written)


@pytest.mark.parametrize("kind", KINDS)
def test_selectors_and_ports_meet_the_servers(kind: str) -> None:
    template = of(kind, "Deployment")["spec"]["template"]
    labels, [server] = template["metadata"]["labels"], template["spec"]["containers"]
    ports = {port["name"] for port in server["ports"]}
    selectors = [
        of(kind, "Service")["spec"]["selector"],
        of(kind, "PodDisruptionBudget")["spec"]["selector"]["matchLabels"],
        of(kind, "Deployment")["spec"]["selector"]["matchLabels"],
        of(kind, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"],
        *(spread["labelSelector"]["matchLabels"] for spread in template["spec"]["topologySpreadConstraints"]),
    ]
    named = {port["targetPort"] for port in of(kind, "Service")["spec"]["ports"]}
    if kind in SCALED:
        monitor = of(kind, "PodMonitor")["spec"]
        selectors.append(monitor["selector"]["matchLabels"])
        named |= {endpoint["port"] for endpoint in monitor["podMetricsEndpoints"]}
        assert of(kind, "ScaledObject")["spec"]["scaleTargetRef"]["name"] == of(kind, "Deployment")["metadata"]["name"]
    assert all(selector.items() <= labels.items() for selector in selectors)
    assert named <= ports
    retraining = of(kind, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["metadata"]["labels"]
    serving = [selector for selector in selectors[:3] if selector.items() <= retraining.items()]
    assert not serving, "nobody asks the pod that retrains, and it is no server of the budget"


@pytest.mark.parametrize("kind", KINDS)
def test_servers_and_retraining_reach_redis_and_its_sentinels(kind: str) -> None:
    """At their usual ports, as of a `redis+sentinel://` URL without any."""
    reached = {port["port"] for rule in of(kind, "NetworkPolicy")["spec"]["egress"] for port in rule["ports"]}
    [sentinel] = read_sentinel_url("redis+sentinel://redis/shop/0").names
    assert {6379, int(sentinel.rpartition(":")[2])} <= reached


def test_the_server_takes_its_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pod = of("base", "Deployment")["spec"]["template"]["spec"]
    [server] = pod["containers"]
    assert server["args"] == ["-m", "server", "--config", "/etc/gemserve/gemserve.yaml"]
    file = tmp_path / "gemserve.yaml"
    file.write_text(of("base", "ConfigMap")["data"]["gemserve.yaml"])
    secrets = {"redis": "redis://redis:6379/0", "cursor-secret": "0123456789abcdef"}
    for variable in server["env"]:
        monkeypatch.setenv(variable["name"], secrets[variable["valueFrom"]["secretKeyRef"]["key"]])
    settings = Settings(config=file)
    assert settings.fleet is not None
    assert settings.redis == secrets["redis"]
    assert settings.port == server["ports"][0]["containerPort"]
    mounted = {mount["mountPath"] for mount in server["volumeMounts"]}
    assert settings.keys is not None
    assert {str(settings.bundles), str(settings.keys.parent)} <= mounted
    assert settings.shutdown_delay + settings.shutdown_seconds < pod["terminationGracePeriodSeconds"]


def test_servers_are_added_by_a_metric_that_they_have() -> None:
    scaled = of("overlays/autoscaled", "ScaledObject")["spec"]
    [trigger] = scaled["triggers"]
    [taken] = metrics.SLOTS_TAKEN.describe()
    assert f"({taken.name}[" in trigger["metadata"]["query"]
    settings = yaml.safe_load(of("base", "ConfigMap")["data"]["gemserve.yaml"])
    assert int(trigger["metadata"]["threshold"]) == round(0.7 * settings["max_concurrency"])
    assert "replicas" not in of("overlays/autoscaled", "Deployment")["spec"], "they are the ScaledObject's"


def retraining(kind: str) -> Manifest:
    spec: Manifest = of(kind, "CronJob")["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


def values_of(container: Manifest) -> dict[str, str]:
    return {variable["name"]: variable["value"] for variable in container["env"] if "value" in variable}


@pytest.mark.integration
def test_retraining_is_a_command_that_there_is(redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [container] = retraining("base")["containers"]
    assert values_of(container)["GEMSERVE_BUNDLES"] == "/bundles"
    program, command, *words = shlex.split(container["args"][0].split("||")[0])
    assert (Path(program).name, command) == ("gemserve", "retrain")
    monkeypatch.setenv("GEMSERVE_REDIS", redis_url)
    asked = []
    monkeypatch.setattr(retrain, "retrain", lambda plan, *_, **__: asked.append(plan) or NOT_BETTER)
    here = [str(tmp_path) if word == "$GEMSERVE_BUNDLES" else word for word in words]
    assert retrain.main(here) == NOT_BETTER == 3
    assert asked[0].bundles == tmp_path


def test_the_graphics_overlay_asks_for_a_card_and_its_image() -> None:
    pod = of("overlays/gpu", "Deployment")["spec"]["template"]["spec"]
    assert pod["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert pod["containers"][0]["image"] == "gemserve:gpu"


def test_every_pod_of_the_store_s_overlay_has_bundles_from_one_address_on_a_disk_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "PersistentVolumeClaim" not in {manifest["kind"] for manifest in rendered(STORED)}
    pods = of(STORED, "Deployment")["spec"]["template"]["spec"], retraining(STORED)
    for pod in pods:
        [volume] = [volume for volume in pod["volumes"] if volume["name"] == "bundles"]
        assert set(volume) == {"name", "emptyDir"}
    [first], [server], [trainer] = pods[0]["initContainers"], pods[0]["containers"], pods[1]["containers"]
    for container in (first, server, trainer):
        assert container["envFrom"] == [{"secretRef": {"name": STORE}}]
        [mount] = [mount for mount in container["volumeMounts"] if mount["name"] == "bundles"]
        assert (mount["mountPath"], mount.get("readOnly", False)) == ("/bundles", False)
    for name, value in values_of(server).items():
        monkeypatch.setenv(name, value)
    settings = Settings()
    assert is_url(str(settings.bundles))
    assert values_of(trainer) | {"GEMSERVE_BUNDLES": settings.bundles, "XDG_CACHE_HOME": "/bundles"} == values_of(
        trainer
    )
    program, command, *words = first["command"]
    assert (Path(program).name, COMMANDS[command].module) == ("gemserve", fetch.__name__)
    assert (words[words.index("--bundles") + 1], words[words.index("--bundle-cache") + 1]) == (
        settings.bundles,
        str(settings.bundle_cache),
    )
    here = {str(settings.bundles): f"file://{tmp_path}/remote", "/bundles": str(tmp_path / "cache")}
    assert fetch.main([here.get(word, word) for word in words if word != "--wait"]) == 2
    assert "has no active bundle" in capsys.readouterr().err
    assert "--wait" in words
