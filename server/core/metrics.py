"""Every metric of the server, in prometheus_client's default registry.

Labels are bounded: none holds a user, an item, a query or a path that somebody typed. Series that are labelled with a
model's version are removed when that model leaves (`forget`). vLLM's own metrics (`vllm:…`, of the engine that was
started last) are in the same registry. docs/grafana/gemserve.json draws all of them.
"""

from typing import Literal, get_args

from prometheus_client import Counter, Gauge, Histogram

__all__ = [
    "ANSWERS",
    "BEAM_WIDTH",
    "CATALOG_ITEMS",
    "CATALOG_VERSION",
    "DEGRADED",
    "DRAINED_EVENTS",
    "DRAIN_FAILURES",
    "DRAIN_LOST_EVENTS",
    "DRAIN_READ",
    "ENGINE_REQUESTS",
    "ENGINE_RESTARTS",
    "ENGINE_SECONDS",
    "EVENTS",
    "EVENTS_COUNTED",
    "EVENT_CATCH_UPS",
    "EVENT_FAILURES",
    "EVENT_LAG_EVENTS",
    "EVENT_LAG_SECONDS",
    "EVENT_LOG_READ",
    "FLEET_APPLIED_EPOCH",
    "FLEET_EPOCH",
    "FLEET_MEMBERS",
    "FLEET_PHASE",
    "FOLLOW_FAILURES",
    "FOLLOW_READ",
    "HISTORY_EVENTS",
    "HISTORY_SECONDS",
    "IN_FLIGHT",
    "KAFKA_FAILURES",
    "KAFKA_LAG",
    "LIVE_PRIOR_BYTES",
    "MODEL",
    "OVERRIDES",
    "OVERRIDES_APPLIED",
    "OVERRIDES_PASSED_OVER",
    "OVERRIDES_VERSION",
    "PREFIX_CACHE_TOKENS",
    "PRIORS_LEFT_AWAY",
    "PRIOR_PART_SECONDS",
    "PRIOR_SECONDS",
    "PROBLEMS",
    "PROMPT_TOKENS",
    "QUEUE_REFUSED",
    "QUEUE_SECONDS",
    "QUEUE_WAITING",
    "REDIS_ERRORS",
    "REJECTED_EVENTS",
    "REMEMBERED_EVENTS",
    "REQUEST_SECONDS",
    "ROLLOUT_SECONDS",
    "SLOTS_TAKEN",
    "STATIC_PRIOR_SECONDS",
    "SUGGEST_SECONDS",
    "SYNONYM_PHRASES",
    "SYNONYM_SETS",
    "SYNONYM_VERSION",
    "TRAFFIC_WEIGHT",
    "UNKNOWN_ITEM_EVENTS",
    "Followed",
    "Outcome",
    "Phase",
    "forget",
    "outcome_of",
]

Outcome = Literal["ok", "degraded", "refused", "failed"]
Followed = Literal["items", "traffic", "synonyms", "overrides"]
Phase = Literal["steady", "loading", "passing"]

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

