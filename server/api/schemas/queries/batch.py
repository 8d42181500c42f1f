"""The lines of a batch, and those of its answer."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from server.api.schemas.queries.answers import AnswerBody
from server.api.schemas.queries.parameters import (
    BrowseParameters,
    ListParameters,
    RecommendBody,
    SearchBody,
    SimilarParameters,
)
from server.api.schemas.requests import RequestModel, other_names
from server.api.schemas.responses import ProblemBody
from server.api.schemas.types import Identifier
from server.query.types import Query

__all__ = [
    "LINES",
    "MAX_LINES",
    "BatchLineBody",
    "BatchParameters",
    "BrowseLine",
    "RecommendLine",
    "SearchLine",
    "SimilarLine",
]

MAX_LINES = 10_000


class BatchParameters(RequestModel):
    """Parameters of the URL of POST /batch."""

    in_url: ClassVar[bool] = True

    ordered: Annotated[
        bool, Field(description="the answers come in the order of the lines; otherwise each as soon as it is ready")
    ] = False


class Line(ListParameters):
    in_url: ClassVar[bool] = False

    id: Annotated[Any, Field(description="comes back beside the answer; anything")] = None


class SearchLine(SearchBody, Line):
    kind: Literal["search"]


class RecommendLine(RecommendBody, Line):
    kind: Literal["recommend"]


class SimilarLine(SimilarParameters, Line):
    kind: Literal["similar"]
    item: Annotated[
        Identifier, Field(description="that others should be like", json_schema_extra=other_names("item_id"))
    ]

    def to_query(self, request_id: str) -> Query:
        return self.similar_query(request_id, self.item)


class BrowseLine(BrowseParameters, Line):
    kind: Literal["browse"]


LINES: dict[str, type[SearchLine] | type[RecommendLine] | type[SimilarLine] | type[BrowseLine]] = {
    "search": SearchLine,
    "recommend": RecommendLine,
    "similar": SimilarLine,
    "browse": BrowseLine,
}
"""By kind."""


class BatchLineBody(BaseModel):
    """Each line has an answer or a problem."""

    index: int = Field(description="of the line that this answers, from 0")
    id: Any = Field(None, description="as that line had it")
    answer: AnswerBody | None = None
    problem: ProblemBody | None = None
