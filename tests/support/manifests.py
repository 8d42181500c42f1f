"""What Kubernetes' API takes, and manifests with one key too many, which it must not take."""

import copy
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

from tests.support.paths import ROOT

VERSION = "1.32"  # of Kubernetes, whose schemas kubernetes-validate has
OURS = yaml.safe_load((ROOT / "tests/deploy/crd_schemas.yaml").read_text())
REFUSED = (jsonschema.ValidationError, kubernetes_validate.ValidationError)
FREE = {"labels", "matchLabels", "annotations", "data", "limits", "requests", "rayStartParams"}
"""Objects whose keys are anybody's; a Service's selector, which is one of labels, is another."""

Manifest = dict[str, Any]
Place = tuple[str | int, ...]


@cache
def rendered(kind: str) -> tuple[Manifest, ...]:
    """What kubectl makes of a folder of deploy/kubernetes: the base, or an overlay."""
    kubectl = shutil.which("kubectl")
    assert kubectl is not None, "there is no kubectl: apt-get install kubernetes-client, or a newer one"
    made = subprocess.run(
        [kubectl, "kustomize", ROOT / "deploy/kubernetes" / kind], check=False, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    return tuple(yaml.safe_load_all(made.stdout))


def validate(manifest: Manifest) -> None:
    """Raises one of REFUSED where it is not what the API takes."""
    name = f"{manifest['apiVersion']}/{manifest['kind']}"
    if name in OURS:
        validate_by(name, manifest)
    else:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    for template in templates(manifest) if name == "ray.io/v1/RayService" else ():
        named = {"metadata": {"name": "pod"} | template.get("metadata", {})}
        kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod"} | template | named, VERSION, strict=True)


def validate_by(name: str, part: Any) -> None:
    """By one of our own lists of documented keys. Raises as `validate`."""
    jsonschema.Draft7Validator(OURS[name] | {"definitions": OURS["definitions"]}).validate(part)


def templates(ray_service: Manifest) -> list[Manifest]:
    """Of its pods."""
    cluster = ray_service["spec"]["rayClusterConfig"]
    return [group["template"] for group in (cluster["headGroupSpec"], *cluster["workerGroupSpecs"])]


def objects_in(part: Any, place: Place = ()) -> Iterator[Place]:
    """Where objects stand whose keys the API names."""
    if isinstance(part, dict):
        if place and place[-1] in FREE:
            return
        yield place
        for key, value in part.items():
            yield from objects_in(value, (*place, key))
    elif isinstance(part, list):
        for index, value in enumerate(part):
            yield from objects_in(value, (*place, index))


def with_key(manifest: Manifest, place: Place, key: str) -> Manifest:
    changed = copy.deepcopy(manifest)
    part: Any = changed
    for step in place:
        part = part[step]
    part[key] = "x"
    return changed
