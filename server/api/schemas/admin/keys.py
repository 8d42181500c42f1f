"""API keys over the wire. The key itself is in one answer only: that to the request that made it."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.api.schemas.requests import RequestModel
from server.api.schemas.types import Number, WholeNumber
from server.auth.api_key import MAX_ROUTES, KeyFilter, KeyName, Moment, RouteName, Scope

__all__ = ["KeyBody", "MintedKeyBody", "NewKeyBody", "RevokedKeyBody"]

Rate = Annotated[Number | None, Field(gt=0, allow_inf_nan=False, description="requests a second; null: the server's")]
Burst = Annotated[WholeNumber | None, Field(ge=1, description="requests at once before the rate counts")]
Concurrency = Annotated[WholeNumber | None, Field(ge=1, description="requests under way at a time; null: the server's")]
ExpiresAt = Annotated[Moment | None, Field(description="from when on it is no key any more; null: never")]
FilterBy = Annotated[
    KeyFilter | None,
    Field(description="the only items that it sees, and takes events about; it cannot administer. Null: all items"),
]
Routes = Annotated[
    list[RouteName] | None,
    Field(min_length=1, max_length=MAX_ROUTES, description="the only ones that it opens; null: all of its scopes"),
]


class NewKeyBody(RequestModel):
    """What a new key may do."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "shop", "scopes": ["read", "write"], "rate_per_second": 50}]},
    )

    name: KeyName
    scopes: Annotated[list[Scope], Field(min_length=1, description="admin implies read and write")]
    rate_per_second: Rate = None
    burst: Burst = None
    concurrency: Concurrency = None
    expires_at: ExpiresAt = None
    filter_by: FilterBy = None
    routes: Routes = None


class KeyBody(BaseModel):
    id: str
    name: str
    scopes: list[Scope]
    created: str = Field(description="ISO 8601, in UTC")
    rate_per_second: Rate
    burst: Burst
    concurrency: Concurrency
    expires_at: ExpiresAt
    filter_by: FilterBy
    routes: Routes
    last_used: str | None = Field(description="ISO 8601, in UTC; null: not on this server since it started")


class MintedKeyBody(KeyBody):
    request_id: str
    key: str = Field(description="to be sent as `Authorization: Bearer …`; it is shown here only")


class RevokedKeyBody(BaseModel):
    request_id: str
    id: str
    name: str
