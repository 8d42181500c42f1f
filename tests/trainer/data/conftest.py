"""What `trainer/run.py` reads before it trains, without the training."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from catalog.data.events import write_events
from tests.support import world
from trainer import pipeline
from trainer import run as program
from trainer.runtime.prepare import TrainingData
from trainer.runtime.workspace import Workspace

Train = Callable[..., TrainingData]


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return world.write_world(tmp_path / "data")


@pytest.fixture
def train(files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Train:
    """What `trainer/run.py` would train on with these arguments, up to the first step."""

    def prepared_by(*arguments: str | Path) -> TrainingData:
        prepared: list[TrainingData] = []

        def stop_here(_: Workspace, given: TrainingData, *others: Any) -> Path:
            prepared.append(given)
            return tmp_path

        monkeypatch.setattr(pipeline, "_train_and_publish", stop_here)
        command = ["--items", files[0], "--out", tmp_path / "bundles", *arguments, *world.TINY]
        assert program.main([str(word) for word in command]) == 0
        return prepared[0]

    return prepared_by


def part(file: Path, *users: str, **columns: object) -> Path:
    """A file of the events of some users, with further columns that have one value."""
    events = world.event_table()
    events = events.filter(pa.compute.is_in(events["user_id"], pa.array(users)))
    for name, value in columns.items():
        events = events.append_column(name, pa.array([value] * len(events)))
    write_events(events, file)
    return file
