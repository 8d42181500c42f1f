"""Bodies of the routes of models and of the traffic split."""

from typing import Annotated

from pydantic import BaseModel, Field

from server.api.schemas.requests import RequestModel
from server.api.schemas.types import WholeNumber

__all__ = ["ActivationBody", "ModelsBody", "TrafficBody", "TrafficParameters"]

MAX_MODELS = 4
"""Each is an engine of its own."""

Version = Annotated[str, Field(max_length=256)]
Weight = Annotated[WholeNumber, Field(ge=1, le=1_000_000)]


class ModelsBody(BaseModel):
    current: str
    previous: str | None = Field(description="what a rollback would activate")
    versions: list[str]
    traffic: dict[str, int] = Field(description="weights of the versions that answer")


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
