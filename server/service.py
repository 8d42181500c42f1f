"""Search and recommendation: one operation, "the items this person wants now", asked with different prompts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import structlog

from catalog.prompts import Task
from server import errors, telemetry
from server.catalogue import View
from server.deployment import Deployment
from server.deployments import Deployments
from server.engine.protocol import Ranking, RankRequest
from server.errors import HistoryUnavailable, Problem
from server.history import EMPTY, History, HistoryStore, interactions_of

__all__ = ["Answer", "Question", "Service"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """query: what was typed, None for a recommendation; user: None for somebody unknown.

    filter: an expression over item columns; candidates: the only items wanted, None for all.
    """

    request_id: str
    query: str | None
    user: str | None
    k: int
    exclude_seen: bool
    filter: str | None = None
    candidates: Sequence[str] | None = None

    @property
    def task(self) -> Task:
        return "recommendation" if self.query is None else "search"


@dataclass(frozen=True, slots=True)
class Answer:
    """records: rows of the catalogue, best first; scores: log-probabilities beside them."""

    records: list[dict[str, Any]]
    scores: tuple[float, ...]
    model: str
    catalog_version: int
    degraded: bool


class Service:
    """Answers questions from the present deployment and one history store."""

    def __init__(
        self, deployments: Deployments, history: HistoryStore, *, beam_width: int, widest: int, timeout_seconds: float
    ) -> None:
        self._deployments = deployments
        self._history = history
        self._beam_width = beam_width
        self._widest = widest
        self._timeout_seconds = timeout_seconds

    async def answer(self, question: Question) -> Answer:
        """min(k, allowed) distinct items. Raises EngineError, FilterError, and Problem where the engine takes too long.

        Without its history store it still answers, marked `degraded`: as for a user without a past.
        """
        history, degraded = await self._history_of(question.user)
        async with self._in_time(), self._deployments.use() as deployment:
            with deployment.catalogue.use() as view:
                async with view.selection.limit(question.filter) as leaf_set:
                    request = self._request(question, history, view, leaf_set)
                    ranking = await self._rank(deployment, request, question.task)
                records = view.items.table.take(pa.array(ranking.leaves, pa.int64())).to_pylist()
                return Answer(records, ranking.scores, deployment.version, view.snapshot.number, degraded)

    def _request(self, question: Question, history: History, view: View, leaf_set: int | None) -> RankRequest:
        past = interactions_of(history, view.items)
        included = None if question.candidates is None else view.selection.leaves_of(question.candidates)
        return RankRequest(
            prompt=view.prompts.render(past, question.query, first=history.first(past)),
            k=question.k,
            # wide enough for all candidates, where there is room: then every one of them is ranked by its own score
            width=max(question.k, self._beam_width, min(len(included or ()), self._widest)),
            request_id=question.request_id,
            excluded=sorted({interaction.leaf for interaction in past}) if question.exclude_seen else (),
            included=included,
            leaf_set=leaf_set,
            snapshot=view.installed,
        )

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

    async def _rank(self, deployment: Deployment, request: RankRequest, task: Task) -> Ranking:
        telemetry.PROMPT_TOKENS.labels(task).observe(len(request.prompt))
        with telemetry.ENGINE_SECONDS.labels(task).time():
            return await deployment.engine.rank(request)

    @asynccontextmanager
    async def _in_time(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout_seconds):
                yield
        except TimeoutError as error:
            detail = f"no answer within {self._timeout_seconds:g} s: ask again"
            raise Problem(errors.ANSWER_TIMEOUT, detail, headers=errors.RETRY_LATER) from error