PRIOR_PART_SECONDS = Histogram(
    "gemserve_prior_part_seconds",
    "Time that a part of a prior took in its thread (neighbours, clicks, words: finding items; features: all that is"
    " said of those that were found)",
    ["part"],
    buckets=(0.00005, 0.0001, 0.00025, *FINE_SECONDS),
)
STATIC_PRIOR_SECONDS = Histogram(
    "gemserve_static_prior_seconds",
    "Time to have an engine hold the popularity of all items, with an index and after events",
    buckets=SECONDS,
)
SUGGEST_SECONDS = Histogram("gemserve_suggest_seconds", "Time to make suggestions", buckets=FINE_SECONDS)
LIVE_PRIOR_BYTES = Gauge(
    "gemserve_live_prior_bytes", "About the memory that a model's priors take for what changes with events", ["model"]
)
REMEMBERED_EVENTS = Gauge("gemserve_remembered_events", "Events that a model's priors can take back", ["model"])
EVENTS_COUNTED = Counter(
    "gemserve_events_counted", "Events of the log that a source of a model's priors has counted", ["model", "source"]
)
EVENT_LAG_SECONDS = Histogram(
    "gemserve_event_lag_seconds",
    "Time from the moment an event was accepted, by the clock of Redis, until a model counted it; the oldest of each"
    " read of the log",
    ["model"],
    buckets=(0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
EVENT_LAG_EVENTS = Gauge(
    "gemserve_event_lag_events", "Events that the last look at the log has found not counted by a model", ["model"]
)
EVENT_LOG_READ = Gauge(
    "gemserve_event_log_read_timestamp_seconds", "When a model last counted the log to its end, Unix time", ["model"]
)
EVENT_FAILURES = Counter(
    "gemserve_event_failures", "Looks at the log that failed, by reason (away: Redis; failed: see the log)", ["reason"]
)
for reason in ("away", "failed"):
    EVENT_FAILURES.labels(reason)
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
KAFKA_LAG = Gauge(
    "gemserve_kafka_lag",
    "Messages of the partitions that `gemserve consume` has and whose events are not written yet, all topics together",
)
KAFKA_FAILURES = Counter(
    "gemserve_kafka_failures",
    "What `gemserve consume` has to try again, by reason (redis, dead_letters: it reads again; commit; broker)",
    ["reason"],
)
for reason in ("redis", "dead_letters", "commit", "broker"):
    KAFKA_FAILURES.labels(reason)

DRAINED_EVENTS = Counter("gemserve_drained_events", "Events that `gemserve drain` has written to files")
DRAIN_LOST_EVENTS = Counter(
    "gemserve_drain_lost_events", "Events, at most, that the log had dropped before `gemserve drain` came to them"
)
DRAIN_READ = Gauge(
    "gemserve_drain_read_timestamp_seconds", "When `gemserve drain` last had all of the log in its files"
)
DRAIN_FAILURES = Counter(
    "gemserve_drain_failures", "What `gemserve drain` has to try again, by reason (redis, disk)", ["reason"]
)
for reason in ("redis", "disk"):
    DRAIN_FAILURES.labels(reason)

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

FLEET_EPOCH = Gauge("gemserve_fleet_epoch", "Epoch of the fleet that this server has read; 0 outside of a fleet")
FLEET_APPLIED_EPOCH = Gauge(
    "gemserve_fleet_applied_epoch", "Epoch of the fleet whose models this server has; 0 before the first"
)
FLEET_MEMBERS = Gauge(
    "gemserve_fleet_members",
    "Servers of the fleet as this one sees them, by whether their leases hold (live; true, false: lost a while ago)",
    ["live"],
)
for live in ("true", "false"):
    FLEET_MEMBERS.labels(live)
FLEET_PHASE = Gauge(
    "gemserve_fleet_phase",
    "1 for what the fleet does (steady: nothing changes; loading: all load what is proposed; passing: users pass to"
    " the models of a new epoch); 0 for the others",
    ["phase"],
)
for phase in get_args(Phase):
    FLEET_PHASE.labels(phase)

CATALOG_ITEMS = Gauge("gemserve_catalog_items", "Items of a model's catalog, by availability", ["model", "available"])
CATALOG_VERSION = Gauge("gemserve_catalog_version", "Number of the last change that a model's catalog has", ["model"])

SYNONYM_SETS = Gauge("gemserve_synonym_sets", "Sets of synonyms that queries are read with")
SYNONYM_PHRASES = Gauge("gemserve_synonym_phrases", "Words and phrases of all sets of synonyms")
SYNONYM_VERSION = Gauge("gemserve_synonyms_version", "Number of the last change of synonyms that this server has")
OVERRIDES = Gauge("gemserve_overrides", "Overrides that there are, in force or not")
OVERRIDES_VERSION = Gauge("gemserve_overrides_version", "Number of the last change of overrides that this server has")
OVERRIDES_APPLIED = Counter("gemserve_overrides_applied", "Overrides that applied to queries")
OVERRIDES_PASSED_OVER = Counter(
    "gemserve_overrides_passed_over",
    "Overrides that were for a query and did not apply, by reason (filter: it does not fit the items or is too long"
    " with the query's; others: as many applied as can)",
    ["reason"],
)
for why in ("filter", "others"):
    OVERRIDES_PASSED_OVER.labels(why)
FOLLOW_READ = Gauge(
    "gemserve_follow_read_timestamp_seconds",
    "When this server last read what other servers had changed (items, traffic, synonyms, overrides), Unix time",
    ["what"],
)
FOLLOW_FAILURES = Counter(
    "gemserve_follow_failures",
    "Looks at what other servers had changed that failed, by reason (away: what it needs; failed: see the log)",
    ["what", "reason"],
)
for what in get_args(Followed):
    for reason in ("away", "failed"):
        FOLLOW_FAILURES.labels(what, reason)


OF_MODELS = (
    ANSWERS,
    CATALOG_ITEMS,
    CATALOG_VERSION,
    ENGINE_REQUESTS,
    ENGINE_RESTARTS,
    EVENTS_COUNTED,
    EVENT_LAG_EVENTS,
    EVENT_LAG_SECONDS,
    EVENT_LOG_READ,
    LIVE_PRIOR_BYTES,
    REMEMBERED_EVENTS,
)
"""Their series go with their models."""


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
    for metric in OF_MODELS:
        metric.remove_by_labels({"model": version})
