"""The chart of deploy/helm: as Helm renders it, the objects of deploy/kubernetes; what needs no Helm is tried without.

Helm is `helm` in PATH, or the package helm-python-sdk, which has Helm's own library: it is in no lock file, since it is
75 MB and young.
"""

import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from server.core.settings import Settings
from tests.support.manifests import Manifest, rendered, validate
from tests.support.paths import ROOT

CHART = ROOT / "deploy/helm"
STORED = "overlays/object-store"
STORE = {"bundles": {"url": "s3://shop/bundles"}}
VALUES = yaml.safe_load((CHART / "values.yaml").read_text())
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
HELM = shutil.which("helm")
needs_helm = pytest.mark.skipif(
    HELM is None and importlib.util.find_spec("helm_python") is None,
    reason="there is no Helm: put helm in PATH, or pip install helm-python-sdk==0.2.2",
)


def paths(values: Mapping[str, Any], before: str = ".Values") -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, dict):
            yield from paths(value, f"{before}.{key}")
        else:
            yield f"{before}.{key}"


def test_every_value_is_used_and_every_used_one_is_there() -> None:
    templates = "".join(path.read_text() for path in (CHART / "templates").iterdir())
    assert set(re.findall(r"\.Values[.A-Za-z]+", templates)) == set(paths(VALUES))


def test_the_usual_values_are_what_the_schema_takes() -> None:
    jsonschema.Draft7Validator.check_schema(SCHEMA)
    jsonschema.validate(VALUES, SCHEMA)


@pytest.mark.parametrize(
    "wrong",
    [{"replica": 3}, {"replicas": "3"}, {"fleet": "Two words"}, {"bundles": {"storage": "20Gi", "uri": "s3://b"}}],
    ids=str,
)
def test_a_wrong_value_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(VALUES | wrong, SCHEMA)


def by_helm(values: Mapping[str, Any], folder: Path) -> list[Manifest]:
    """Raises whatever Helm raises."""
    if HELM is not None:
        file = folder / "values.json"
        file.write_text(json.dumps(values))
        made = subprocess.run([HELM, "template", "gemserve", CHART, "-f", file], check=True, capture_output=True)
        return [manifest for manifest in yaml.safe_load_all(made.stdout) if manifest]
    import helm_python

    with helm_python.Chart.load(CHART) as chart:
        texts = chart.render(dict(values), name="gemserve", namespace="shop").values()
    return [manifest for text in texts for manifest in yaml.safe_load_all(text) if manifest]


def of(manifests: list[Manifest], kind: str) -> Manifest:
    [found] = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def plain(manifest: Manifest) -> Any:
    """Without what Helm and kustomize do each in their own way: other settings are other pods, and an order."""
    text = re.sub(r"gemserve-[0-9a-z]{10}\b(?=[\"'])", "gemserve", json.dumps(manifest))
    changed = json.loads(text.replace(', "readOnly": false', ""))
    pod = changed["spec"]["template"] if changed["kind"] == "Deployment" else {}
    pod.get("metadata", {}).pop("annotations", None)
    for part in (pod, *([changed["spec"]["jobTemplate"]["spec"]["template"]] if changed["kind"] == "CronJob" else ())):
        for container in part["spec"]["containers"] if part else ():
            container["env"].sort(key=lambda variable: variable["name"])
    return changed


@needs_helm
def test_the_usual_chart_is_the_base(tmp_path: Path) -> None:
    made = {manifest["kind"]: plain(manifest) for manifest in by_helm({}, tmp_path)}
    assert made == {manifest["kind"]: plain(manifest) for manifest in rendered("base")}


@needs_helm
def test_with_a_store_it_is_the_store_s_overlay(tmp_path: Path) -> None:
    made = by_helm(STORE, tmp_path)
    overlay = [manifest for manifest in rendered(STORED) if manifest["metadata"]["name"] != "gemserve-store"]
    for kind in ("Deployment", "CronJob"):
        assert plain(of(made, kind)) == plain(of(overlay, kind))
    assert "PersistentVolumeClaim" not in {manifest["kind"] for manifest in made}
    [store] = [one for one in rendered(STORED) if one["metadata"]["name"] == "gemserve-store"]
    assert store["spec"]["egress"][0] in of(made, "NetworkPolicy")["spec"]["egress"]


@needs_helm
@pytest.mark.parametrize("values", [{}, STORE, {"redisUrl": "redis://redis:6379/0"}], ids=["usual", "store", "redis"])
def test_what_is_rendered_is_what_the_api_takes(values: dict[str, Any], tmp_path: Path) -> None:
    for manifest in by_helm(values, tmp_path):
        validate(manifest)


@needs_helm
def test_values_arrive_where_they_are_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"image": "shop.example/g:1", "replicas": 5, "fleet": "shoes", "secretName": "hidden"}
    made = by_helm(values | {"redisUrl": "redis://redis:6379/3", "bundles": {"storage": "7Gi"}}, tmp_path)
    deployment, pod = of(made, "Deployment"), of(made, "Deployment")["spec"]["template"]["spec"]
    assert deployment["spec"]["replicas"] == 5
    assert {each["image"] for each in (*pod["initContainers"], *pod["containers"])} == {"shop.example/g:1"}
    assert of(made, "PersistentVolumeClaim")["spec"]["resources"]["requests"] == {"storage": "7Gi"}
    redis, secret = pod["containers"][0]["env"]
    assert redis == {"name": "GEMSERVE_REDIS", "value": "redis://redis:6379/3"}
    assert secret["valueFrom"]["secretKeyRef"]["name"] == "hidden"
    assert [v["secret"]["secretName"] for v in pod["volumes"] if "secret" in v] == ["hidden"]
    file = tmp_path / "gemserve.yaml"
    file.write_text(of(made, "ConfigMap")["data"]["gemserve.yaml"])
    monkeypatch.setenv("GEMSERVE_REDIS", redis["value"])
    monkeypatch.setenv("GEMSERVE_CURSOR_SECRET", "0123456789abcdef")
    assert Settings(config=file).fleet == "shoes"


@needs_helm
def test_helm_refuses_a_wrong_value_too(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="replica"):
        by_helm({"replica": 5}, tmp_path)
