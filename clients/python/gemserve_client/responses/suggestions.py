"""Suggestions to who has begun to type."""

from __future__ import annotations

from dataclasses import dataclass

from gemserve_client.responses.answers import Item
from gemserve_client.responses.body import Body

__all__ = ["SuggestedQuery", "SuggestedValue", "Suggestions"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedQuery(Body):
    """A query that several people typed; from `start` on, in Unicode code points, it completes what was typed."""

    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedValue(Body):
    """A value of a column, and an expression for the items that have it, of which `count` may be shown.

    `start`, `end`: what of it was typed, in Unicode code points.
    """

    column: str
    value: str
    count: int
    filter: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions(Body):
    """What somebody may want who has begun to type. `start` and `end` in an item's `fields`: what of its title was
    typed."""

    request_id: str
    model: str
    catalog_version: int
    queries: tuple[SuggestedQuery, ...]
    categories: tuple[SuggestedValue, ...]
    items: tuple[Item, ...]
