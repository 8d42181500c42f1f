"""What a server answers, as frozen dataclasses.

Columns of a catalog are in `fields` of an item. Members that a newer server adds are kept in `extra`, so that an
older client goes on working with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = [
    "Accepted",
    "Activation",
    "Answer",
    "Boost",
    "Change",
    "Column",
    "Comparison",
    "Counts",
    "DayCounts",
    "Erasure",
    "Exclude",
    "Experiment",
    "Explanation",
    "FacetStats",
    "Golden",
    "History",
    "Include",
    "Item",
    "Key",
    "Level",
    "Manifest",
    "Match",
    "Measures",
    "Merge",
    "MetricsReport",
    "Model",
    "Models",
    "NewKey",
    "Override",
    "OverrideDeleted",
    "OverrideRule",
    "OverrideWritten",
    "OverridesPage",
    "PastEvent",
    "PriceRange",
    "QueriesReport",
    "QueryCounts",
    "Rate",
    "ReadAs",
    "Readiness",
    "Reason",
    "Receipt",
    "Rejected",
    "Report",
    "Reranked",
    "RerankedDocument",
    "Reranking",
    "RolloutFailure",
    "RolloutStep",
    "Schema",
    "SchemaChanged",
    "ScoredItem",
    "SuggestedQuery",
    "SuggestedValue",
    "Suggestions",
    "SynonymSet",
    "SynonymsDeleted",
    "SynonymsPage",
    "SynonymsWritten",
    "Traffic",
    "Understanding",
    "Usage",
    "Version",
    "VersionResult",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Base of everything that is answered."""

    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason(Body):
    """Why an item is there. `item`: of the user's history, the one that led to it or that is most like it, if any is;
    `source`: what did most, such as "words", "transitions" or "model"."""

    code: str
    item: str | None = None
    text: str
    source: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level(Body):
    """One code of an item's identifier, and the probability that the model gave it."""

    code: str
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Body):
    """`history_effect`: how much the history raised the score (natural logarithm); None where none was used. `shares`:
    what the model and each source that guides the search add to the score, which is their sum. `pinned`: the place for
    which it is pinned."""

    levels: tuple[Level, ...]
    history_effect: float | None = None
    shares: Mapping[str, float] = field(default_factory=dict)
    pinned: int | None = None
    override: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """An item; `fields` has every column but id and title, such as price."""

    id: str
    title: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Match(Body):
    """A word of a query in a text of an item, from `start` up to `end`, which count Unicode code points.

    `field`: the column, or "id"; `index`: of several categories, which one.
    """

    word: str
    field: str
    start: int
    end: int
    index: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoredItem(Item):
    """`score` is the model's log-probability joined with what guides the search, and compares in one answer only.
    `relevance` is how likely the item is the one that is wanted, 0 to 1, None where the server's model has not learned
    it. `matched` of a guided search: where the item has words of the query."""

    score: float
    relevance: float | None = None
    reason: Reason | None = None
    matched: tuple[Match, ...] | None = None
    explanation: Explanation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PriceRange(Body):
    """The lowest and the highest price, both included; None for any."""

    min: float | None = None
    max: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadAs(Body):
    """A word of a search that is also read as another; `id`: of the set of synonyms that says so."""

    id: str
    word: str
    read_as: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Understanding(Body):
    """What a search read as a filter, such as `price <= 100`, and in numbers, None where it names no price; `query` is
    the rest of it. `synonyms`: words of it that are also read as others."""

    filter: str | None = None
    price: PriceRange | None = None
    query: str
    synonyms: tuple[ReadAs, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FacetStats(Body):
    """What the numbers or times of a column range over; times are text, and have no sum."""

    min: float | str
    max: float | str
    avg: float | str
    sum: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Group(Body):
    """The ids of an answer's items that have one value of `group_by`; `size`: how many such items are allowed."""

    value: str | float | bool | None = None
    size: int
    items: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer(Body):
    """Items, the best first. `next_cursor` asks for the next page; `degraded`: the history could not be read, or
    what guides the search took too long or lacks the newest events. `fit` of a guided search: "all", "some", or "none",
    where nothing fits what was typed and these are the nearest. `fallback`: "popular", where nothing trends and popular
    items are shown in its place.

    Where `facets` or `total` ask for it: `total` items are counted, as `total_is` says: those that are "allowed", those
    "matching" the words of a search, or those of the "answer". `facetDistribution`: of each column how many of them
    have each value; `facetStats`: of numbers and times; `facetValues`: how many values there are, told or not.
    `groups`: where `group_by` asks for them.

    Where the question has pins, `pinned` has the ids of those on this page, and `pins_missing` of those that are in no
    catalog. `overrides`: ids of the shop's overrides that applied, None where none did.
    """

    request_id: str
    items: tuple[ScoredItem, ...]
    next_cursor: str | None = None
    model: str
    catalog_version: int
    took_ms: float
    degraded: bool
    corrected_query: str | None = None
    understood: Understanding | None = None
    fit: str | None = None
    fallback: str | None = None
    total: int | None = None
    total_is: str | None = None
    facetDistribution: Mapping[str, Mapping[str, int]] | None = None
    facetStats: Mapping[str, FacetStats] | None = None
    facetValues: Mapping[str, int] | None = None
    groups: tuple[Group, ...] | None = None
    pinned: tuple[str, ...] | None = None
    pins_missing: tuple[str, ...] | None = None
    overrides: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted(Body):
    """An event that has been written.

    index: its place in what was sent.
    duplicate: whether it had been written before.
    known: whether the catalog has its item now; it counts once the item comes.
    """

    index: int
    event_id: str
    duplicate: bool
    known: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected(Body):
    """An event that has not been written, and why.

    index: its place in what was sent.
    field: the first one that is wrong; None where the event is no object.
    """

    index: int
    code: str
    reason: str
    field: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt(Body):
    """What became of events: every one is in one of the lists. `request_ids`: one for each request that was made."""

    request_ids: tuple[str, ...]
    accepted: tuple[Accepted, ...]
    rejected: tuple[Rejected, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PastEvent(Body):
    """An event of a user's history; `timestamp` in Unix milliseconds."""

    item_id: str
    query: str | None = None
    type: str
    timestamp: int
    event_id: str
    value: float | None = None
    title: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class History(Body):
    """What a user did, the newest first; `total` counts the events that are kept, not only those told here."""

    request_id: str
    user: str
    events: tuple[PastEvent, ...]
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge(Body):
    """`moved`: how many events came from the session into the user's history."""

    request_id: str
    user: str
    session: str
    moved: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Erasure(Body):
    request_id: str
    user: str
    events_erased: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Change(Body):
    """What became of items: every id is in one of the lists."""

    request_id: str
    inserted: tuple[str, ...]
    replaced: tuple[str, ...]
    deleted: tuple[str, ...]
    missing: tuple[str, ...]
    catalog_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymSet(Body):
    """Words and phrases that are also read as each other, or with `root`, that the root alone is also read as."""

    id: str
    synonyms: tuple[str, ...]
    root: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymsWritten(SynonymSet):
    """`created`: False where it took the place of another set."""

    request_id: str
    created: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideRule(Body):
    """Which queries an override is for: those that meet all that it names. `match`: "exact" or "contains"."""

    query: str | None = None
    match: str = "exact"
    filter_by: str | None = None
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Include(Body):
    """An item, and the place where it stands, from 1 over all pages."""

    id: str
    position: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exclude(Body):
    """An item that is left out."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Boost(Body):
    """Items that meet a filter, which are `factor` times as likely."""

    condition: str
    factor: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Override(Body):
    """What happens in the answers to queries that meet a rule; `starts_at`, `ends_at` in ISO 8601, None for ever."""

    id: str
    rule: OverrideRule
    includes: tuple[Include, ...] = ()
    excludes: tuple[Exclude, ...] = ()
    filter_by: str | None = None
    boost: tuple[Boost, ...] = ()
    priority: int = 0
    starts_at: str | None = None
    ends_at: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideWritten(Override):
    """`created`: False where it took the place of another. `missing`: its ids that no item has now."""

    request_id: str
    created: bool
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OverridesPage(Body):
    """Overrides by their ids; `total`: how many there are."""

    overrides: tuple[Override, ...]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OverrideDeleted(Body):
    request_id: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedQuery(Body):
    """A query that several people typed; from `start` on, in Unicode code points, it completes what was typed."""

    text: str
    start: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SuggestedValue(Body):
    """A value of a column, and an expression for the items that have it, of which `count` may be shown.

    `start`, `end`: what of it was typed, in Unicode code points.
    """

    column: str
    value: str
    count: int
    filter: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Suggestions(Body):
    """What somebody may want who has begun to type. `start` and `end` in an item's `fields`: what of its title was
    typed."""

    request_id: str
    model: str
    catalog_version: int
    queries: tuple[SuggestedQuery, ...]
    categories: tuple[SuggestedValue, ...]
    items: tuple[Item, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RerankedDocument(Body):
    """A document as it was sent; of an item that was named by its id alone, the title."""

    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranked(Body):
    """A document in its place. `index`: among those that were sent, from 0; `item_id`: of the item that it names."""

    index: int
    relevance_score: float
    item_id: str | None = None
    document: RerankedDocument | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage(Body):
    """What the model has read."""

    prompt_tokens: int
    total_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reranking(Body):
    """Documents, the most relevant first. `id`: as events name it in `request_id`; `unknown`: the places of documents
    whose `id` no item has; `calibrated`: whether scores are probabilities."""

    id: str
    results: tuple[Reranked, ...]
    usage: Usage
    unknown: tuple[int, ...]
    calibrated: bool
    model: str
    catalog_version: int
    took_ms: float
    degraded: bool
    corrected_query: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymsPage(Body):
    """Sets of synonyms by their ids; `total`: how many there are."""

    synonyms: tuple[SynonymSet, ...]
    total: int
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Column(Body):
    """A column of the catalog. `added`: it came while the catalog served; `values`: items that have one."""

    name: str
    type: str
    nullable: bool
    filterable: bool
    facetable: bool
    sortable: bool
    added: bool
    values: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema(Body):
    """The columns of the catalog. `items`: how many there are, available or not."""

    columns: tuple[Column, ...]
    items: int
    model: str
    catalog_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SchemaChanged(Schema):
    """The columns after a change, and the names of those that it added and dropped."""

    request_id: str
    added_columns: tuple[str, ...]
    dropped_columns: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SynonymsDeleted(Body):
    request_id: str
    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Models(Body):
    """The published bundles; `traffic`: the weight of each version that answers."""

    current: str
    previous: str | None = None
    versions: tuple[str, ...]
    traffic: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest(Body):
    """What a bundle is; `created` in ISO 8601, `warm_start`: the version from which its training went on."""

    created: str
    engine: str
    method: str
    base_model: str
    identifiers: str
    code_sizes: tuple[int, ...]
    items: int
    guided_width: int | None = None
    warm_start: str | None = None
    code_commit: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures(Body):
    """How one ranker answered the held-out questions; `values` by measure and cutoff, such as `ndcg@10`, `intervals`
    of these at 95%."""

    questions: int
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report(Body):
    """The evaluation of a bundle, by task and ranker: "model" alone, "prior" alone, "guided" (both), and baselines."""

    protocol: str
    questions: str
    catalog_size: int
    beam_width: int
    exclude_seen: bool
    tasks: Mapping[str, Mapping[str, Measures]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Golden(Body):
    """What an engine is asked before it answers anybody; `tolerance`: the difference that counts as rounding."""

    queries: int
    width: int
    normalize: str
    tolerance: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutStep(Body):
    """`step`: "loading", "checking" or "catching_up"; `since`: Unix milliseconds."""

    step: str
    since: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutFailure(Body):
    """`at`: Unix milliseconds."""

    reason: str
    at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Model(Body):
    """A published bundle. `role`: "current", "sharing" or "previous"; `weight`: in the traffic, where it answers;
    `rollout`: where it is on its way to answering; `failure`: why the last try to serve it failed."""

    version: str
    role: str | None = None
    weight: int | None = None
    rollout: RolloutStep | None = None
    failure: RolloutFailure | None = None
    manifest: Manifest
    report: Report | None = None
    golden: Golden | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation(Body):
    request_id: str
    model: str
    previous: str
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic(Body):
    """`traffic`: the weight of each version that answers."""

    request_id: str
    traffic: Mapping[str, int]
    took_ms: float


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetChange(Body):
    """What is being loaded everywhere. `waits_for`: addresses of the servers that have yet to load it."""

    current: str
    traffic: Mapping[str, int]
    waits_for: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetMember(Body):
    """A server of a fleet. `here`: the one that was asked. `live`: heard of within three seconds. `lease_ms`: what was
    left of its lease. `epoch`: the last one that it serves. `problem`: why it does not serve all that it should."""

    name: str
    address: str
    here: bool
    live: bool
    lease_ms: int = 0
    epoch: int
    versions: tuple[str, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fleet(Body):
    """What a fleet serves. `passing`: whether users are passing from the models before to these."""

    name: str
    epoch: int
    current: str | None = None
    previous: str | None = None
    traffic: Mapping[str, int] = field(default_factory=dict)
    passing: bool
    change: FleetChange | None = None
    members: tuple[FleetMember, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Key(Body):
    """`created` and `last_used`, on the server that was asked and since it started, are in ISO 8601."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created: str
    rate_per_second: float | None = None
    burst: int | None = None
    concurrency: int | None = None
    expires_at: str | None = None
    filter_by: str | None = None
    routes: tuple[str, ...] | None = None
    last_used: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditedChange(Body):
    """A change over HTTP and the key that it came with; `at`: Unix milliseconds. `target`: what the route leaves open,
    such as an item's id, and of a user SHA-256 of the id."""

    at: int
    request_id: str
    key: str | None = None
    key_name: str | None = None
    address: str
    method: str
    route: str
    target: Mapping[str, str] = field(default_factory=dict)
    status: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditPage(Body):
    """Changes, the newest first."""

    changes: tuple[AuditedChange, ...]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate(Body):
    """A share of some, with its interval of 95%; None where there are none."""

    rate: float | None = None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts(Body):
    """What became of `intents`, answers that somebody wanted.

    `users`: how many known ones they are of; `clicked`, `converted`: of whose answers something was clicked, or bought
    for `value`; `mean_position`: of the first click, counted from 1; `unanswered`: that nothing fits.
    """

    intents: int
    users: int
    clicked: int
    converted: int
    mean_position: float | None = None
    value: float
    unanswered: int
    click_rate: Rate
    conversion_rate: Rate


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryCounts(Counts):
    query: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QueriesReport(Body):
    """Queries of the days from `first` to `last`, in ISO 8601, those of most intents first."""

    first: str
    last: str
    queries: tuple[QueryCounts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DayCounts(Counts):
    """What one version answered on a day to one kind of question; `degraded`: intents whose answer lacked something."""

    model: str
    kind: str
    day: str
    degraded: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReport(Body):
    """Counts of the days from `first` to `last`, in ISO 8601, in their order."""

    first: str
    last: str
    metrics: tuple[DayCounts, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Body):
    """A version's rate less that of the baseline. Interval and p-value hold at all looks together."""

    difference: float | None = None
    low: float | None = None
    high: float | None = None
    p_value: float
    decided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionResult(Body):
    """`users`: whom this version alone answered; `reached`: those of them who did what the goal says; `against`: the
    comparison with the baseline, None for that itself."""

    model: str
    users: int
    reached: int
    rate: Rate
    against: Comparison | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Experiment(Body):
    """How the versions of a traffic split compare; `baseline`: that of most users, None where there are none;
    `decided`: whether another differs from it."""

    first: str
    last: str
    goal: str
    baseline: str | None = None
    versions: tuple[VersionResult, ...]
    decided: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey(Key):
    """`key` is told this once, and is not in the repr."""

    key: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readiness(Body):
    """`status` is ready or degraded; a check is "ok" or says what is wrong."""

    status: str
    checks: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(Body):
    """Which model answers, over which catalog."""

    gemserve: str
    model: str
    engine: str
    method: str
    base_model: str
    identifiers: str
    created: str
    items: int
    catalog_version: int
