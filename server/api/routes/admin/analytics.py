"""Analytics: what people searched for, found nothing for and clicked, and which of two models served them better."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from server.analytics.collector import Collector
from server.analytics.reports import AnalyticsTimeout, Missing, Reports, Window
from server.api.dependencies import CollectorDep, require
from server.api.schemas.admin.analytics import (
    AnalyticsParameters,
    ExperimentBody,
    ExperimentParameters,
    MetricsBody,
    QueriesBody,
    QueriesParameters,
)
from server.api.schemas.requests import query_of, read_query
from server.api.schemas.responses import json_response, problems
from server.core import errors
from server.core.errors import Problem

__all__ = ["router"]

AT_A_TIME = asyncio.Semaphore(2)
"""Reports that are made, each of which may take half a gigabyte."""

router = APIRouter(
    prefix="/analytics",
    tags=["analytics"],
    dependencies=[require("admin")],
    responses=problems(403, 409, 422, 500, 503),
)


@router.get("/queries", response_model=QueriesBody, openapi_extra=query_of(QueriesParameters))
async def list_queries(request: Request, collector: CollectorDep) -> Response:
    """What people searched for most, with clicks, conversions and their intervals."""
    return await _queries(request, collector, None)


@router.get("/no-results", response_model=QueriesBody, openapi_extra=query_of(QueriesParameters))
async def list_queries_without_results(request: Request, collector: CollectorDep) -> Response:
    """What people searched for and nothing fitted, ever."""
    return await _queries(request, collector, "results")


@router.get("/no-clicks", response_model=QueriesBody, openapi_extra=query_of(QueriesParameters))
async def list_queries_without_clicks(request: Request, collector: CollectorDep) -> Response:
    """What people searched for and never clicked an answer of."""
    return await _queries(request, collector, "clicks")


@router.get("/metrics", response_model=MetricsBody, openapi_extra=query_of(AnalyticsParameters))
async def list_metrics(request: Request, collector: CollectorDep) -> Response:
    """Answers, clicks, positions and conversions by model, kind of answer and day."""
    window = _window(read_query(request, AnalyticsParameters))
    reports = _reports(collector)
    return _answer(window, {"metrics": await _made(lambda: reports.metrics(window))})


@router.get("/experiment", response_model=ExperimentBody, openapi_extra=query_of(ExperimentParameters))
async def compare_versions(request: Request, collector: CollectorDep) -> Response:
    """Which version's users reach a goal more often, and whether that is decided; it may be looked at at any time."""
    wanted = read_query(request, ExperimentParameters)
    window, reports = _window(wanted), _reports(collector)
    return _answer(window, await _made(lambda: reports.experiment(window, wanted.goal)))


async def _queries(request: Request, collector: Collector | None, without: Missing | None) -> Response:
    wanted = read_query(request, QueriesParameters)
    window, reports = _window(wanted), _reports(collector)
    found = await _made(lambda: reports.queries(window, wanted.limit, without=without, least=wanted.least))
    return _answer(window, {"queries": found})


def _reports(collector: Collector | None) -> Reports:
    """Raises Problem where the server keeps no analytics."""
    if collector is None:
        raise Problem(errors.NO_ANALYTICS, "this server keeps no analytics: start it with --analytics FOLDER")
    return Reports(collector.files.folder)


def _window(wanted: AnalyticsParameters) -> Window:
    latest = Window.latest()
    last = wanted.last or latest.last
    first = wanted.first or min(latest.first, last)
    if first > last:
        raise errors.invalid_parameter("first", "first_after_last", "is after the last day: give an earlier one")
    return Window(first, last, wanted.model)


async def _made(report: Callable[[], Any]) -> Any:
    async with AT_A_TIME:
        try:
            return await asyncio.to_thread(report)
        except AnalyticsTimeout as error:
            raise Problem(errors.ANALYTICS_TIMEOUT, "ask for fewer days", headers=errors.RETRY_LATER) from error


def _answer(window: Window, found: dict[str, Any]) -> Response:
    return json_response({"first": window.first, "last": window.last, **found})
