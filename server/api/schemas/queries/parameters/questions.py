"""Parameters of searches and recommendations, which URLs and bodies share."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from catalog.data.events import EventType
from server.api.schemas.queries.parameters.personal import InlineHistory, PersonalParameters
from server.api.schemas.queries.seen import SeenTypes
from server.api.schemas.types import QueryText
from server.query.types import NOT_AGAIN, Query

__all__ = ["EVERYTHING", "UNASKED", "RecommendBody", "RecommendParameters", "SearchBody", "SearchParameters"]

EVERYTHING = "*"
UNASKED = sorted(map(EventType, NOT_AGAIN))


class SearchParameters(PersonalParameters):
    q: Annotated[QueryText, Field(description="what was typed; `*`: everything that is allowed, as GET /items")]
    correct: Annotated[bool, Field(description="replace words that no item contains by the nearest that one does")] = (
        True
    )
    understand: Annotated[
        bool,
        Field(
            description="read prices in the query as a filter, as in `tent under 200`, and words as their synonyms too;"
            " `understood` says which"
        ),
    ] = True
    prefix: Annotated[
        bool,
        Field(
            description="read the last word of a guided search as the beginning of one too, where no item has it as it"
            " was typed; false: words are complete"
        ),
    ] = True

    @model_validator(mode="after")
    def _has_scores(self) -> Self:
        if self.q == EVERYTHING and (field := self._needs_scores) is not None:
            text = "goes with a search for words only: leave it out, or write words in q"
            raise PydanticCustomError("no_scores", text, {"field": field})
        return self

    def to_query(self, request_id: str) -> Query:
        if self.q == EVERYTHING:
            return self._personal_query(request_id, "browse")
        return self._personal_query(
            request_id,
            "search",
            text=self.q,
            correct=self.correct,
            understand=self.understand,
            prefix=self.prefix,
        )


class RecommendParameters(PersonalParameters):
    """`user`, `session` or both; somebody unknown has an empty history."""

    exclude_seen: Annotated[
        SeenTypes,
        Field(
            description="leave out what is in the history: true for all of it, false for nothing, or the types of"
            " events whose items to leave out; what the user dislikes never comes"
        ),
    ] = UNASKED

    @model_validator(mode="after")
    def _is_for_somebody(self) -> Self:
        if self.user is None and self.session is None and self.inline_history is None:
            raise PydanticCustomError("nobody", "give the user, session or history to recommend for")
        return self

    def to_query(self, request_id: str) -> Query:
        return self._personal_query(request_id, "recommend")


class SearchBody(InlineHistory, SearchParameters):
    """As the parameters of GET /search, and `history`."""


class RecommendBody(RecommendParameters, InlineHistory):
    """As the parameters of GET /recommend, and `history`."""
