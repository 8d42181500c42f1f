"""Documents in the order in which they fit a query."""

from __future__ import annotations

from dataclasses import dataclass

from gemserve_client.responses.body import Body

__all__ = ["Reranked", "RerankedDocument", "Reranking", "Usage"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankedDocument(Body):
    """A document as it was sent; of an item that was named by its id alone, the title."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked(Body):
    """A document in its place. `index`: among those that were sent, from 0; `item_id`: of the item that it names."""

    index: int
    relevance_score: float
    item_id: str | None = None
    document: RerankedDocument | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Body):
    """What the model has read."""

    prompt_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking(Body):
    """Documents, the most relevant first. `id`: as events name it in `request_id`; `unknown`: the places of documents
    whose `id` no item has; `calibrated`: whether scores are probabilities."""

    id: str
    results: tuple[Reranked, ...]
    usage: Usage
    unknown: tuple[int, ...]
    calibrated: bool
    model: str
    catalog_version: int
    took_ms: float
    degraded: bool
    corrected_query: str | None = None
