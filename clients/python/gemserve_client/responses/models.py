"""The published bundles, and which of them answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gemserve_client.responses.body import Body

__all__ = [
    "Activation",
    "Golden",
    "Manifest",
    "Measures",
    "Model",
    "Models",
    "Report",
    "RolloutFailure",
    "RolloutStep",
    "Traffic",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Models(Body):
    """The published bundles; `traffic`: the weight of each version that answers."""

    current: str
    previous: str | None = None
    versions: tuple[str, ...]
    traffic: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Body):
    """What a bundle is; `created` in ISO 8601, `warm_start`: the version from which its training went on."""

    created: str
    engine: str
    method: str
    base_model: str
    identifiers: str
    code_sizes: tuple[int, ...]
    items: int
    guided_width: int | None = None
    warm_start: str | None = None
    code_commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures(Body):
    """How one ranker answered the held-out questions; `values` by measure and cutoff, such as `ndcg@10`, `intervals`
    of these at 95%."""

    questions: int
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Body):
    """The evaluation of a bundle, by task and ranker: "model" alone, "prior" alone, "guided" (both), and baselines."""

    protocol: str
    questions: str
    catalog_size: int
    beam_width: int
    exclude_seen: bool
    tasks: Mapping[str, Mapping[str, Measures]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden(Body):
    """What an engine is asked before it answers anybody; `tolerance`: the difference that counts as rounding."""

    queries: int
    width: int
    normalize: str
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep(Body):
    """`step`: "loading", "checking" or "catching_up"; `since`: Unix milliseconds."""

    step: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFailure(Body):
    """`at`: Unix milliseconds."""

    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Body):
    """A published bundle. `role`: "current", "sharing" or "previous"; `weight`: in the traffic, where it answers;
    `rollout`: where it is on its way to answering; `failure`: why the last try to serve it failed."""

    version: str
    role: str | None = None
    weight: int | None = None
    rollout: RolloutStep | None = None
    failure: RolloutFailure | None = None
    manifest: Manifest
    report: Report | None = None
    golden: Golden | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(Body):
    request_id: str
    model: str
    previous: str
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic(Body):
    """`traffic`: the weight of each version that answers."""

    request_id: str
    traffic: Mapping[str, int]
    took_ms: float
