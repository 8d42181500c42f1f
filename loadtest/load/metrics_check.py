"""Compares the server's metrics with what the users sent and were answered, which must agree to the request."""

import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

__all__ = ["Mismatch", "compare", "events_in", "requests_in", "settle"]

OWN_ROUTES = frozenset({"/metrics", "/health/live", "/health/ready", "/version"})
"""Routes that the load test itself requests before and after a run, so that they are not compared."""

CONVERTER = re.compile(r":\w+(?=})")
"""The converter of a path parameter, as in `{user:path}`, which the users' route names lack."""

Counts = Counter[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two counts that differ.

    what: a route and an outcome, or a result of events.
    """

    what: str
    server: float
    client: float


def requests_in(metrics: str) -> Counts:
    """Number of requests by route and outcome.

    metrics: the text of GET /metrics.
    """
    counted: Counts = Counter()
    for labels, value in _samples(metrics, "gemserve_request_seconds_count"):
        route = CONVERTER.sub("", labels["route"])
        if route not in OWN_ROUTES:
            counted[route, labels["outcome"]] += int(value)
    return counted


def events_in(metrics: str) -> Counts:
    """Number of events by result, in the text of GET /metrics."""
    counted: Counts = Counter()
    for labels, value in _samples(metrics, "gemserve_events_total"):
        counted["events", labels["result"]] += int(value)
    return counted


def compare(before: str, after: str, requests: Counts, events: Counter[str]) -> list[Mismatch]:
    """What the server counted differently from the users.

    before, after: the texts of GET /metrics around the run.
    requests, events: what the users sent and were answered in between.
    """
    server = _grown(requests_in(before), requests_in(after)) | _grown(events_in(before), events_in(after))
    client = requests | Counter({("events", result): number for result, number in events.items()})
    return [
        Mismatch(" ".join(what), server[what], client[what])
        for what in sorted(server.keys() | client.keys())
        if server[what] != client[what]
    ]


def settle(look: Callable[[], list[Mismatch]], pause: Callable[[], None], attempts: int) -> list[Mismatch]:
    """The mismatches that remain after some attempts: a server counts a request a moment after its answer was read.

    look: compares the counts. pause: waits between two attempts.
    """
    mismatches = look()
    for _ in range(attempts):
        if not mismatches:
            break
        pause()
        mismatches = look()
    return mismatches


def _grown(before: Counts, after: Counts) -> Counts:
    return Counter({what: number - before[what] for what, number in after.items() if number != before[what]})


def _samples(metrics: str, name: str) -> Iterable[tuple[dict[str, str], Any]]:
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            if sample.name == name:
                yield sample.labels, sample.value
