"""A part that is really run: a data set is imported, a model trained, and its report becomes a table."""

from pathlib import Path

import pytest
import yaml

from loadtest.measure.results.made import read_measurement
from loadtest.measure.results.parts import DataSet, quality_part
from loadtest.measure.results.runner import Places, Runner
from loadtest.measure.results.tables.quality import METHODS, quality
from tests.support import world
from tests.support.paths import ROOT
from trainer.config.recipe import load_recipe


@pytest.mark.slow
def test_a_trained_bundle_becomes_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    world.write_world(tmp_path / "data/tiny")
    recipe = tmp_path / "tiny.yaml"
    recipe.write_text(yaml.safe_dump(load_recipe("small", list(world.TINY)).model_dump(mode="json")))
    part = quality_part(DataSet("tiny", "jsonl", str(recipe), "tiny"))
    runner = Runner(Places(ROOT, tmp_path / "data", tmp_path / "var", tmp_path / "measurements"))
    assert not runner.is_current(part)
    runner.run(part)
    assert runner.is_current(part)
    report = read_measurement(tmp_path / "measurements/quality-tiny.json")
    data, out = tmp_path / "var/data/tiny", tmp_path / "var/bundles/tiny"
    files = f"--items {data}/items.parquet --events {data}/events.parquet"
    assert report["made"]["steps"] == [
        f"python trainer/run.py {files} --out {out} --recipe {recipe} training.minutes=60"
    ]
    table = quality(report)
    assert all(f"| {name} |" in table for name in METHODS.values())
    assert "**" not in table, "all questions are few"
    next(iter((tmp_path / "data/tiny").iterdir())).touch()
    assert runner.is_current(part), "a new time is no new data"
    (tmp_path / "data/tiny/more").write_text("more")
    assert not runner.is_current(part)
