"""The command at a small size: every promised key is there and means something."""

import json
import math

import pytest
import torch

from catalog.ids.index import ItemIndex
from loadtest.index.__main__ import main
from loadtest.index.figures import DEPTH, SIZE
from loadtest.synthetic.codes import zipf_codes


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "index.json"
    threads = torch.get_num_threads()
    assert main(["--items", "3000", "--turns", "3", "--threads", "1", "--seed", "5", "--json", str(path)]) == 0
    torch.set_num_threads(threads)
    return json.loads(path.read_text())


@pytest.mark.parametrize("catalog", ["skewed", "even"])
def test_every_figure_is_a_positive_number(report, catalog):
    figures = report if catalog == "skewed" else report["even"]
    for key in ("build_s", "bytes_per_item", "load_ms", "filter_compile_ms", "step_ms", "step_ms_1600", "step_ms_512"):
        assert figures[key] > 0
        assert math.isfinite(figures[key])
    assert set(figures["filter_ms"]) == {"unfiltered", "1.0", "0.1", "0.01", "0.0001"}
    assert min(figures["filter_ms"].values()) > 0
    for opponent in ("dict_trie", "padded_csr"):
        for key in ("build_s", "bytes_per_item", "step_ms"):
            assert figures["opponents"][opponent][key] > 0
    assert figures["opponents"]["padded_csr"]["step_ms_1600"] > 0


def test_a_step_is_the_mean_of_its_levels_and_names_the_hardest(report):
    for part in (report, report["even"], *report["opponents"].values()):
        medians = {int(level): spread["median"] for level, spread in part["step_ms_by_level"].items()}
        assert sorted(medians) == [1, 2, 3]
        assert part["step_ms"] == pytest.approx(sum(medians.values()) / 3)
        hardest = part["step_ms_hardest"]
        assert hardest["ms"] == medians[hardest["level"]] == max(medians.values())
        assert part["spread"]["step_ms"]["p10"] <= part["step_ms"] * (1 + 1e-9)


def test_bytes_are_those_of_the_index(report):
    index, _ = ItemIndex.build(zipf_codes(3000, DEPTH, SIZE, 5), [SIZE] * DEPTH)
    assert report["bytes_per_item"] == pytest.approx(index.nbytes / 3000)
    assert report["opponents"]["dict_trie"]["bytes_per_item"] > report["bytes_per_item"]


def test_the_machine_is_written_down(report):
    machine = report["machine"]
    assert machine["cores"] >= 1
    assert machine["threads"] == 1
    assert machine["torch"] == torch.__version__
    assert machine["cpu"]
