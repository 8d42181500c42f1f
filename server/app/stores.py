"""How the application opens each of its stores: all of them are in Redis, unless a test says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from server.core.settings import Settings
from server.storage.event_log import RedisEventLog
from server.storage.protocol import (
    AnswerLog,
    AuditLog,
    EventLog,
    HistoryStore,
    OverrideStore,
    SharedCatalog,
    SynonymStore,
    TokenStore,
)
from server.storage.redis_history import RedisHistory
from server.storage.shared.answer_log import RedisAnswerLog
from server.storage.shared.audit_log import RedisAuditLog
from server.storage.shared.change_log import RedisChanges
from server.storage.shared.state import RedisOverrides, RedisSynonyms
from server.storage.shared.tokens import RedisTokens

__all__ = ["IN_REDIS", "Stores"]


def tokens_of_fleet(settings: Settings) -> TokenStore | None:
    """The token buckets that the servers of a fleet share; None where there is no fleet."""
    return None if settings.fleet is None else RedisTokens(settings.storage, settings.fleet)


@dataclass(frozen=True, slots=True)
class Stores:
    """Opens stores by the settings. Nothing is connected to before it is needed, so Redis may be away.

    history: users' histories.
    events: the log of all events.
    changes: the changes of the catalog, and the paths of new items.
    synonyms, overrides: what the shop's people have set.
    answers: the log of answers, for analytics.
    audit: the log of what was administered.
    tokens: the buckets of rate limits that servers share; None counts at each server.
    """

    history: Callable[[Settings], HistoryStore] = lambda settings: RedisHistory(settings.storage)
    events: Callable[[Settings], EventLog] = lambda settings: RedisEventLog(settings.storage)
    changes: Callable[[Settings], SharedCatalog] = lambda settings: RedisChanges(settings.storage)
    synonyms: Callable[[Settings], SynonymStore] = lambda settings: RedisSynonyms(settings.storage)
    overrides: Callable[[Settings], OverrideStore] = lambda settings: RedisOverrides(settings.storage)
    answers: Callable[[Settings], AnswerLog] = lambda settings: RedisAnswerLog(settings.storage)
    audit: Callable[[Settings], AuditLog] = lambda settings: RedisAuditLog(settings.storage)
    tokens: Callable[[Settings], TokenStore | None] = tokens_of_fleet


IN_REDIS = Stores()
