"""Parameters of searches, recommendations and lists of items, which URLs and bodies share."""

from server.api.schemas.queries.parameters.lists import BrowseParameters, ListParameters
from server.api.schemas.queries.parameters.personal import HistorySession, HistoryUser
from server.api.schemas.queries.parameters.questions import (
    RecommendBody,
    RecommendParameters,
    SearchBody,
    SearchParameters,
)
from server.api.schemas.queries.parameters.ranked import MAX_CANDIDATES, RankedParameters, SimilarParameters
from server.api.schemas.queries.parameters.visits import VisitBody

__all__ = [
    "MAX_CANDIDATES",
    "BrowseParameters",
    "HistorySession",
    "HistoryUser",
    "ListParameters",
    "RankedParameters",
    "RecommendBody",
    "RecommendParameters",
    "SearchBody",
    "SearchParameters",
    "SimilarParameters",
    "VisitBody",
]
