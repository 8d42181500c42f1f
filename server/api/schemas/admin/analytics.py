"""What analytics are asked and answer."""

from datetime import date
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from server.api.schemas.requests import RequestModel
from server.api.schemas.types import WholeNumber

__all__ = [
    "AnalyticsParameters",
    "ExperimentBody",
    "ExperimentParameters",
    "MetricsBody",
    "QueriesBody",
    "QueriesParameters",
]


class AnalyticsParameters(RequestModel):
    in_url: ClassVar[bool] = True

    first: Annotated[date | None, Field(description="first day, by UTC, as 2026-11-01; else 30 days are told")] = None
    last: Annotated[date | None, Field(description="last day; else today")] = None
    model: Annotated[str | None, Field(max_length=256, description="answers of this version only")] = None


class QueriesParameters(AnalyticsParameters):
    limit: Annotated[
        WholeNumber, Field(ge=1, le=1_000, description="how many queries, those of most intents first")
    ] = 50
    least: Annotated[WholeNumber, Field(ge=1, description="intents that a query has at least")] = 1


class ExperimentParameters(AnalyticsParameters):
    goal: Annotated[Literal["click", "conversion"], Field(description="what users are to do")] = "click"


class RateBody(BaseModel):
    """A share with its 95% interval (Wilson); null where there is nothing to take it of."""

    rate: float | None
    low: float | None
    high: float | None


class CountsBody(BaseModel):
    intents: int = Field(description="answers that were wanted; what somebody typed on the way to another is none")
    users: int = Field(description="known users and sessions among them")
    clicked: int = Field(description="intents of whose answer an item was clicked, viewed, put into a cart or bought")
    converted: int = Field(description="intents of whose answer an item was bought")
    mean_position: float | None = Field(description="of the first clicked item, counted from 1; null without clicks")
    value: float = Field(description="of what was bought")
    unanswered: int = Field(description="intents without items, or with none that fits")
    click_rate: RateBody
    conversion_rate: RateBody


class QueryBody(CountsBody):
    query: str


class QueriesBody(BaseModel):
    first: date
    last: date
    queries: list[QueryBody]


class DayBody(CountsBody):
    model: str
    kind: str = Field(description="search, recommend, similar, browse or rerank")
    day: date
    degraded: int = Field(description="intents whose answer lacked something")


class MetricsBody(BaseModel):
    first: date
    last: date
    metrics: list[DayBody]


class AgainstBody(BaseModel):
    """The rate less that of the baseline. The interval and p_value hold however often they are looked at."""

    difference: float | None
    low: float | None
    high: float | None
    p_value: float
    decided: bool


class VersionBody(BaseModel):
    model: str
    users: int = Field(description="who were answered by this version alone")
    reached: int = Field(description="of these, who did what the goal says")
    rate: RateBody
    against: AgainstBody | None = Field(None, description="the comparison with the baseline; null for that itself")


class ExperimentBody(BaseModel):
    first: date
    last: date
    goal: str
    baseline: str | None = Field(description="the version of most users; null where there are none")
    versions: list[VersionBody]
    decided: bool = Field(description="whether a version differs from the baseline")
