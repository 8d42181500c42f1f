"""GET /search and GET /recommend."""

import time
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from server.dependencies import RequestIdDep, ServiceDep
from server.schemas.answers import AnswerBody, RecommendParameters, SearchParameters
from server.schemas.items import shown
from server.schemas.wire import json_response, problems
from server.service import Question, Service

__all__ = ["router"]

router = APIRouter(tags=["answers"], responses=problems(414, 422, 500, 503, 504))


@router.get("/search", response_model=AnswerBody)
async def search(
    request: Request,
    parameters: Annotated[SearchParameters, Query()],
    service: ServiceDep,
    request_id: RequestIdDep,
) -> Response:
    """The items that fit what was typed, best first; with `user`, those that fit them too."""
    question = Question(
        request_id=request_id,
        query=parameters.q,
        user=parameters.user,
        k=parameters.k,
        exclude_seen=parameters.exclude_seen,
        filter=parameters.filter,
        candidates=parameters.candidates,
    )
    return await _answer(request, service, question)


@router.get("/recommend", response_model=AnswerBody)
async def recommend(
    request: Request,
    parameters: Annotated[RecommendParameters, Query()],
    service: ServiceDep,
    request_id: RequestIdDep,
) -> Response:
    """The items that a user wants next, without those they had, best first."""
    question = Question(
        request_id=request_id,
        query=None,
        user=parameters.user,
        k=parameters.k,
        exclude_seen=parameters.exclude_seen,
        filter=parameters.filter,
        candidates=parameters.candidates,
    )
    return await _answer(request, service, question)


async def _answer(request: Request, service: Service, question: Question) -> Response:
    started = time.perf_counter()
    answer = await service.answer(question)
    request.state.degraded = answer.degraded
    return json_response(
        {
            "request_id": question.request_id,
            "items": [shown(*scored) for scored in zip(answer.records, answer.scores, strict=True)],
            "model": answer.model,
            "catalog_version": answer.catalog_version,
            "took_ms": round((time.perf_counter() - started) * 1000, 2),
            "degraded": answer.degraded,
        }
    )
