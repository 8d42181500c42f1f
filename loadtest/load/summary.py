"""The report of a load test: throughput, latencies, faults and resources, and whether the run passed."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.stats import theilslopes

from loadtest.load.metrics_check import Mismatch
from loadtest.load.process_monitor import ResourceSample
from loadtest.locust.profiles import Profile
from loadtest.locust.results import Results, Sample

__all__ = ["Run", "summarize"]

SATURATED = 0.9
"""Share of a processor, or of all of them, from which on it counts as used up."""
GROWTH_SECONDS = 60.0
"""The time that the second half of a run must take for the growth of memory to be reported."""
ANSWERED = {"ok", "degraded"}
SINGLE = ("server", "redis", "locust")
"""Roles whose work is done by one thread, so that one processor is all they can use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that was measured.

    name: of the profile.
    usage: the resources in use, every second.
    mismatches: what server and users counted differently.
    started: when the first request was sent, in Unix seconds.
    cores: number of processors of the machine.
    setup: how the run was made, for the report.
    """

    name: str
    profile: Profile
    results: Results
    usage: Sequence[ResourceSample]
    mismatches: Sequence[Mismatch]
    started: float
    cores: int
    setup: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """The time from the start to the last answer."""
        return max((one.began + one.ms / 1000 - self.started for one in self.results.samples), default=0.0)


def summarize(run: Run) -> dict[str, Any]:
    """The JSON of a report; `passed`, and the `reasons` where that is false."""
    samples = run.results.samples
    reasons = _reasons(run)
    stages = [_stage(run, number, begin, end) for number, (begin, end) in enumerate(run.profile.spans())]
    return {
        "profile": run.name,
        "passed": not reasons,
        "reasons": reasons,
        "seconds": run.seconds,
        "deadline_ms": run.profile.deadline_ms,
        "requests": len(samples),
        "verdicts": dict(Counter(sample.verdict for sample in samples)),
        "endpoints": _endpoints(samples, run.seconds),
        "stages": stages,
        "capacity": _capacity(stages, run),
        "memory": _memory(run.usage),
        "faults": run.results.faults,
        "rules": dict(run.results.rules),
        "codes": dict(run.results.codes),
        "errors": run.results.errors,
        "counters": {"agree": not run.mismatches, "mismatches": [asdict(one) for one in run.mismatches]},
        "processes": [asdict(sample) for sample in run.usage],
        "setup": run.setup,
    }


def _reasons(run: Run) -> list[str]:
    verdicts = Counter(sample.verdict for sample in run.results.samples)
    reasons = []
    if not run.results.samples:
        reasons.append("nothing was asked")
    if verdicts["wrong"]:
        rules = ", ".join(f"{rule} ({number})" for rule, number in run.results.rules.most_common())
        reasons.append(f"{verdicts['wrong']} wrong answers: {rules}")
    if verdicts["failed"]:
        reasons.append(f"{verdicts['failed']} requests failed")
    if verdicts["late"] and not run.profile.overloads:
        reasons.append(f"{verdicts['late']} answers came too late")
    if run.mismatches:
        reasons.append(f"the server counted {len(run.mismatches)} things otherwise than the client")
    if run.results.errors:
        reasons.append(f"the test itself failed {len(run.results.errors)} times")
    return reasons


def _endpoints(samples: Sequence[Sample], seconds: float) -> list[dict[str, Any]]:
    """A row for every method and route, and one for all; latencies are of answered requests."""
    groups: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        groups[f"{sample.method} {sample.route}"].append(sample)
    rows = [{"endpoint": name} | _figures(group, seconds) for name, group in sorted(groups.items())]
    return [*rows, {"endpoint": "all"} | _figures(samples, seconds)]


def _figures(samples: Sequence[Sample], seconds: float) -> dict[str, Any]:
    answered = [sample.ms for sample in samples if sample.verdict in ANSWERED]
    p50, p95, p99 = np.percentile(answered, (50, 95, 99)).tolist() if answered else (None, None, None)
    verdicts = Counter(sample.verdict for sample in samples)
    return {
        "requests": len(samples),
        "answers_per_second": len(answered) / seconds if answered else 0.0,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        **{name: verdicts[name] for name in ("degraded", "refused", "late", "wrong", "failed")},
    }


def _stage(run: Run, number: int, begin: float, end: float) -> dict[str, Any]:
    stage = run.profile.stages[number]
    begin, end = run.started + begin, run.started + end
    settled = begin + min(stage.users / stage.per_second, stage.seconds / 2)
    samples = [sample for sample in run.results.samples if settled <= sample.began < end]
    usage = [sample for sample in run.usage if settled <= sample.at < end]
    roles = sorted({role for sample in usage for role in sample.cores})
    return {
        "users": stage.users,
        **_figures(samples, end - settled),
        "cores": {role: float(np.mean([sample.cores.get(role, 0.0) for sample in usage])) for role in roles},
        "machine": float(np.mean([sample.machine for sample in usage])) if usage else None,
    }


def _capacity(stages: Sequence[dict[str, Any]], run: Run) -> dict[str, Any] | None:
    """The highest throughput of a stage whose p99 is under the deadline; None where no stage met it.

    `saturated` names what the stage with the next larger number of users used up, or this stage where it was the
    largest.
    """
    met = [n for n, stage in enumerate(stages) if (stage["p99_ms"] or np.inf) <= run.profile.deadline_ms]
    if not met:
        return None
    best = max(met, key=lambda number: float(stages[number]["answers_per_second"]))
    beyond = next((stage for stage in stages if stage["users"] > stages[best]["users"]), stages[best])
    return {
        "answers_per_second": stages[best]["answers_per_second"],
        "p99_ms": stages[best]["p99_ms"],
        "users": stages[best]["users"],
        "saturated": _saturated(beyond, run.cores),
    }


def _saturated(stage: dict[str, Any], cores: int) -> list[str]:
    """The roles, or all processors, that a stage used up."""
    alone = [role for role in SINGLE if stage["cores"].get(role, 0.0) >= SATURATED]
    if stage["machine"] is None or stage["machine"] < SATURATED * cores:
        return alone
    ours = sum(stage["cores"].values()) >= stage["machine"] / 2
    return [*alone, "all processors" if ours else "all processors, most of it by other programs: measure again"]


def _memory(usage: Sequence[ResourceSample]) -> dict[str, dict[str, float | None]]:
    """MiB by role: in the first and the last sample, at most, and the growth per hour in the second half of a long run.

    The growth is the Theil-Sen slope, the median of the slopes between all pairs of samples. A second engine, which
    runs for the third of the time that a change of models takes, would distort a least-squares line and leaves this
    one alone.
    """
    figures: dict[str, dict[str, float | None]] = {}
    for role in sorted({role for sample in usage for role in sample.mib}):
        seen = [(sample.at, sample.mib[role]) for sample in usage if role in sample.mib]
        half = np.array(seen[len(seen) // 2 :])
        long_enough = half[-1, 0] - half[0, 0] >= GROWTH_SECONDS
        slope = float(theilslopes(half[:, 1], half[:, 0] - half[0, 0]).slope) if long_enough else None
        figures[role] = {
            "first": seen[0][1],
            "last": seen[-1][1],
            "most": max(mib for _, mib in seen),
            "mib_per_hour": None if slope is None else slope * 3600,
        }
    return figures
