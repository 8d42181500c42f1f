"""Search and recommendation: one operation, "the items this person wants now", asked with different prompts."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import structlog

from catalog.prompts import Task
from server import errors, telemetry
from server.deployment import Deployment
from server.engine.protocol import Ranking, RankRequest
from server.errors import HistoryUnavailable, Problem
from server.history import EMPTY, History, HistoryStore, interactions_of

__all__ = ["Answer", "Question", "Service"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """query: what was typed, None for a recommendation; user: None for somebody unknown."""

    request_id: str
    query: str | None
    user: str | None
    k: int
    exclude_seen: bool

    @property
    def task(self) -> Task:
        return "recommendation" if self.query is None else "search"


@dataclass(frozen=True, slots=True)
class Answer:
    """records: rows of the catalogue, best first; scores: log-probabilities beside them."""

    records: list[dict[str, Any]]
    scores: tuple[float, ...]
    model: str
    degraded: bool


class Service:
    """Answers questions from one deployment and one history store."""

    def __init__(
        self, deployment: Deployment, history: HistoryStore, *, beam_width: int, timeout_seconds: float
    ) -> None:
        self._deployment = deployment
        self._history = history
        self._beam_width = beam_width
        self._timeout_seconds = timeout_seconds

    async def answer(self, question: Question) -> Answer:
        """min(k, allowed) distinct items. Raises EngineError, and Problem where the engine takes too long.

        Without its history store it still answers, marked `degraded`: as for a user without a past.
        """
        deployment = self._deployment
        history, degraded = await self._history_of(question.user)
        past = interactions_of(history, deployment.items)
        prompt = deployment.prompts.render(past, question.query, first=history.first(past))
        seen = {interaction.leaf for interaction in past} if question.exclude_seen else ()
        request = RankRequest(
            prompt=prompt,
            k=question.k,
            width=max(question.k, self._beam_width),
            request_id=question.request_id,
            excluded=deployment.selection.excluded(seen),
        )
        ranking = await self._rank(request, question.task)
        records = deployment.items.table.take(pa.array(ranking.leaves, pa.int64())).to_pylist()
        return Answer(records, ranking.scores, deployment.version, degraded)

    async def _history_of(self, user: str | None) -> tuple[History, bool]:
        if user is None:
            return EMPTY, False
        try:
            history = await self._history.read(user)
        except HistoryUnavailable as error:
            log.warning("answering_without_history", error=str(error))
            return EMPTY, True
        telemetry.HISTORY_EVENTS.observe(len(history.visits))
        return history, False

    async def _rank(self, request: RankRequest, task: Task) -> Ranking:
        telemetry.PROMPT_TOKENS.labels(task).observe(len(request.prompt))
        with telemetry.ENGINE_SECONDS.labels(task).time():
            try:
                async with asyncio.timeout(self._timeout_seconds):
                    return await self._deployment.engine.rank(request)
            except TimeoutError as error:
                detail = f"no answer within {self._timeout_seconds:g} s: ask again"
                raise Problem(errors.ANSWER_TIMEOUT, detail, headers=errors.RETRY_LATER) from error
