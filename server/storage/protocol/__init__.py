"""The protocols of the storage, and the events, histories and changes that it keeps.

Every event goes into the event log, which retraining reads, and into its user's history, which prompts are rendered
from. The rest of `server/storage/` implements the protocols with Redis; tests have them in memory.
"""

from server.storage.protocol.answer_log import AnalyticsBatch, AnswerLog
from server.storage.protocol.audit_log import AuditedChange, AuditLog, AuditPage, ChangeMade
from server.storage.protocol.catalog import ChangeBatch, ChangeStore, PathClaim, PathStore, SharedCatalog
from server.storage.protocol.event_log import EventLog, LogBatch, LoggedEvent
from server.storage.protocol.history import EMPTY, Deed, History, Impression, TypedVisit, Visit, interactions_of
from server.storage.protocol.history_store import Event, HistoryStore, PastEvent, PastEvents
from server.storage.protocol.state import (
    OverrideStore,
    SharedStore,
    SplitStore,
    Stored,
    StoredOverrides,
    StoredSplit,
    StoredSynonyms,
    SynonymStore,
)
from server.storage.protocol.tokens import TokenStore

__all__ = [
    "EMPTY",
    "AnalyticsBatch",
    "AnswerLog",
    "AuditLog",
    "AuditPage",
    "AuditedChange",
    "ChangeBatch",
    "ChangeMade",
    "ChangeStore",
    "Deed",
    "Event",
    "EventLog",
    "History",
    "HistoryStore",
    "Impression",
    "LogBatch",
    "LoggedEvent",
    "OverrideStore",
    "PastEvent",
    "PastEvents",
    "PathClaim",
    "PathStore",
    "SharedCatalog",
    "SharedStore",
    "SplitStore",
    "Stored",
    "StoredOverrides",
    "StoredSplit",
    "StoredSynonyms",
    "SynonymStore",
    "TokenStore",
    "TypedVisit",
    "Visit",
    "interactions_of",
]
