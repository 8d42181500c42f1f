"""The published bundles, and what became of an activation."""

from pydantic import BaseModel, Field

__all__ = ["ActivationBody", "ModelsBody"]


class ModelsBody(BaseModel):
    current: str
    previous: str | None = Field(description="what a rollback would activate")
    versions: list[str]


class ActivationBody(BaseModel):
    request_id: str
    model: str
    previous: str
    took_ms: float
