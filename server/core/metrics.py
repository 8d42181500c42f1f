"""Every metric of the server, in prometheus_client's default registry.

Labels are bounded: none holds a user, an item, a query or a path that somebody typed. Series that are labelled with a
model's version are removed when that model leaves (`forget`). vLLM's own metrics (`vllm:…`, of the engine that was
started last) are in the same registry. docs/grafana/gemserve.json draws all of them.
"""

from typing import Literal

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "ANSWERS",
    "BEAM_WIDTH",
    "CATALOG_ITEMS",
    "CATALOG_VERSION",
    "DEGRADED",
    "ENGINE_REQUESTS",
    "ENGINE_RESTARTS",
    "ENGINE_SECONDS",
    "EVENTS",
    "EVENT_CATCH_UPS",
    "HISTORY_EVENTS",
    "HISTORY_SECONDS",
    "IN_FLIGHT",
    "MODEL",
    "PREFIX_CACHE_TOKENS",
    "PRIORS_LEFT_AWAY",
    "PRIOR_SECONDS",
    "PROBLEMS",
    "PROMPT_TOKENS",
    "QUEUE_REFUSED",
    "QUEUE_SECONDS",
    "QUEUE_WAITING",
    "REDIS_ERRORS",
    "REJECTED_EVENTS",
    "REQUEST_SECONDS",
    "ROLLOUT_SECONDS",
    "SLOTS_TAKEN",
    "TRAFFIC_WEIGHT",
    "UNKNOWN_ITEM_EVENTS",
    "Outcome",
    "forget",
    "outcome_of",
]

Outcome = Literal["ok", "degraded", "refused", "failed"]

FINE_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
SECONDS = (0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LONG_SECONDS = (0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0)

REQUEST_SECONDS = Histogram(
    "gemserve_request_seconds",
    "Time from a request's first byte read to its answer's last byte sent, by route and outcome"
    " (ok, degraded, refused: 4xx, failed: 5xx)",
    ["route", "outcome"],
    buckets=SECONDS,
)
IN_FLIGHT = Gauge("gemserve_requests_in_flight", "Requests that have begun and are not answered yet")
PROBLEMS = Counter("gemserve_problems", "Requests that were told a problem, by its code", ["code"])
DEGRADED = Counter(
    "gemserve_degraded_answers", "Answers given without the user's history or without the prior", ["route"]
)

QUEUE_WAITING = Gauge("gemserve_queue_waiting", "Queries that wait for a slot")
SLOTS_TAKEN = Gauge("gemserve_places_taken", "Slots of --max-concurrency that are taken")
QUEUE_SECONDS = Histogram(
    "gemserve_queue_seconds", "Time that queries waited for their slots, of those that got one", buckets=SECONDS
)
QUEUE_REFUSED = Counter(
    "gemserve_queue_refused",
    "Queries that got no slot, by reason (full, deadline, gone: the client left while it waited)",
    ["reason"],
)
for reason in ("full", "deadline", "gone"):
    QUEUE_REFUSED.labels(reason)

ANSWERS = Counter(
    "gemserve_answers", "Queries that got a slot, by task, model and outcome", ["task", "model", "outcome"]
)
ENGINE_SECONDS = Histogram(
    "gemserve_engine_seconds", "Time the engine took to rank, by task", ["task"], buckets=SECONDS
)
ENGINE_REQUESTS = Gauge(
    "gemserve_engine_requests", "Requests handed to the engine of a model, waiting or running", ["model"]
)
ENGINE_RESTARTS = Counter("gemserve_engine_restarts", "Engines that died and were started again", ["model"])
BEAM_WIDTH = Histogram(
    "gemserve_beam_width", "Beams of a request", ["task"], buckets=(1, 5, 10, 20, 50, 75, 100, 150, 200, 500, 1000)
)
PROMPT_TOKENS = Histogram(
    "gemserve_prompt_tokens", "Tokens of a prompt", ["task"], buckets=(8, 16, 32, 64, 128, 256, 512, 1024, 2048)
)
PREFIX_CACHE_TOKENS = Counter(
    "gemserve_prefix_cache_tokens", "Prompt tokens, by whether vLLM found them in its prefix cache", ["found"]
)
for found in ("true", "false"):
    PREFIX_CACHE_TOKENS.labels(found)

PRIOR_SECONDS = Histogram(
    "gemserve_prior_seconds", "Time until a prior was made, of those that were in time", ["task"], buckets=FINE_SECONDS
)
PRIORS_LEFT_AWAY = Counter(
    "gemserve_priors_left_away", "Searches without the prior they should have, by reason (timeout, error)", ["reason"]
)
for reason in ("timeout", "error"):
    PRIORS_LEFT_AWAY.labels(reason)

EVENT_CATCH_UPS = Counter(
    "gemserve_event_catch_ups",
    "Models that were to count the events of the log before they answered, by outcome (ok; late, away, failed: they"
    " answered without)",
    ["outcome"],
)
for outcome in ("ok", "late", "away", "failed"):
    EVENT_CATCH_UPS.labels(outcome)

HISTORY_SECONDS = Histogram(
    "gemserve_history_seconds", "Time an operation on Redis took", ["operation"], buckets=FINE_SECONDS
)
HISTORY_EVENTS = Histogram(
    "gemserve_history_events",
    "Events in the history of a request's user",
    buckets=(0, 1, 2, 5, 10, 20, 50, 100, 200, 500),
)
REDIS_ERRORS = Counter("gemserve_redis_errors", "Operations on Redis that failed or ran out of time", ["operation"])
EVENTS = Counter("gemserve_events", "Events received, by result (accepted, duplicate, rejected)", ["result"])
UNKNOWN_ITEM_EVENTS = Counter(
    "gemserve_unknown_item_events", "Events accepted whose item the catalog did not have when they came"
)
REJECTED_EVENTS = Counter("gemserve_rejected_events", "Events rejected, by the code of the reason", ["code"])

MODEL = Gauge("gemserve_model_info", "1 for every model that answers requests", ["version", "engine", "identifiers"])
TRAFFIC_WEIGHT = Gauge(
    "gemserve_traffic_weight", "Share of the requests that a model answers, as a weight beside the others", ["model"]
)
ROLLOUT_SECONDS = Histogram(
    "gemserve_activation_seconds",
    "Time that rollouts of a model took, by outcome (ok, failed)",
    ["outcome"],
    buckets=LONG_SECONDS,
)
CATALOG_ITEMS = Gauge("gemserve_catalog_items", "Items of a model's catalog, by availability", ["model", "available"])
CATALOG_VERSION = Gauge("gemserve_catalog_version", "Number of the last change that a model's catalog has", ["model"])


def outcome_of(status: int, *, degraded: bool) -> Outcome:
    """The outcome that an HTTP status stands for. degraded: the answer lacks something that it should build on."""
    if status >= 500:
        return "failed"
    if status >= 400:
        return "refused"
    return "degraded" if degraded else "ok"


def forget(version: str) -> None:
    """Removes the series of a model that answers no more."""
    MODEL.remove_by_labels({"version": version})
    for metric in (ANSWERS, ENGINE_REQUESTS, ENGINE_RESTARTS, CATALOG_ITEMS, CATALOG_VERSION):
        metric.remove_by_labels({"model": version})
