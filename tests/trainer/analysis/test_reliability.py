"""The picture of relevance, of a report as evaluation writes it."""

import json

import numpy as np
import pytest

from trainer.analysis.reliability import main
from trainer.evaluation.guidance.reliability import Answered, reliability


def figures(seed):
    generator = np.random.default_rng(seed)
    relevance = np.sort(generator.random((200, 10)) ** 3, 1)[:, ::-1]
    right = generator.random((200, 10)) < relevance
    answered = Answered.of([(score_K, 0.0, right_K) for score_K, right_K in zip(relevance, right, strict=True)])
    return reliability(answered.score_A, answered)


def report():
    kinds = {kind: {"test": figures(seed)} for seed, kind in enumerate(("guided", "model"))}
    return {"calibration": {"search": kinds, "recommendation": {"guided": kinds["guided"]}}}


def test_a_bundle_and_its_report_give_the_same_errors_and_a_picture(tmp_path, capsys):
    (tmp_path / "report.json").write_text(json.dumps(report()))
    image = tmp_path / "reliability.png"
    assert main(["--report", str(tmp_path), "--picture", str(image)]) == 0
    said = capsys.readouterr().out
    error = report()["calibration"]["search"]["model"]["test"]["expected_calibration_error"]
    assert f"search, model alone: expected calibration error {error:.4f} of 2000 items" in said
    assert len(said.splitlines()) == 3
    assert image.read_bytes().startswith(b"\x89PNG")
    assert main(["--report", str(tmp_path / "report.json")]) == 0
    assert capsys.readouterr().out == said


def test_a_task_that_nothing_was_learned_of_has_no_panel(tmp_path, capsys):
    own = report()
    own["calibration"]["recommendation"] = {}
    (tmp_path / "report.json").write_text(json.dumps(own))
    assert main(["--report", str(tmp_path), "--picture", str(tmp_path / "a.png")]) == 0
    assert "recommendation" not in capsys.readouterr().out


@pytest.mark.parametrize("content", [{}, {"calibration": {}}, {"calibration": {"search": {}}}], ids=str)
def test_a_report_without_any_is_explained(tmp_path, capsys, content):
    (tmp_path / "report.json").write_text(json.dumps(content))
    assert main(["--report", str(tmp_path), "--picture", str(tmp_path / "a.png")]) == 2
    assert "the report has no calibration" in capsys.readouterr().err
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("content", [None, "", "{"])
def test_a_report_that_is_none_is_named(tmp_path, capsys, content):
    if content is not None:
        (tmp_path / "report.json").write_text(content)
    assert main(["--report", str(tmp_path / "report.json")]) == 2
    assert "report.json cannot be read" in capsys.readouterr().err
