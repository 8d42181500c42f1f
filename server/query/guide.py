"""The prior of one query, made beside everything else that comes before the engine, and left away where it is late.

An answer without it is that of the model alone. It is better than none, and than one that keeps people waiting.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import numpy as np
import structlog
from numpy.typing import NDArray
from opentelemetry.trace import Span

from catalog.priors.priors import PRIOR_PARTS
from catalog.priors.words import NO_WORDINGS, Wordings
from server.core import metrics, tracing
from server.query.types import Query
from server.retrieval.live_catalog import Searcher
from server.retrieval.priors.guided_by import GuidedBy
from server.retrieval.priors.source import PriorSource

__all__ = ["Guide"]

PART_SECONDS = {part: metrics.PRIOR_PART_SECONDS.labels(part) for part in PRIOR_PARTS}

log = structlog.get_logger(__name__)


class Guide:
    """Asks for the priors of one query.

    left_away: whether a prior that was wanted has been left away.
    """

    def __init__(
        self,
        source: PriorSource,
        searcher: Searcher,
        query: Query,
        text: str | None,
        timeout_seconds: float,
        wordings: Wordings = NO_WORDINGS,
    ) -> None:
        """
        text: of the query, as it is searched.
        wordings: what it is also read as.
        timeout_seconds: for one prior, in which it also waits for a thread.
        """
        self._source = source
        self._known = searcher.priors
        self._state = searcher.priors if query.guidance else None
        self._task = query.task
        self._text, self._prefix, self._wordings = text, query.prefix, wordings
        self._timeout_seconds = timeout_seconds
        self.left_away = False

    @property
    def incomplete(self) -> bool:
        """Whether something is missing in what should guide the query: a prior, or events before the catalog's time."""
        return self.left_away or (self._state is not None and self._source.behind)

    @asynccontextmanager
    async def beside(
        self, past: Sequence[int], impressions: Sequence[tuple[int, int]]
    ) -> AsyncIterator[asyncio.Task[GuidedBy | None]]:
        """The prior in the making, while the block goes on. past, impressions: as in `prior`."""
        making = asyncio.create_task(self.prior(past, impressions))
        await asyncio.sleep(0)  # so that a thread has it before the block goes on, which may not wait for anything
        try:
            yield making
        finally:
            making.cancel()

    async def prior(self, past: Sequence[int], impressions: Sequence[tuple[int, int]] = ()) -> GuidedBy | None:
        """What guides the query; None where nothing shall, or where it is left away.

        past: leaves of the history, oldest first.
        impressions: what was shown and left, each a leaf and when it was, Unix ms.
        """
        if self._state is None:
            return None
        started = time.perf_counter()
        try:
            with tracing.span("prior") as span:
                async with asyncio.timeout(self._timeout_seconds):
                    made = await self._source.prior(
                        self._task,
                        self._text,
                        past,
                        self._state,
                        prefix=self._prefix,
                        wordings=self._wordings,
                        impressions=impressions,
                    )
                if span is not None:
                    _describe(span, made)
        except TimeoutError:
            self._leave_away("timeout")
            return None
        except Exception as error:
            self._leave_away("error", exc_info=error)
            return None
        metrics.PRIOR_SECONDS.labels(self._task).observe(time.perf_counter() - started)
        for part, seconds in made.seconds.items():
            PART_SECONDS[part].observe(seconds)
        return made

    async def matching(self) -> NDArray[np.uint8] | None:
        """Of every leaf 2 where the item has all words of the query, 1 where it has some, uint8 [N]; None where nobody
        knows. A query that is not guided may ask too."""
        if self._known is None or self._text is None:
            return None
        try:
            async with asyncio.timeout(self._timeout_seconds):
                return await self._source.matching(
                    self._text, self._known, prefix=self._prefix, wordings=self._wordings
                )
        except TimeoutError:
            self._leave_away("timeout")
        except Exception as error:
            self._leave_away("error", exc_info=error)
        return None

    def _leave_away(self, reason: str, **particulars: Exception) -> None:
        self.left_away = True
        metrics.PRIORS_LEFT_AWAY.labels(reason).inc()
        log.warning("answering_without_prior", reason=reason, **particulars)


def _describe(span: Span, guided_by: GuidedBy) -> None:
    """How many items sources found, and the milliseconds of every part, without what the prior waited for a thread."""
    span.set_attribute("gemserve.candidates", len(guided_by.prior.leaves))
    for part, seconds in guided_by.seconds.items():
        span.set_attribute(f"gemserve.{part}_ms", round(1000 * seconds, 3))
