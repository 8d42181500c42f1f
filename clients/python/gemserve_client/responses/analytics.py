"""Analytics: what people asked for, and what became of the answers."""

from __future__ import annotations

from dataclasses import dataclass

from gemserve_client.responses.body import Body

__all__ = [
    "Comparison",
    "Counts",
    "DayCounts",
    "Experiment",
    "MetricsReport",
    "QueriesReport",
    "QueryCounts",
    "Rate",
    "VersionResult",
]


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
