"""The benchmark of suggestions, run small."""

import json
from pathlib import Path

from loadtest import suggest


def test_a_small_shop_is_measured(tmp_path: Path, capsys):
    suggest.main(["--items", "300", "--json", str(tmp_path / "suggest.json"), "--rounds", "5"])
    (row,) = json.loads((tmp_path / "suggest.json").read_text())["rows"]
    assert (row["items"], row["queries"]) == (300, 300)
    for name in ("typing", "filtered", "nothing_typed", "event"):
        assert 0 < row[f"{name}_p50_ms"] <= row[f"{name}_p99_ms"]
        assert 0 < row[f"{name}_cpu_p50_ms"] <= row[f"{name}_cpu_p99_ms"]
    assert "suggestions, milliseconds" in capsys.readouterr().out
