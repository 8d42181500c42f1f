"""A question, in the words of the API and of what its answer is held to."""

from dataclasses import dataclass, field
from typing import Any, Literal

from loadtest.locust.conditions import Condition

__all__ = ["Asked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """people: users and sessions whose stored histories are read. past: item ids of a history in the question itself.

    shown: ids on the pages before. about: the item that others should be like.
    """

    kind: Literal["search", "recommend", "similar"]
    k: int = 10
    query: str | None = None
    user: str | None = None
    session: str | None = None
    past: tuple[str, ...] | None = None
    about: str | None = None
    condition: Condition | None = None
    candidates: tuple[str, ...] | None = None
    exclude_seen: bool = False
    fields: tuple[str, ...] | None = None
    explain: bool = False
    shown: tuple[str, ...] = ()
    cursor: str | None = None
    timeout_ms: int | None = None
    people: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        people = tuple(person for person in (self.user, self.session) if person is not None)
        object.__setattr__(self, "people", people)

    def parameters(self) -> dict[str, Any]:
        """As a body of POST, or the parameters of GET, have them."""
        given: dict[str, Any] = {
            "q": self.query,
            "user": self.user,
            "session": self.session,
            "history": None if self.past is None else list(self.past),
            "filter": None if self.condition is None else self.condition.text,
            "candidates": None if self.candidates is None else list(self.candidates),
            "fields": None if self.fields is None else list(self.fields),
            "cursor": self.cursor,
            "timeout_ms": self.timeout_ms,
        }
        if self.kind != "similar":
            given["exclude_seen"] = self.exclude_seen
        if self.explain:
            given["explain"] = True
        return {"k": self.k} | {name: value for name, value in given.items() if value is not None}
