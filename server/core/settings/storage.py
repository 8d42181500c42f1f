"""Every setting of the storage in Redis: what it needs without the rest of the server's settings."""

from dataclasses import dataclass, field

__all__ = ["StorageSettings"]

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """The server's `Settings.storage`. A command that only reads Redis makes one itself, from a URL."""

    url: str = field(default="redis://127.0.0.1:6379/0", repr=False)
    """`redis://`, `unix://`, `redis+sentinel://`, `redis+cluster://`; not printed, as it may hold a password."""
    namespace: str | None = None
    """Of the catalog's keys (`server/storage/keyspace`), where several share a Redis."""
    buckets: int | None = None
    """The number of buckets that Redis must have, or gets if it is empty; None takes what it has."""
    read_timeout_ms: int = 150
    """Longest wait for a history."""
    write_timeout_ms: int = 1_000
    """Longest wait for events or changes to be written, and for changes to be read."""
    connections: int = 32
    """Most connections for histories and events: one half for reads, the other for writes, at least one for each."""
    history_length: int = 200
    """Events kept in a user's history."""
    history_days: int = 180
    """Days after its user's last event in which a history is kept."""
    event_ids: int = 1_000
    """Event ids remembered for a user, against counting twice."""
    event_id_days: int = 7
    """Days in which an event id is remembered."""
    event_log_length: int = 1_000_000
    """Events kept for retraining, about, all users together."""

    @property
    def read_timeout(self) -> float:
        """In seconds."""
        return self.read_timeout_ms / 1000

    @property
    def write_timeout(self) -> float:
        """In seconds."""
        return self.write_timeout_ms / 1000

    @property
    def history_ms(self) -> int:
        return self.history_days * DAY_MS

    @property
    def event_id_ms(self) -> int:
        return self.event_id_days * DAY_MS
