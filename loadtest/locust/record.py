"""What became of every request: the samples from which throughput, latencies and faults are reported."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from loadtest.locust.verdicts import Fault

__all__ = ["Counts", "Record", "Sample", "Verdict", "classify"]

Verdict = Literal["ok", "degraded", "refused", "late", "wrong", "failed"]
"""refused: 429 or 503 with Retry-After, for want of room. late: 504. wrong: an answer that is not true. failed: no
answer, or an error that nobody expected."""

Counts = Counter[tuple[str, str]]
"""Requests by route and outcome, as the server's metrics name them."""

MOST_FAULTS = 200  # that are told in full


@dataclass(frozen=True, slots=True)
class Sample:
    """began: Unix seconds. status: of HTTP, 0 where there was no answer."""

    began: float
    method: str
    route: str
    ms: float
    status: int
    degraded: bool
    verdict: Verdict

    @property
    def outcome(self) -> str:
        """As server/core/metrics.py counts it."""
        if self.status >= 500:
            return "failed"
        if self.status >= 400:
            return "refused"
        return "degraded" if self.degraded else "ok"


@dataclass(slots=True)
class Record:
    """codes: of problems that were told. events: by what became of them. errors: of the suite itself."""

    samples: list[Sample] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def add(self, sample: Sample, faults: Sequence[Fault], request_id: str | None) -> None:
        self.samples.append(sample)
        for fault in faults:
            self.rules[fault.rule] += 1
            if len(self.faults) < MOST_FAULTS:
                where = {"at": sample.began, "route": f"{sample.method} {sample.route}", "request_id": request_id}
                self.faults.append(asdict(fault) | where)

    def counts(self) -> Counts:
        """Of requests that were answered."""
        return Counter((sample.route, sample.outcome) for sample in self.samples if sample.status)

    def to_json(self) -> dict[str, Any]:
        return {
            "samples": [list(asdict(sample).values()) for sample in self.samples],
            "faults": self.faults,
            "rules": self.rules,
            "codes": self.codes,
            "events": self.events,
            "errors": self.errors,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Record":
        return cls(
            [Sample(*row) for row in body["samples"]],
            body["faults"],
            Counter(body["rules"]),
            Counter(body["codes"]),
            Counter(body["events"]),
            body["errors"],
        )


def classify(status: int, expected: frozenset[int], *, retry_after: bool, degraded: bool, faults: bool) -> Verdict:
    """What an answer counts as. expected: statuses that are an answer to this request."""
    if status in expected:
        if faults:
            return "wrong"
        return "degraded" if degraded else "ok"
    if status in {429, 503} and retry_after:
        return "refused"
    return "late" if status == 504 else "failed"
