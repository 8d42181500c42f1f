"""A query as it is sent, with all that its answer is checked against."""

from dataclasses import dataclass, field
from typing import Any, Literal

from loadtest.locust.oracle.filter_cases import FilterCase

__all__ = ["Query"]


EVERY_TYPE = ("view", "click", "cart", "purchase", "rating")


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """A search, a recommendation, a request for similar items, or a look at everything.

    q: the words of a search.
    history: item ids that the query itself brings, in place of a stored history.
    item: the item that others should be similar to.
    exclude_seen: whether all items of the history are left out, or the types of events whose items are.
    sort_by: columns and whether the greatest come first, the first counts most; none for the order of relevance.
    facets: columns whose values are counted.
    disjunctive: whether a column is counted without the filter's conditions on it alone.
    shown: ids of the items on the pages before.
    guidance: False for the model alone, None for what the server does unasked.
    stored_histories: the user and the session whose stored histories the server reads.
    """

    kind: Literal["search", "recommend", "similar", "browse"]
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
    sort_by: tuple[tuple[str, bool], ...] = ()
    facets: tuple[str, ...] = ()
    disjunctive: bool = False
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

    @property
    def counted(self) -> bool:
        """Whether the answer says how many items there are."""
        return bool(self.sort_by or self.facets)

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
            "sort_by": ",".join(f"{name}:{'desc' if falls else 'asc'}" for name, falls in self.sort_by) or None,
            "facets": list(self.facets) or None,
            "disjunctive_facets": (self.disjunctive and bool(self.facets)) or None,
            "total": self.counted or None,
        }
        if self.kind in {"search", "recommend"}:
            seen = self.exclude_seen
            given["exclude_seen"] = ",".join(seen) if isinstance(seen, tuple) else seen
        if self.explain:
            given["explain"] = True
        return {"k": self.k} | {name: value for name, value in given.items() if value is not None}
