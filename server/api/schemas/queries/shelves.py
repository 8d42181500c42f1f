"""Parameters of shelves, which no model fills, and of items like a basket."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from server.api.schemas.queries.bounded_lists import at_most
from server.api.schemas.queries.parameters import (
    MAX_CANDIDATES,
    HistorySession,
    ListParameters,
    RankedParameters,
)
from server.api.schemas.queries.seen import NO_TYPES, SeenTypes
from server.api.schemas.requests import other_names
from server.api.schemas.types import Identifier
from server.query.types import Query, Shelf

__all__ = ["BasketBody", "ShelfParameters"]

MAX_BASKET = 100


class ShelfParameters(ListParameters):
    """Parameters of every shelf."""

    candidates: Annotated[
        list[Identifier] | None,
        Field(max_length=MAX_CANDIDATES, description="show these items only; ids that nobody knows are passed over"),
        at_most(MAX_CANDIDATES),
    ] = None
    user: Annotated[
        Identifier | None,
        Field(description="whose history `exclude_seen` leaves out", json_schema_extra=other_names("user_id")),
    ] = None
    session: HistorySession = None
    exclude_seen: Annotated[
        SeenTypes,
        Field(
            description="leave out what is in the history of `user` and `session`, or what types of events in it are"
            " of, as in `purchase,cart`"
        ),
    ] = NO_TYPES

    def shelf_query(self, request_id: str, shelf: Shelf, *items: str) -> Query:
        """items: those that the shelf is about."""
        return self._list_query(
            request_id,
            "browse",
            shelf=shelf,
            items=items,
            candidates=self.candidates,
            user=self.user,
            session=self.session,
            exclude_seen=frozenset(kind.value for kind in self.exclude_seen),
        )


class BasketBody(RankedParameters):
    """What is asked of items like a basket."""

    items: Annotated[
        list[Identifier],
        Field(min_length=1, max_length=MAX_BASKET, description="what others should be like, the newest last"),
        at_most(MAX_BASKET),
    ]

    def to_query(self, request_id: str) -> Query:
        return self._query(request_id, "similar", history=tuple((item, None) for item in self.items))
