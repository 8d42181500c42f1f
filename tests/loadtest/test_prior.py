"""The benchmark of what guides searches, run small."""

import json
from pathlib import Path

from loadtest import prior
from loadtest.measure.results.tables.engine import guidance
from loadtest.synthetic.shop import Shop


def test_a_small_shop_is_measured(tmp_path: Path, capsys):
    prior.main(["--items", "300,400", "--json", str(tmp_path / "prior.json"), "--questions", "30", "--changes", "3"])
    report = json.loads((tmp_path / "prior.json").read_text())
    assert [row["items"] for row in report["rows"]] == [300, 400]
    for row in report["rows"]:
        assert row["quiet_ms"]["p50"] <= row["question_ms"]["p50"]
        assert row.keys() >= {"build_s", "bytes_per_item", "cpu_ms", "search_quiet_ms", "recommendation_quiet_ms"}
        assert set(row["change_ms"]) == {"insert", "replace", "delete"}
        assert set(row["event_ms"]) == {"event", "erasure"}
    assert guidance(report).count("\n") == 3
    assert "what guides searches" in capsys.readouterr().out


def test_a_shop_is_the_same_for_the_same_seed():
    one, same, other = (Shop.of(50, seed) for seed in (1, 1, 2))
    assert one.items.table.equals(same.items.table)
    assert not one.items.table.equals(other.items.table)
    assert (one.learned.transitions_NN != same.learned.transitions_NN).nnz == 0
    kinds = [(query is not None, len(history) > 0) for query, history in one.questions(3, 0)]
    assert kinds == [(True, True), (True, False), (False, True)]
