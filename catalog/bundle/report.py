"""What a bundle says of itself without being opened: its manifest, the figures of its report, its golden queries."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from catalog.bundle.golden import GoldenQueries
from catalog.bundle.manifest import MANIFEST, Manifest, read_manifest
from catalog.errors import BundleError

__all__ = ["FACTS", "BundleFacts", "Measures", "Report", "read_facts"]

REPORT, GOLDEN = "report.json", "catalog/golden.json"
FACTS = (REPORT, GOLDEN)
"""The files beside the manifest that `read_facts` reads, where they are there."""


@dataclass(frozen=True, slots=True)
class Measures:
    """How one ranker answered the held-out questions of a task.

    questions: how many there were.
    values: by measure and cutoff, such as `ndcg@10`.
    intervals: of these, by bootstrap, at 95%.
    """

    questions: int
    values: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Report:
    """The evaluation of a bundle's model beside the baselines.

    tasks: by task and ranker; `model` is the model alone, `prior` what the catalog knows without it, `guided` both.
    """

    protocol: str
    questions: str
    catalog_size: int
    beam_width: int
    exclude_seen: bool
    tasks: Mapping[str, Mapping[str, Measures]]


@dataclass(frozen=True, slots=True)
class BundleFacts:
    """report, golden: None in bundles that were published without."""

    manifest: Manifest
    report: Report | None
    golden: GoldenQueries | None


def read_facts(bundle: Path) -> BundleFacts:
    """For threads. Raises BundleError that says which file is damaged."""
    manifest = read_manifest(bundle / MANIFEST, verify=True)
    golden = bundle / GOLDEN
    return BundleFacts(
        manifest, _read_report(bundle / REPORT), GoldenQueries.open(golden) if golden.is_file() else None
    )


def _read_report(file: Path) -> Report | None:
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
        return Report(
            protocol=str(found["protocol"]),
            questions=str(found["questions"]),
            catalog_size=int(found["catalog_size"]),
            beam_width=int(found["beam_width"]),
            exclude_seen=bool(found["exclude_seen"]),
            tasks={
                task: {name: _measures(own) for name, own in rankers.items()}
                for task, rankers in found["tasks"].items()
            },
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BundleError(f"{file} is no report of an evaluation ({error!r}): restore it or publish again") from error


def _measures(found: Mapping[str, Any]) -> Measures:
    return Measures(
        questions=int(found["questions"]),
        values={name: float(value) for name, value in found.items() if "@" in name},
        intervals={name: (float(low), float(high)) for name, (low, high) in found.get("intervals", {}).items()},
    )
