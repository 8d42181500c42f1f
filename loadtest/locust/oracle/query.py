"""A query as it is sent, with all that its answer is checked against."""

from dataclasses import dataclass, field
from typing import Any, Literal

from loadtest.locust.oracle.filter_cases import FilterCase

__all__ = ["Query"]


EVERY_TYPE = ("view", "click", "cart", "purchase", "rating")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search, a recommendation, or a request for similar items.

    q: the words of a search.
    history: item ids that the query itself brings, in place of a stored history.
    item: the item that others should be similar to.
    exclude_seen: whether all items of the history are left out, or the types of events whose items are.
    shown: ids of the items on the pages before.
    guidance: False for the model alone, None for what the server does unasked.
    stored_histories: the user and the session whose stored histories the server reads.
    """

    kind: Literal["search", "recommend", "similar"]
    k: int = 10
    q: str | None = None
    user: str | None = None
    session: str | None = None
    history: tuple[str, ...] | None = None
    item: str | None = None
    filter: FilterCase | None = None
    candidates: tuple[str, ...] | None = None
    exclude_seen: bool | tuple[str, ...] = False
    fields: tuple[str, ...] | None = None
    explain: bool = False
    guidance: bool | None = None
    shown: tuple[str, ...] = ()
    cursor: str | None = None
    timeout_ms: int | None = None
    stored_histories: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        names = tuple(name for name in (self.user, self.session) if name is not None)
        object.__setattr__(self, "stored_histories", names)

    @property
    def seen_types(self) -> tuple[str, ...]:
        """The types of events whose items are left out."""
        if isinstance(self.exclude_seen, tuple):
            return self.exclude_seen
        return EVERY_TYPE if self.exclude_seen else ()

    def parameters(self) -> dict[str, Any]:
        """The parameters of a GET, or the fields of a POST's body."""
        given: dict[str, Any] = {
            "q": self.q,
            "user": self.user,
            "session": self.session,
            "history": None if self.history is None else list(self.history),
            "filter": None if self.filter is None else self.filter.text,
            "candidates": None if self.candidates is None else list(self.candidates),
            "fields": None if self.fields is None else list(self.fields),
            "cursor": self.cursor,
            "timeout_ms": self.timeout_ms,
            "guidance": self.guidance,
        }
        if self.kind != "similar":
            seen = self.exclude_seen
            given["exclude_seen"] = ",".join(seen) if isinstance(seen, tuple) else seen
        if self.explain:
            given["explain"] = True
        return {"k": self.k} | {name: value for name, value in given.items() if value is not None}
