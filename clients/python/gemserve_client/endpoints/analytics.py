"""Reports of what people asked for, and what became of the answers."""

from __future__ import annotations

import datetime
from typing import Any, TypeVar

from gemserve_client import responses
from gemserve_client.endpoints.call import Call, given, reading

__all__ = [
    "analytics_experiment",
    "analytics_metrics",
    "analytics_no_clicks",
    "analytics_no_results",
    "analytics_queries",
]

T = TypeVar("T")


def analytics_queries(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    model: str | None = None,
    limit: int | None = None,
    least: int | None = None,
) -> Call[responses.QueriesReport]:
    """What people searched for most, with clicks, conversions and their intervals.

    first, last: days by UTC, both included; 30 of them up to today where nothing is said.
    model: answers of this version only. limit: how many queries. least: intents that a query has at least.
    """
    return _report("queries", responses.QueriesReport, first=first, last=last, model=model, limit=limit, least=least)


def analytics_no_results(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    model: str | None = None,
    limit: int | None = None,
    least: int | None = None,
) -> Call[responses.QueriesReport]:
    """What people searched for and nothing ever fitted. Takes what `analytics_queries` takes."""
    return _report("no-results", responses.QueriesReport, first=first, last=last, model=model, limit=limit, least=least)


def analytics_no_clicks(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    model: str | None = None,
    limit: int | None = None,
    least: int | None = None,
) -> Call[responses.QueriesReport]:
    """What people searched for and never clicked an answer of. Takes what `analytics_queries` takes."""
    return _report("no-clicks", responses.QueriesReport, first=first, last=last, model=model, limit=limit, least=least)


def analytics_metrics(
    *, first: str | datetime.date | None = None, last: str | datetime.date | None = None, model: str | None = None
) -> Call[responses.MetricsReport]:
    """Answers, clicks, positions and conversions by model, kind of answer and day."""
    return _report("metrics", responses.MetricsReport, first=first, last=last, model=model)


def analytics_experiment(
    *,
    first: str | datetime.date | None = None,
    last: str | datetime.date | None = None,
    goal: str | None = None,
) -> Call[responses.Experiment]:
    """Which version's users reach a goal more often, and whether that is decided; look at it as often as you like.

    goal: "click" or "conversion".
    """
    return _report("experiment", responses.Experiment, first=first, last=last, goal=goal)


def _report(name: str, kind: type[T], **asked: Any) -> Call[T]:
    return Call("GET", f"/analytics/{name}", reading(kind), given(**asked))
