"""What a run says: throughput, latencies, faults and resources, and whether it passed."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.stats import theilslopes

from loadtest.locust.counters import Mismatch
from loadtest.locust.processes import Look
from loadtest.locust.profiles import Profile
from loadtest.locust.record import Record, Sample

__all__ = ["Run", "summarize"]

SATURATED = 0.9
"""Of a processor, or of all of them."""
GROWTH_SECONDS = 60.0
"""That the second half of a run must take for the growth of memory to mean something."""
ANSWERED = {"ok", "degraded"}
SINGLE = ("server", "redis", "locust")
"""Roles whose work is done by one thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything that was seen. started: Unix seconds. cores: that the machine has."""

    name: str
    profile: Profile
    record: Record
    looks: Sequence[Look]
    mismatches: Sequence[Mismatch]
    started: float
    cores: int
    setup: dict[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the start to the last answer."""
        return max((one.began + one.ms / 1000 - self.started for one in self.record.samples), default=0.0)


def summarize(run: Run) -> dict[str, Any]:
    """The JSON of a report; `passed`, and `reasons` where it is false."""
    samples = run.record.samples
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
        "memory": _memory(run.looks),
        "faults": run.record.faults,
        "rules": dict(run.record.rules),
        "codes": dict(run.record.codes),
        "errors": run.record.errors,
        "counters": {"agree": not run.mismatches, "mismatches": [asdict(one) for one in run.mismatches]},
        "processes": [asdict(look) for look in run.looks],
        "setup": run.setup,
    }


def _reasons(run: Run) -> list[str]:
    verdicts = Counter(sample.verdict for sample in run.record.samples)
    reasons = []
    if not run.record.samples:
        reasons.append("nothing was asked")
    if verdicts["wrong"]:
        rules = ", ".join(f"{rule} ({number})" for rule, number in run.record.rules.most_common())
        reasons.append(f"{verdicts['wrong']} wrong answers: {rules}")
    if verdicts["failed"]:
        reasons.append(f"{verdicts['failed']} requests failed")
    if verdicts["late"] and not run.profile.overloads:
        reasons.append(f"{verdicts['late']} answers came too late")
    if run.mismatches:
        reasons.append(f"the server counted {len(run.mismatches)} things otherwise than the client")
    if run.record.errors:
        reasons.append(f"the suite itself failed {len(run.record.errors)} times")
    return reasons


def _endpoints(samples: Sequence[Sample], seconds: float) -> list[dict[str, Any]]:
    """A row for every method and route, and one for all; latencies of what was answered."""
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
    samples = [sample for sample in run.record.samples if settled <= sample.began < end]
    looks = [look for look in run.looks if settled <= look.at < end]
    roles = sorted({role for look in looks for role in look.cores})
    return {
        "users": stage.users,
        **_figures(samples, end - settled),
        "cores": {role: float(np.mean([look.cores.get(role, 0.0) for look in looks])) for role in roles},
        "machine": float(np.mean([look.machine for look in looks])) if looks else None,
    }


def _capacity(stages: Sequence[dict[str, Any]], run: Run) -> dict[str, Any] | None:
    """The highest throughput of a stage whose p99 is under the deadline, and what was used up by the next larger crowd,
    or by this one where there was none; None where no stage met the deadline."""
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
    """What has nothing left to give in a stage."""
    alone = [role for role in SINGLE if stage["cores"].get(role, 0.0) >= SATURATED]
    if stage["machine"] is None or stage["machine"] < SATURATED * cores:
        return alone
    ours = sum(stage["cores"].values()) >= stage["machine"] / 2
    return [*alone, "all processors" if ours else "all processors, most of it by other programs: measure again"]


def _memory(looks: Sequence[Look]) -> dict[str, dict[str, float | None]]:
    """MiB by role: at the first and the last look, at most, and how fast it grew in the second half of a longer run.

    The growth is Theil's and Sen's: half of all pairs of looks say more. A second engine, there for the third of the
    time that a change of models takes, would bend a line of least squares, and does not bend this one.
    """
    figures: dict[str, dict[str, float | None]] = {}
    for role in sorted({role for look in looks for role in look.mib}):
        seen = [(look.at, look.mib[role]) for look in looks if role in look.mib]
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
