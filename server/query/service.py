"""Search, recommendation and likeness: one operation, "the items this person wants now", asked with other prompts."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import groupby

import structlog

from server.core import errors, metrics, tracing
from server.core.errors import HistoryUnavailable, Problem
from server.engine.protocol import Ranking
from server.query.admission import AnswerQueue
from server.query.cursor import CursorCodec, Page
from server.query.plan import QueryPlan
from server.query.types import Answer, Explanation, Question
from server.retrieval.live_catalog import Searcher
from server.serving.deployment import Deployment
from server.serving.manager import Deployments
from server.storage.protocol import EMPTY, History, HistoryStore

__all__ = ["Service"]

log = structlog.get_logger(__name__)


class Service:
    """Answers questions from the deployments and one history store.

    beam_width: of a question that needs no wider one; widest: that the engine takes. timeout_seconds: of an answer.
    """

    def __init__(
        self,
        deployments: Deployments,
        history: HistoryStore,
        queue: AnswerQueue,
        pages: CursorCodec,
        *,
        beam_width: int,
        widest: int,
        timeout_seconds: float,
    ) -> None:
        self._deployments = deployments
        self._history = history
        self._queue = queue
        self._pages = pages
        self._beam_width = beam_width
        self._widest = widest
        self._timeout_seconds = timeout_seconds

    async def answer(self, question: Question, arrived: float, *, patient: bool = False) -> Answer:
        """min(k, allowed) distinct items. Raises EngineError, FilterError, and Problem for what cannot be asked, takes
        too long, or would by the look of the queue.

        Without its history store it still answers, marked `degraded`: as for a user without a past. A question that
        waits for another model to be exchanged in place keeps its place in the queue.

        arrived: when its time began to count, by `time.monotonic`. patient: as `AnswerQueue` has it.
        """
        page, seconds = self._pages.open(question), self._seconds(question)
        deadline = arrived + seconds
        async with self._queue.place(deadline, patient=patient), _in_time(deadline, seconds) as timeout:
            history, degraded = await self._history_of(question)
            key = question.user or question.session or page.thread
            async with self._deployments.use(key) as deployment:
                answering = deployment.answering(question.task, timeout, degraded=degraded)
                with answering, deployment.catalog.use() as view:
                    answer = await self._answer(question, page, history, deployment, view)
        return replace(answer, degraded=True) if degraded else answer

    async def _answer(
        self, question: Question, page: Page, history: History, deployment: Deployment, view: Searcher
    ) -> Answer:
        corrected = await _corrected(question, deployment)
        inquiry = QueryPlan(question, corrected or question.query, history, page.shown, view)
        async with view.selection.limit(question.filter) as leaf_set:
            with tracing.span("prompt"):
                request = inquiry.request(leaf_set, self._beam_width, self._widest)
            ranking = await deployment.rank(request, question.task)
        if question.min_score is not None:
            ranking = _at_least(question.min_score, ranking)
        records = inquiry.records(ranking)
        return Answer(
            records=records,
            scores=ranking.scores,
            reasons=inquiry.reasons(ranking),
            explanations=await _explanations(question, inquiry, ranking, deployment) if question.explain else None,
            next_cursor=self._pages.next_cursor(question, page, [record["item_id"] for record in records]),
            corrected_query=corrected,
            model=deployment.version,
            catalog_version=view.snapshot.number,
            degraded=False,
        )

    async def _history_of(self, question: Question) -> tuple[History, bool]:
        """What is known of somebody's past, and whether it is missing."""
        if question.history is not None:
            return History(question.history, runs=sum(1 for _ in groupby(question.history))), False
        somebody = question.user or question.session
        if somebody is None:
            return EMPTY, False
        try:
            with tracing.span("history"):
                history = await self._history.read(somebody, question.session)
        except HistoryUnavailable as error:
            log.warning("answering_without_history", error=str(error))
            return EMPTY, True
        metrics.HISTORY_EVENTS.observe(len(history.visits))
        return history, False

    def _seconds(self, question: Question) -> float:
        """That the question may take."""
        if question.timeout_ms is None:
            return self._timeout_seconds
        if question.timeout_ms > 1000 * self._timeout_seconds:
            raise _too_patient(self._timeout_seconds)
        return question.timeout_ms / 1000


@asynccontextmanager
async def _in_time(deadline: float, seconds: float) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout(deadline - time.monotonic()) as timeout:
            yield timeout
    except TimeoutError as error:
        detail = f"no answer within {seconds:g} s: ask again"
        raise Problem(errors.ANSWER_TIMEOUT, detail, headers=errors.RETRY_LATER) from error


async def _corrected(question: Question, deployment: Deployment) -> str | None:
    if question.query is None or not question.correct:
        return None
    return await deployment.catalog.spelling.correct(question.query)


async def _explanations(
    question: Question, inquiry: QueryPlan, ranking: Ranking, deployment: Deployment
) -> list[Explanation]:
    without_history = None
    if inquiry.seen and ranking.leaves:
        request = inquiry.request_without_history(ranking.leaves)
        without_history = await deployment.rank(request, question.task)
    return inquiry.explanations(ranking, without_history)


def _at_least(score: float, ranking: Ranking) -> Ranking:
    """Without what scores less; the best come first."""
    kept = sum(found >= score for found in ranking.scores)
    levels = ranking.level_scores
    return Ranking(ranking.leaves[:kept], ranking.scores[:kept], None if levels is None else levels[:kept])


def _too_patient(seconds: float) -> Problem:
    message = f"this server waits at most {1000 * seconds:g} ms: ask for no more"
    fault = {"field": "timeout_ms", "code": "timeout_too_long", "message": message}
    return Problem(errors.INVALID_REQUEST, errors.in_words([fault]), errors=[fault])
