"""Two bundles on the same questions."""

import json

import numpy as np
import pyarrow as pa
import pytest

from catalog.data.events import write_events
from tests.support import world
from trainer.core.errors import TrainerError
from trainer.data.prepared import choice
from trainer.evaluation.bundle import bundle_settings, evaluate_bundle, held_out
from trainer.evaluation.compare import Compared, compare, main
from trainer.evaluation.confidence import mean_estimate
from trainer.evaluation.table import table


@pytest.fixture(scope="module")
def files(trained):
    return trained.files()


@pytest.fixture(scope="module")
def poor(trained):
    return trained.bundle()


@pytest.fixture(scope="module")
def good(trained):
    return trained.bundle(*world.LEARNING)


def test_a_model_that_learned_more_is_better_on_the_same_questions(poor, good, files):
    compared = compare(poor, good, [files[1]], "recall@5")
    assert set(compared) == {"search", "recommendation"}
    for task, figures in compared.items():
        report = json.loads((good.path / "report.json").read_text())["tasks"][task]["model"]
        assert figures.questions == report["questions"]
        assert figures.new == pytest.approx(report["recall@5"], abs=1e-6), "asked as training asked"
        assert figures.difference.value == pytest.approx(figures.new - figures.old)
    assert compared["recommendation"].difference.low > 0
    assert not compare(good, poor, [files[1]], "recall@5")["recommendation"].not_worse(0.02)


def test_exit_status_table_and_figures(poor, good, files, tmp_path, capsys):
    common = ["--events", str(files[1]), "--metric", "recall@5", "--json", str(tmp_path / "figures.json")]
    assert main(["--old", str(good.path), "--new", str(poor.path), *common]) == 3
    assert "may be worse by more than 0.02" in capsys.readouterr().out
    assert main(["--old", str(good.path), "--new", str(good.path), *common]) == 0
    assert f"{good.version} is not worse than {good.version}" in capsys.readouterr().out
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["not_worse"] is True
    assert figures["tasks"]["search"]["difference"] == {"value": 0, "low": 0, "high": 0}


def test_events_without_a_held_out_question_are_refused(poor, good, tmp_path):
    write_events(world.event_table().slice(0, 1), tmp_path / "few.parquet")
    with pytest.raises(TrainerError, match="no held-out question in common"):
        compare(poor, good, [tmp_path / "few.parquet"], "ndcg@10")
    assert main(["--old", str(poor.path), "--new", str(good.path), "--events", str(tmp_path / "few.parquet")]) == 2


def test_of_more_questions_than_may_be_asked_those_of_some_users_are(poor, good, files, monkeypatch):
    every = compare(poor, good, [files[1]], "recall@5")
    recipe = bundle_settings(good).model_copy(
        update={"max_questions": sum(one.questions for one in every.values()) // 2}
    )
    monkeypatch.setattr("trainer.evaluation.bundle.bundle_settings", lambda bundle: recipe)
    some = compare(poor, good, [files[1]], "recall@5")
    assert all(0 < some[task].questions < every[task].questions for task in every)
    assert some == compare(poor, good, [files[1]], "recall@5")


def test_a_report_of_many_questions_asks_a_sample_and_says_so(poor, files):
    recipe = bundle_settings(poor).model_copy(update={"max_questions": 7, "questions": "validation"})
    report = evaluate_bundle(poor, [files[1]], recipe, "full", seed=0)
    assert [methods["model"]["questions"] for methods in report["tasks"].values()] == [7, 7]
    validation = held_out(poor, [files[1]], recipe)[0].validation
    assert report["held_out"] == len(validation) > 14
    assert f"drawn from {len(validation)} held-out questions" in table(report)


def test_more_events_than_memory_holds_hold_out_the_same(good, tmp_path, monkeypatch):
    events = world.event_table(10)
    strange = [f"gone-{i}" if i % 6 == 0 else item for i, item in enumerate(events["item_id"].to_pylist())]
    write_events(events.set_column(1, "item_id", pa.array(strange)), tmp_path / "events.parquet")
    asked = good, [tmp_path / "events.parquet"], bundle_settings(good)
    read, counts = held_out(*asked)
    monkeypatch.setattr(choice, "MAX_IN_MEMORY", 10)
    prepared, same = held_out(*asked)
    assert isinstance(prepared.train.items_E, np.memmap)
    assert counts == same == {"read": 60, "unknown_items": 10}
    assert list(prepared.test) == list(read.test)
    assert len(read.test) > 0


@pytest.mark.parametrize(
    ("changes", "tolerance", "expected"),
    [
        ([0.0] * 50, 0.01, True),
        ([0.0] * 50, 0.0, False),
        ([0.1] * 50, 0.0, True),
        ([-0.1] * 50, 0.02, False),
        ([1.0, -1.0] * 25, 0.02, False),
    ],
)
def test_the_rule(changes, tolerance, expected):
    difference = mean_estimate(np.array(changes))
    assert Compared(50, 0.5, 0.5, difference).not_worse(tolerance) is expected
