"""Health and version."""

from typing import Literal

from pydantic import BaseModel, Field

__all__ = ["ReadyBody", "VersionBody"]


class ReadyBody(BaseModel):
    status: Literal["ready", "degraded"]
    checks: dict[str, str] = Field(description='"ok", or what is wrong')


class VersionBody(BaseModel):
    gemserve: str
    model: str
    engine: str
    method: str
    base_model: str
    identifiers: str
    created: str
    items: int
    catalog_version: int
