"""The audit log: changes that people made over HTTP."""

from typing import Annotated, ClassVar

from pydantic import BaseModel, Field

from server.api.schemas.requests import RequestModel
from server.api.schemas.types import WholeNumber

__all__ = ["AuditBody", "AuditParameters"]


class AuditParameters(RequestModel):
    in_url: ClassVar[bool] = True

    limit: Annotated[WholeNumber, Field(ge=1, le=1_000, description="how many changes, the newest first")] = 50
    cursor: Annotated[
        str | None, Field(pattern=r"^\d{1,19}-\d{1,19}$", description="`next_cursor` of the page before")
    ] = None


class ChangeMadeBody(BaseModel):
    at: int = Field(description="when, Unix milliseconds by the clock of Redis")
    request_id: str = Field(description="of the request that made it, as in the server's log")
    key: str | None = Field(description="id of the key that it came with; null where none was needed")
    key_name: str | None = Field(description="as the key was called then")
    address: str = Field(description="where it came from")
    method: str
    route: str = Field(description="as this document has it")
    target: dict[str, str] = Field(
        description="what the route leaves open, such as an item's id; of a user SHA-256 of the id"
    )
    status: int


class AuditBody(BaseModel):
    changes: list[ChangeMadeBody]
    next_cursor: str | None = Field(description="for older ones; null where there are none")
