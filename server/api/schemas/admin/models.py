"""Bodies of the routes of models and of the traffic split."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from server.api.schemas.requests import RequestModel
from server.api.schemas.types import WholeNumber

__all__ = ["ActivationBody", "ManifestBody", "ModelBody", "ModelsBody", "TrafficBody", "TrafficParameters"]

MAX_MODELS = 4
"""Each is an engine of its own."""

Version = Annotated[str, Field(max_length=256)]
Weight = Annotated[WholeNumber, Field(ge=1, le=1_000_000)]


class ModelsBody(BaseModel):
    current: str
    previous: str | None = Field(description="what a rollback would activate")
    versions: list[str]
    traffic: dict[str, int] = Field(description="weights of the versions that answer")


class ManifestBody(BaseModel):
    model_config = ConfigDict(protected_namespaces=())

    created: str = Field(description="ISO 8601, in UTC")
    engine: str
    method: str = Field(description="that trained it")
    base_model: str
    identifiers: str
    code_sizes: list[int] = Field(description="codes of each level of its identifiers")
    items: int = Field(description="that it was published with")
    guided_width: int | None = Field(description="beams that a guided search for ten items needs; null: not measured")
    warm_start: str | None = Field(description="version from which its training went on")
    code_commit: str | None


class MeasuresBody(BaseModel):
    questions: int = Field(description="held out, that were asked")
    values: dict[str, float] = Field(description="by measure and cutoff, such as ndcg@10")
    intervals: dict[str, tuple[float, float]] = Field(description="of these, at 95%, where they were made")


class ReportBody(BaseModel):
    """The evaluation when it was published."""

    protocol: str
    questions: str
    catalog_size: int
    beam_width: int
    exclude_seen: bool
    tasks: dict[str, dict[str, MeasuresBody]] = Field(
        description="by task and ranker: the model alone, the prior alone, guided (both), and the baselines"
    )


class GoldenBody(BaseModel):
    """What an engine is asked before it answers anybody."""

    queries: int
    width: int = Field(description="of the beam")
    normalize: str
    tolerance: float = Field(description="difference of scores that counts as rounding, in nats")


class RolloutBody(BaseModel):
    step: Literal["loading", "checking", "catching_up"] = Field(
        description="its engine loads; it is asked the golden queries; changes of items and events are applied"
    )
    since: int = Field(description="Unix milliseconds")


class FailureBody(BaseModel):
    reason: str
    at: int = Field(description="Unix milliseconds")


class ModelBody(BaseModel):
    version: str
    role: Literal["current", "sharing", "previous"] | None = Field(
        description="whether it answers, alone or by a split of the traffic, or did before; null: none of these"
    )
    weight: int | None = Field(description="in the traffic; null where it does not answer")
    rollout: RolloutBody | None = Field(description="where it is on its way to answering; null where it is on none")
    failure: FailureBody | None = Field(description="why the last try to serve it failed, since the server's start")
    manifest: ManifestBody
    report: ReportBody | None = Field(description="null where it was published without")
    golden: GoldenBody | None = Field(description="golden queries; null where it was published without")


class ActivationBody(BaseModel):
    request_id: str
    model: str
    previous: str
    took_ms: float


class TrafficParameters(RequestModel):
    weights: dict[Version, Weight] = Field(
        min_length=2,
        max_length=MAX_MODELS,
        description="by version, the current one among them; a version's share is its weight's part of the sum",
        examples=[{"20261120-190454": 90, "20261121-101500": 10}],
    )


class TrafficBody(BaseModel):
    request_id: str
    traffic: dict[str, int]
    took_ms: float
