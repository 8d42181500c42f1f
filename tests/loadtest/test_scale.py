"""The log of the measurement is prepared as it is read, and a difference is an error."""

from pathlib import Path

import numpy as np
import pytest

from loadtest import scale
from loadtest.measure.errors import LoadtestError


def test_the_log_is_prepared_as_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale, "PIECE", 1_000)
    scale.write_log(tmp_path, 2_500, 40, seed=1)
    scale._prepare(tmp_path, 0.5)
    scale._split(tmp_path)
    scale.compared(tmp_path)
    times = np.memmap(tmp_path / "full" / "times.i64", np.int64, "r+")
    times[0] -= 1
    times.flush()
    with pytest.raises(LoadtestError, match="differ"):
        scale.compared(tmp_path)
