"""The life of one query: admission, history, deployment, correction, ranking, result.

Search, recommendation and similar items are one operation, "the items this person wants now", with different prompts.
Browsing asks no model.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby
from typing import Any

import structlog

from server.core import errors, metrics, tracing
from server.core.errors import HistoryUnavailable, Problem
from server.query.admission import AdmissionQueue, Priority
from server.query.cursor import CursorCodec, Page
from server.query.guide import Guide
from server.query.listing.boosts import Boosts
from server.query.listing.listing import Listing
from server.query.listing.overrides import overridden
from server.query.listing.rerank import Document, Reranking, RerankResult
from server.query.plan import BEAM_WIDTH, QueryPlan, guided
from server.query.reading import read_text
from server.query.types import Query, QueryResult, ResultItem
from server.retrieval.live_catalog import Searcher
from server.retrieval.override_reader import OverrideReader
from server.retrieval.synonym_reader import SynonymReader
from server.serving.deployment import AnswerQuality, Deployment
from server.serving.router import Router
from server.storage.protocol import EMPTY, Deed, History, HistoryStore

__all__ = ["Service"]

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Served:
    """What a query is answered by.

    searcher: of what the caller may see. quality: of the answer, while it is made.
    """

    history: History
    deployment: Deployment
    searcher: Searcher
    quality: AnswerQuality


class Service:
    """Executes queries on the deployments, with histories from one store.

    beam_width: of a query that needs no wider one; None for what its bundle says.
    max_width: the widest beam that the engine takes.
    timeout_seconds: of a query that names no shorter one.
    guidance: whether a query is guided that does not say.
    guidance_seconds: how long a query waits for its prior.
    synonyms: what queries are also read as.
    overrides: what the shop makes of queries.
    clock: Unix seconds, by which overrides begin and end.
    note: called with every answer that is not of a batch, and the page that it is.
    """

    def __init__(
        self,
        router: Router,
        history: HistoryStore,
        queue: AdmissionQueue,
        cursors: CursorCodec,
        *,
        beam_width: int | None,
        max_width: int,
        timeout_seconds: float,
        guidance: bool,
        guidance_seconds: float,
        synonyms: SynonymReader | None = None,
        overrides: OverrideReader | None = None,
        clock: Callable[[], float] = time.time,
        note: Callable[[Query, QueryResult, Page], None] | None = None,
    ) -> None:
        self._router = router
        self._history = history
        self._queue = queue
        self._cursors = cursors
        self._beam_width = beam_width
        self._max_width = max_width
        self._timeout_seconds = timeout_seconds
        self._guidance = guidance
        self._guidance_seconds = guidance_seconds
        self._synonyms = synonyms or SynonymReader()
        self._overrides = overrides or OverrideReader()
        self._clock = clock
        self._note = note

    async def execute(
        self, query: Query, arrived: float, *, within: str | None, priority: Priority = "interactive"
    ) -> QueryResult:
        """min(k, allowed) distinct items, the best first.

        Without its history store it still answers, marked `degraded`: as for a user without a past. So it does without
        a prior. A query that waits for a model to be exchanged in place keeps its slot.

        arrived: when its time began to count, by `time.monotonic`.
        within: a filter that says which items the caller may see at all; None for all.
        priority: as in `AdmissionQueue`.

        Raises EngineError, FilterError, and Problem for a query that cannot be executed, takes too long, or would by
        the look of the queue.
        """
        query = replace(query, guidance=self._guidance if query.guidance is None else query.guidance, within=within)
        page = self._cursors.decode(query)
        async with self._serving(query, page, arrived, priority) as served:
            result = await self._execute(query, page, served)
        if self._note is not None and priority == "interactive":
            self._note(query, result, page)
        return result

    async def rerank(
        self, query: Query, documents: Sequence[Document], arrived: float, *, within: str | None
    ) -> RerankResult:
        """All documents, the most relevant first, each scored by itself.

        query: of the kind `rerank`. Prices in its text are no filter, and overrides do not apply.
        arrived, within, and what is raised: as in `execute`.
        """
        query = replace(query, guidance=self._guidance if query.guidance is None else query.guidance, within=within)
        page = self._cursors.decode(query)
        async with self._serving(query, page, arrived, "interactive") as served:
            result = await self._rerank(query, documents, served)
        if self._note is not None and (noted := result.of_items()).items:
            self._note(query, noted, page)
        return result

    @asynccontextmanager
    async def _serving(self, query: Query, page: Page, arrived: float, priority: Priority) -> AsyncIterator[Served]:
        """A slot, the history, and the deployment that answers, until the block ends, which it does in time."""
        seconds = self._limit(query)
        deadline = arrived + seconds
        async with self._queue.slot(deadline, priority=priority), _in_time(deadline, seconds) as timeout:
            quality = AnswerQuality()
            history = await self._history_of(query, quality)
            key = query.user or query.session or page.first_request
            async with self._router.use(key) as deployment:
                recorded = deployment.record_outcome(query.task, timeout, quality)
                with recorded, deployment.catalog.use() as searcher:
                    part = await searcher.within(query.within)
                    yield Served(history.weighed(deployment.bundle.event_weights), deployment, part, quality)

    async def _rerank(self, query: Query, documents: Sequence[Document], served: Served) -> RerankResult:
        deployment, searcher = served.deployment, served.searcher
        reading = await read_text(query, deployment.catalog, self._synonyms)
        plan = QueryPlan(query, reading.text, served.history, (), searcher, model_text=reading.model_text)
        priors, seconds = deployment.catalog.priors, self._guidance_seconds
        guide = Guide(priors, searcher, query, reading.text, seconds, reading.wordings)
        guided_by = await guide.prior(plan.past, plan.impressions)
        reranking = Reranking(query, reading, documents, searcher, self._max_width)
        rank, calibration = partial(deployment.rank, task=query.task), deployment.catalog.calibrations[query.task]
        scored = await reranking.ranked(plan, rank, guided_by, calibration)
        served.quality.degraded |= guide.incomplete
        return RerankResult(
            scored=scored,
            corrected_query=reading.corrected,
            fit=None if guided_by is None else guided_by.fit,
            model=deployment.version,
            catalog_version=plan.catalog_version,
            degraded=served.quality.degraded,
        )

    async def _execute(self, given: Query, page: Page, served: Served) -> QueryResult:
        deployment, searcher, quality = served.deployment, served.searcher, served.quality
        read = partial(read_text, catalog=deployment.catalog, known=self._synonyms)
        ruled = await overridden(given, await read(given), searcher.items, self._overrides, self._clock(), read)
        query, reading = ruled.query, ruled.reading
        plan = QueryPlan(query, reading.text, served.history, page.shown, searcher, model_text=reading.model_text)
        seconds, wordings = self._guidance_seconds, reading.wordings
        boosts = Boosts(ruled.boosts, searcher.eligible)
        guide = Guide(deployment.catalog.priors, searcher, query, reading.text, seconds, wordings)
        listing = Listing(query, reading, plan, searcher, guide, deployment.catalog.priors, self._max_width)
        if query.kind == "browse":
            items, counts, fallback = await listing.browse()
            quality.degraded |= query.shelf != "popular" and deployment.catalog.priors.behind
            groups = await listing.groups(items)
            said = {"counts": counts, "groups": groups, "fallback": fallback, "degraded": quality.degraded}
            ruling = {"overrides": ruled.ids, "replaced_query": ruled.replaced, "understood": reading.understood}
            return self._result(given, page, deployment, plan, items, **said, **ruling)
        async with (
            guide.beside(plan.past, plan.impressions) as asked,
            listing.beside(),
            searcher.eligible.limit(reading.filter) as filter_id,
        ):
            with tracing.span("prompt"):
                request = plan.request(filter_id, self._beam_width or BEAM_WIDTH, self._max_width)
            if (guided_by := await asked) is not None:
                enough = deployment.manifest.guided_width if self._beam_width is None else None
                request = guided(request, guided_by.prior, enough, len(page.shown))
            ranking, counts = await listing.rank(request, boosts.over(partial(deployment.rank, task=query.task)))
        without_history = None
        if query.explain and (stranger := plan.request_without_history(ranking)) is not None:
            other = None if guided_by is None else await guide.prior([])
            if (other is None) == (guided_by is None):  # else the difference would be that of two kinds of scores
                prior = None if other is None else other.prior
                without_history = await deployment.rank(replace(stranger, prior=prior), query.task)
        quality.degraded |= guide.incomplete
        calibration, added = deployment.catalog.calibrations[query.task], boosts.added(ranking.leaves)
        items = await plan.items(ranking, added, without_history, guided_by, calibration)
        return self._result(
            given,
            page,
            deployment,
            plan,
            items,
            overrides=ruled.ids,
            replaced_query=ruled.replaced,
            corrected_query=reading.corrected,
            understood=reading.understood,
            fit=None if guided_by is None else guided_by.fit,
            counts=counts,
            groups=await listing.groups(items),
            degraded=quality.degraded,
        )

    def _result(
        self,
        query: Query,
        page: Page,
        deployment: Deployment,
        plan: QueryPlan,
        items: list[ResultItem],
        **said: Any,
    ) -> QueryResult:
        """said: the further fields of the result."""
        return QueryResult(
            items=items,
            next_cursor=self._cursors.next_cursor(query, page, [item.item_id for item in items]),
            model=deployment.version,
            catalog_version=plan.catalog_version,
            pinned=plan.pinned_of(items),
            pins_missing=plan.pins_missing,
            **said,
        )

    async def _history_of(self, query: Query, quality: AnswerQuality) -> History:
        """The history to render: an empty one, and a degraded answer, where the store of histories is away."""
        if query.history is not None:
            deeds = [Deed(*visit) for visit in query.history]
            return History.of(deeds, runs=sum(1 for _ in groupby(deeds, key=lambda deed: deed[:2])))
        user = query.user or query.session
        if user is None:
            return EMPTY
        try:
            with tracing.span("history"):
                history = await self._history.read(user, query.session)
        except HistoryUnavailable as error:
            log.warning("answering_without_history", error=str(error))
            quality.degraded = True
            return EMPTY
        metrics.HISTORY_EVENTS.observe(len(history.visits))
        return history

    def _limit(self, query: Query) -> float:
        """Seconds that the query may take."""
        if query.timeout_ms is None:
            return self._timeout_seconds
        if query.timeout_ms > 1000 * self._timeout_seconds:
            raise _timeout_too_long(self._timeout_seconds)
        return query.timeout_ms / 1000


@asynccontextmanager
async def _in_time(deadline: float, seconds: float) -> AsyncIterator[asyncio.Timeout]:
    try:
        async with asyncio.timeout(deadline - time.monotonic()) as timeout:
            yield timeout
    except TimeoutError as error:
        detail = f"no answer within {seconds:g} s: ask again"
        raise Problem(errors.ANSWER_TIMEOUT, detail, headers=errors.RETRY_LATER) from error


def _timeout_too_long(seconds: float) -> Problem:
    message = f"this server waits at most {1000 * seconds:g} ms: ask for no more"
    return errors.invalid_parameter("timeout_ms", "timeout_too_long", message)
