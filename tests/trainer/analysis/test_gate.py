import json

import numpy as np
import pytest

from trainer.analysis.gate import gate_series, main, running_mean
from trainer.core.errors import TrainerError
from trainer.runtime.step_log import FILE_NAME, StepLog, StepRecord


@pytest.fixture
def bundle(tmp_path):
    with StepLog(tmp_path / FILE_NAME) as record:
        for step in range(40):
            losses = {"recommendation": 5.0 - step / 20} | ({"search": 4.0} if step % 2 else {})
            record.add(StepRecord(step, losses, {"α_s": 0.5 + step / 100, "α_r": 0.5 - step / 100}))
    return tmp_path


def test_a_bundle_and_its_record_give_the_same_values_and_a_picture(bundle, capsys):
    out, image = bundle / "gate.json", bundle / "gate.png"
    assert main(["--log", str(bundle), "--json", str(out), "--picture", str(image)]) == 0
    series = json.loads(out.read_text())
    assert series["steps"] == list(range(40))
    assert series["gates"]["search"][39] == pytest.approx(0.89)
    assert series["losses"]["search"][:2] == [None, 4.0]
    assert "search: 0.500 at step 0, 0.890 at step 39" in capsys.readouterr().out
    assert image.read_bytes().startswith(b"\x89PNG")
    assert main(["--log", str(bundle / FILE_NAME)]) == 0
    assert "search: 0.500 at step 0" in capsys.readouterr().out


def test_a_run_without_gates_is_explained(tmp_path, capsys):
    with pytest.raises(TrainerError, match="no step of the log has gates"):
        gate_series([StepRecord(0, {"search": 1.0}, {})])
    assert main(["--log", str(tmp_path / "none")]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("width", [1, 3, 100])
def test_a_running_mean_skips_what_is_missing(width):
    value_N = np.array([np.nan, 1.0, 2.0, np.nan, 6.0, np.nan, np.nan, np.nan, 3.0])
    expected = [np.nan] * len(value_N)
    for at in range(len(value_N)):
        known = [value for value in value_N[max(0, at - width + 1) : at + 1] if not np.isnan(value)]
        if known:
            expected[at] = sum(known) / len(known)
    np.testing.assert_allclose(running_mean(value_N, width), expected)
