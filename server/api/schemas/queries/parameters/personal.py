"""Parameters of lists that are ranked for somebody: whose history counts, or the history itself."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Self

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from server.api.schemas.queries.bounded_lists import at_most
from server.api.schemas.queries.parameters.ranked import RankedParameters
from server.api.schemas.queries.parameters.visits import VISIT_SCHEMA, VisitBody, visit_of
from server.api.schemas.queries.seen import NO_TYPES, SeenTypes
from server.api.schemas.requests import other_names
from server.api.schemas.types import Identifier
from server.query.types import Kind, Query
from server.storage.protocol import TypedVisit

__all__ = ["MAX_VISITS", "HistorySession", "HistoryUser", "InlineHistory", "PersonalParameters"]

MAX_VISITS = 200
HistoryUser = Annotated[
    Identifier | None, Field(description="whose history to take into account", json_schema_extra=other_names("user_id"))
]
HistorySession = Annotated[
    Identifier | None,
    Field(
        description="under which events of theirs were recorded before they had an account: read too",
        json_schema_extra=other_names("session_id"),
    ),
]


class PersonalParameters(RankedParameters):
    """Parameters of queries with somebody's history."""

    user: HistoryUser = None
    session: HistorySession = None
    exclude_seen: Annotated[
        SeenTypes,
        Field(
            description="leave out what is in the history: true for all of it, or the types of events whose items to"
            " leave out, as in purchase,cart"
        ),
    ] = NO_TYPES

    def _personal_query(self, request_id: str, kind: Kind, **particulars: Any) -> Query:
        return self._query(
            request_id,
            kind,
            user=self.user,
            session=self.session,
            history=self.inline_history,
            exclude_seen=frozenset(kind.value for kind in self.exclude_seen),
            **particulars,
        )

    @property
    def inline_history(self) -> tuple[TypedVisit, ...] | None:
        """Oldest first."""
        return None


class InlineHistory(PersonalParameters):
    """What a body may hold beyond what a URL may."""

    in_url: ClassVar[bool] = False

    history: Annotated[
        list[Annotated[VisitBody, BeforeValidator(visit_of), WithJsonSchema(VISIT_SCHEMA)]] | None,
        Field(max_length=MAX_VISITS, description="oldest first; takes the place of a stored history"),
        at_most(MAX_VISITS),
    ] = None

    @model_validator(mode="after")
    def _has_one_history(self) -> Self:
        if self.history is not None and (self.user is not None or self.session is not None):
            raise PydanticCustomError("two_histories", "give either a history, or the user and session to read it from")
        return self

    @property
    def inline_history(self) -> tuple[TypedVisit, ...] | None:
        if self.history is None:
            return None
        return tuple((visit.item_id, visit.query, visit.type.value) for visit in self.history)
