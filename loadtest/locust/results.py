"""The outcome of every request: the samples from which throughput, latencies and faults are reported."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from loadtest.locust.oracle.fault import Fault

__all__ = ["Counts", "Results", "Sample", "Verdict", "classify"]

Verdict = Literal["ok", "degraded", "refused", "late", "wrong", "failed"]
"""What a request counts as.

ok, degraded: answered, and the answer is right.
refused: status 429, or 503 with Retry-After, for want of capacity.
late: status 504.
wrong: an answer with faults.
failed: no answer, or an error that is none of these.
"""

Counts = Counter[tuple[str, str]]
"""Requests by route and outcome, as the server's metrics name them."""

MAX_FAULTS = 200
"""Faults of which everything is kept; of later ones only the rule is counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One request.

    began: when it was sent, in Unix seconds.
    status: the HTTP status; 0 where there was no answer.
    """

    began: float
    method: str
    route: str
    ms: float
    status: int
    degraded: bool
    verdict: Verdict

    @property
    def outcome(self) -> str:
        """The outcome that the server's own metrics count it as."""
        if self.status >= 500:
            return "failed"
        if self.status >= 400:
            return "refused"
        return "degraded" if self.degraded else "ok"


@dataclass(slots=True)
class Results:
    """Everything that the users of one run saw.

    rules: number of faults by rule.
    codes: number of errors by the problem's code.
    events: number of events by result.
    errors: tracebacks of errors in the test's own code.
    """

    samples: list[Sample] = field(default_factory=list)
    faults: list[dict[str, Any]] = field(default_factory=list)
    rules: Counter[str] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def add(self, sample: Sample, faults: Sequence[Fault], request_id: str | None) -> None:
        """Add a request and the faults of its answer."""
        self.samples.append(sample)
        for fault in faults:
            self.rules[fault.rule] += 1
            if len(self.faults) < MAX_FAULTS:
                where = {"at": sample.began, "route": f"{sample.method} {sample.route}", "request_id": request_id}
                self.faults.append(asdict(fault) | where)

    def counts(self) -> Counts:
        """Number of answered requests by route and outcome."""
        return Counter((sample.route, sample.outcome) for sample in self.samples if sample.status)

    def to_json(self) -> dict[str, Any]:
        """For the process that writes the report, which reads it by `from_json`."""
        return {
            "samples": [list(asdict(sample).values()) for sample in self.samples],
            "faults": self.faults,
            "rules": self.rules,
            "codes": self.codes,
            "events": self.events,
            "errors": self.errors,
        }

    @classmethod
    def from_json(cls, body: dict[str, Any]) -> "Results":
        """The inverse of `to_json`."""
        return cls(
            [Sample(*row) for row in body["samples"]],
            body["faults"],
            Counter(body["rules"]),
            Counter(body["codes"]),
            Counter(body["events"]),
            body["errors"],
        )


def classify(status: int, expected: frozenset[int], *, retry_after: bool, degraded: bool, faults: bool) -> Verdict:
    """The verdict of a request.

    expected: the statuses that are an answer to it.
    """
    if status in expected:
        if faults:
            return "wrong"
        return "degraded" if degraded else "ok"
    if status in {429, 503} and retry_after:
        return "refused"
    return "late" if status == 504 else "failed"
