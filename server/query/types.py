"""A question to the model and the answer to it, as the service and everything around it know them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from catalog.text.prompts import Task
from server.storage.protocol import Visit

__all__ = ["Answer", "Explanation", "Kind", "LevelProbability", "Question", "Reason", "ReasonCode"]

Kind = Literal["search", "recommend", "similar"]
ReasonCode = Literal["query", "history", "query_and_history", "similar", "general"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """query: what was typed, None where nothing was. user, session: whose stored histories to read.

    history: takes the place of a stored one; for `similar`, the one item that others should be like.
    filter: an expression over item columns. candidates: the only items wanted, None for all. min_score: items of a
    lower score are left out. correct: the model reads the query with its misspellings corrected.

    The rest is not what is asked but how it is answered; a cursor goes on with an answer whatever they are.
    k: items at most. cursor: where the answer before ended; longest_cursor: characters that the next one may have.
    fields: columns that are wanted, None for all. timeout_ms: less than the service would wait, or None.
    """

    request_id: str
    kind: Kind
    query: str | None = None
    user: str | None = None
    session: str | None = None
    history: tuple[Visit, ...] | None = None
    exclude_seen: bool = True
    filter: str | None = None
    candidates: Sequence[str] | None = None
    min_score: float | None = None
    correct: bool = False

    k: int = 10
    cursor: str | None = None
    longest_cursor: int | None = None
    fields: Sequence[str] | None = None
    explain: bool = False
    timeout_ms: int | None = None

    @property
    def task(self) -> Task:
        return "search" if self.kind == "search" else "recommendation"

    @property
    def wanted(self) -> tuple[object, ...]:
        """What is asked: equal for two questions if one may go on with the other's answer."""
        return (
            self.kind,
            self.query,
            self.user,
            self.session,
            self.history,
            self.exclude_seen,
            self.filter,
            None if self.candidates is None else sorted(set(self.candidates)),
            self.min_score,
            self.correct,
        )


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an item is there, in one word, one item of the user's past, and one sentence."""

    code: ReasonCode
    item: str | None
    text: str


@dataclass(frozen=True, slots=True)
class LevelProbability:
    """How likely the model found the code at its level of the identifier."""

    code: str
    probability: float


@dataclass(frozen=True, slots=True)
class Explanation:
    """history_effect: by how much the history lifted the score; None where there was no history."""

    levels: tuple[LevelProbability, ...]
    history_effect: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """records: of the catalog, the wanted columns, best first; beside them their scores (log-probabilities), reasons
    and, where asked for, explanations. next_cursor: for the items behind them, None where there are none."""

    records: list[dict[str, Any]]
    scores: tuple[float, ...]
    reasons: list[Reason]
    explanations: list[Explanation] | None
    next_cursor: str | None
    corrected_query: str | None
    model: str
    catalog_version: int
    degraded: bool
