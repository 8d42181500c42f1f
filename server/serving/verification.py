"""Proof, before a model gets requests, that what was loaded answers as it did when it was published."""

from __future__ import annotations

import structlog

from catalog.bundle.bundle import Bundle
from server.core.settings import EngineSettings
from server.engine.errors import EngineError
from server.engine.protocol import Engine, RankRequest

__all__ = ["verify"]

log = structlog.get_logger(__name__)


async def verify(bundle: Bundle, engine: Engine, settings: EngineSettings) -> None:
    """Ask the bundle's golden questions of the engine. Raises EngineError that says which answer is wrong and how.

    A bundle of before there were any, and an engine that normalises otherwise than they were asked, are not verified.
    """
    golden = bundle.golden
    if golden is None or golden.normalize != settings.normalize or golden.width > settings.max_width:
        log.warning("model_not_verified", version=bundle.version)
        return
    for number, question in enumerate(golden.questions, start=1):
        fault = golden.check_prompt(question, bundle.prompts, bundle.items)
        if fault is None:
            width = min(golden.width, len(bundle.index))
            ranking = await engine.rank(RankRequest(question.tokens, width, width, f"golden-{number}"))
            fault = golden.check(question, ranking.leaves, ranking.scores)
        if fault is not None:
            raise EngineError(f"bundle {bundle.version} fails golden question {number}: {fault}")
