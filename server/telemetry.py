"""Every metric of the server. Labels are bounded: never a user, an item, a query or a path that somebody typed.

They live in prometheus_client's default registry, beside vLLM's own (`vllm:…`).
"""

from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "CATALOG_ITEMS",
    "DEGRADED",
    "ENGINE_SECONDS",
    "EVENTS",
    "HISTORY_EVENTS",
    "HISTORY_SECONDS",
    "IN_FLIGHT",
    "MODEL",
    "PROMPT_TOKENS",
    "REQUEST_SECONDS",
    "Outcome",
    "outcome_of",
]

Outcome = Literal["ok", "degraded", "refused", "failed"]

FINE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
SECONDS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)

REQUEST_SECONDS = Histogram(
    "gemserve_request_seconds",
    "Time from a request's first byte read to its answer's last byte sent, by route and outcome"
    " (ok, degraded, refused: 4xx, failed: 5xx)",
    ["route", "outcome"],
    buckets=SECONDS,
)
IN_FLIGHT = Gauge("gemserve_requests_in_flight", "Requests being answered now")
DEGRADED = Counter("gemserve_degraded_answers", "Answers given without the user's history", ["route"])

ENGINE_SECONDS = Histogram(
    "gemserve_engine_seconds", "Time the engine took to rank, by task", ["task"], buckets=SECONDS
)
PROMPT_TOKENS = Histogram(
    "gemserve_prompt_tokens", "Tokens of a prompt", ["task"], buckets=(8, 16, 32, 64, 128, 256, 512, 1024, 2048)
)

HISTORY_SECONDS = Histogram(
    "gemserve_history_seconds", "Time Redis took, by operation (read, append)", ["operation"], buckets=FINE_SECONDS
)
HISTORY_EVENTS = Histogram(
    "gemserve_history_events",
    "Events in the history of a request's user",
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500),
)
EVENTS = Counter("gemserve_events", "Events received, by result (accepted, duplicate, rejected)", ["result"])

MODEL = Gauge("gemserve_model_info", "1 for the model being served", ["version", "engine", "identifiers"])
CATALOG_ITEMS = Gauge("gemserve_catalog_items", "Items of the catalogue being served, by availability", ["available"])


def outcome_of(status: int, *, degraded: bool) -> Outcome:
    if status >= 500:
        return "failed"
    if status >= 400:
        return "refused"
    return "degraded" if degraded else "ok"
