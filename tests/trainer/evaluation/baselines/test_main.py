"""The command that measures the baselines alone."""

import json
import subprocess
import sys

import pytest

from catalog.data.events import write_events
from tests.support import world
from trainer.evaluation.baselines.__main__ import main


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return world.write_world(tmp_path_factory.mktemp("world"))


def arguments(files):
    return ["--items", str(files[0]), "--events", str(files[1])]


@pytest.mark.parametrize("split", ["leave_one_out", "time_cut"])
def test_it_writes_and_prints_every_baseline(files, split, tmp_path, capsys):
    assert main([*arguments(files), "--split", split, "--json", str(tmp_path / "out.json")]) == 0
    result = json.loads((tmp_path / "out.json").read_text())
    assert (result["protocol"], result["catalog_size"], result["users"]) == (f"{split}/full", 30, 40)
    shown = capsys.readouterr().out
    for task, baselines in result["baselines"].items():
        assert set(baselines) == set(result["tasks"][task])
        for name in baselines:
            assert f"{task:15}{name}" in shown
            assert result["tasks"][task][name]["questions"] > 0


def test_events_without_a_question_are_explained(files, tmp_path, capsys):
    write_events(world.event_table(3).slice(0, 2), tmp_path / "few.parquet")
    assert main(arguments((files[0], tmp_path / "few.parquet"))) == 2
    assert "holds out no question" in capsys.readouterr().err


def test_it_takes_no_torch():
    code = "import sys, trainer.evaluation.baselines.__main__; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
