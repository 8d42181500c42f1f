"""A client of gemserve: `Client`, and `AsyncClient` with the same methods.

with Client("http://127.0.0.1:8000", key="gsk_…") as shop:
    for item in shop.search("2 person tent", user="ann", k=3).items:
        print(item.title, item.fields["price"])
"""

from gemserve_client.async_client import AsyncClient
from gemserve_client.batch import BatchResult
from gemserve_client.client import Client
from gemserve_client.config import Timeouts
from gemserve_client.errors import (
    AnswerTimedOut,
    ApiError,
    Conflict,
    ConnectionFailed,
    Forbidden,
    GemserveError,
    InvalidKey,
    InvalidRequest,
    NotFound,
    ServerFault,
    TimedOut,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
    UnexpectedAnswer,
)
from gemserve_client.events import Event
from gemserve_client.queries import Question, Recommend, Search, Seen, Similar
from gemserve_client.responses import (
    Accepted,
    Activation,
    Answer,
    Change,
    Erasure,
    Explanation,
    History,
    Item,
    Key,
    Level,
    Merge,
    Models,
    NewKey,
    PastEvent,
    Readiness,
    Reason,
    Receipt,
    Rejected,
    ScoredItem,
    Traffic,
    Understanding,
    Version,
)
from gemserve_client.retries import Retries

__all__ = [
    "Accepted",
    "Activation",
    "Answer",
    "AnswerTimedOut",
    "ApiError",
    "AsyncClient",
    "BatchResult",
    "Change",
    "Client",
    "Conflict",
    "ConnectionFailed",
    "Erasure",
    "Event",
    "Explanation",
    "Forbidden",
    "GemserveError",
    "History",
    "InvalidKey",
    "InvalidRequest",
    "Item",
    "Key",
    "Level",
    "Merge",
    "Models",
    "NewKey",
    "NotFound",
    "PastEvent",
    "Question",
    "Readiness",
    "Reason",
    "Receipt",
    "Recommend",
    "Rejected",
    "Retries",
    "ScoredItem",
    "Search",
    "Seen",
    "ServerFault",
    "Similar",
    "TimedOut",
    "Timeouts",
    "TooManyRequests",
    "Traffic",
    "Unauthenticated",
    "Unavailable",
    "Understanding",
    "UnexpectedAnswer",
    "Version",
]
