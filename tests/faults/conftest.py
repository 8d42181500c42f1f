"""What breaks a running system, tried on real processes. docs/reliability.md names the test of every fault."""

import json
import os
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from loadtest.measure.machine import Machine
from tests.support.trained import Trained

FIGURES = "FAULTS_JSON"


@pytest.fixture(scope="session")
def published(trained: Trained) -> Path:
    """A folder of two bundles of one catalog, trained for seconds; the older one is current. Copy it to change it."""
    return trained.folder(*(("training.dropout=0", f"seed={seed}") for seed in (0, 1)))


@pytest.fixture
def keep(request: pytest.FixtureRequest) -> Callable[..., None]:
    """`keep(seconds=1.2)`: what this test measured goes into the file that $FAULTS_JSON names, if it does.

    No test asserts such a figure; docs/measurements/faults.json has the last ones.
    """

    def keep(**figures: float) -> None:
        if FIGURES in os.environ:
            path = Path(os.environ[FIGURES])
            known = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"tests": {}}
            name = request.node.nodeid.removeprefix("tests/faults/")
            tests = known["tests"] | {name: {what: round(figure, 3) for what, figure in figures.items()}}
            report = {"machine": asdict(Machine.here()), "tests": dict(sorted(tests.items()))}
            path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

    return keep
