"""Parameters of every list that the model ranks."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from server.api.schemas.queries.bounded_lists import at_most
from server.api.schemas.queries.parameters.lists import ListParameters
from server.api.schemas.types import Identifier, Number
from server.query.types import Kind, Query

__all__ = ["MAX_CANDIDATES", "RankedParameters", "SimilarParameters"]

MAX_CANDIDATES = 1_000


class RankedParameters(ListParameters):
    """Parameters of every list that the model ranks."""

    candidates: Annotated[
        list[Identifier] | None,
        Field(max_length=MAX_CANDIDATES, description="rank these items only; ids that nobody knows are passed over"),
        at_most(MAX_CANDIDATES),
    ] = None
    min_score: Annotated[
        Number | None, Field(allow_inf_nan=False, description="items of a lower score are left out")
    ] = None
    explain: Annotated[bool, Field(description="say how likely every code was, and what the history did")] = False
    diversity: Annotated[
        Number,
        Field(
            ge=0,
            le=1,
            description="how much the items of a page differ from each other: 0 for the best ones, 1 for those of the"
            " best max(5k, 50) that are least alike",
        ),
    ] = 0.0
    guidance: Annotated[
        bool | None,
        Field(
            description="join what words, clicks and people's habits say with the model, inside the search, as the"
            " server does unless it is told otherwise; false: the model alone",
        ),
    ] = None

    @model_validator(mode="after")
    def _has_one_order(self) -> Self:
        if self.sort_by is not None and (field := self._needs_scores) is not None:
            text = "goes with the order of relevance only: leave out either it or sort_by"
            raise PydanticCustomError("two_orders", text, {"field": field})
        return self

    @property
    def _needs_scores(self) -> str | None:
        """The first parameter that was given and means nothing where items have no scores."""
        if self.min_score is not None:
            return "min_score"
        return "diversity" if self.diversity > 0 else None

    def _query(self, request_id: str, kind: Kind, **particulars: Any) -> Query:
        return self._list_query(
            request_id,
            kind,
            candidates=self.candidates,
            min_score=self.min_score,
            explain=self.explain,
            diversity=self.diversity,
            guidance=self.guidance,
            **particulars,
        )


class SimilarParameters(RankedParameters):
    def similar_query(self, request_id: str, item_id: str) -> Query:
        return self._query(request_id, "similar", history=((item_id, None),))
