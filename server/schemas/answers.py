"""Searches and recommendations: their parameters and answers."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from server.schemas.items import ItemBody
from server.text import Identifier, Query

__all__ = ["LARGEST_K", "AnswerBody", "RecommendParameters", "ScoredItemBody", "SearchParameters"]

LARGEST_K = 200
MOST_CANDIDATES = 1_000


class Parameters(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    k: Annotated[int, Field(ge=1, le=LARGEST_K, description="how many items")] = 10
    filter: Annotated[
        str | None,
        Field(description='only items that meet this expression, as in `category = "Tents" and price < 200`'),
    ] = None
    candidates: Annotated[
        list[Identifier] | None,
        Field(max_length=MOST_CANDIDATES, description="rank these items only; ids that nobody knows are passed over"),
    ] = None


class SearchParameters(Parameters):
    q: Annotated[Query, Field(description="what was typed")]
    user: Annotated[Identifier | None, Field(description="whose history to take into account")] = None
    exclude_seen: Annotated[bool, Field(description="leave out what is in the user's history")] = False


class RecommendParameters(Parameters):
    user: Annotated[Identifier, Field(description="for whom; somebody unknown has an empty history")]
    exclude_seen: Annotated[bool, Field(description="leave out what is in the user's history")] = True


class ScoredItemBody(ItemBody):
    score: float = Field(description="log-probability; comparable within one answer only")


class AnswerBody(BaseModel):
    request_id: str
    items: list[ScoredItemBody]
    model: str = Field(description="version of the bundle that answered")
    catalog_version: int = Field(description="of that bundle's items: 0 as published, one more after every change")
    took_ms: float
    degraded: bool = Field(description="true: the user's history could not be read and was not used")
