"""The benchmark of a GPU, small and on a processor."""

import json

import numpy as np
import pytest
import torch

from loadtest.gpu import exactness_part, search_part, training_part
from loadtest.gpu.__main__ import main, parse
from loadtest.gpu.card import Speed
from loadtest.gpu.journal import Journal, fault_of
from loadtest.gpu.parts import MINUTES
from loadtest.gpu.roofline import Roofline, published_for
from loadtest.measure.errors import LoadtestError
from loadtest.measure.timing import time_once
from loadtest.synthetic.qwen import QWEN_SHAPES, large_tokenizer, random_qwen, text_entries
from loadtest.training.__main__ import Costs
from loadtest.training.method_process import make_step


@pytest.fixture
def journal(tmp_path):
    return Journal(tmp_path / "part.json", "part", "cpu", 300.0, {})


def rows_of(module, journal):
    report = journal.finish() | {"setup": module.setup_of(module.SMALL)}
    module.show(report)
    assert module.is_right(report)
    return report["rows"]


def test_searches_are_exact(journal, capsys):
    exactness_part.run(exactness_part.SMALL, "cpu", journal)
    rows = rows_of(exactness_part, journal)
    assert {row["model"].partition(",")[0] for row in rows} == {"qwen3", "qwen2", "t5"}
    assert {row["restriction"] for row in rows} == {"none", "deny", "allow", "filter", "all"}
    assert all(row["score_difference"] < 1e-4 for row in rows)
    assert ": exact" in capsys.readouterr().out


def test_a_search_that_gives_other_items_is_not_exact(journal, monkeypatch):
    answers = exactness_part._answers

    def swapped(ranker, prompts, width, limits, *, compiled):
        found = answers(ranker, prompts, width, limits, compiled=compiled)
        return exactness_part.Answers([row + 1 for row in found.leaves], found.scores) if compiled else found

    monkeypatch.setattr(exactness_part, "_answers", swapped)
    exactness_part.run(exactness_part.ExactnessSizes(300, 2, 32, (5,)), "cpu", journal)
    rows = journal.finish()["rows"]
    assert rows
    assert not any(row["same_items"] for row in rows if "compiled" in row["model"])
    assert not exactness_part.is_right({"rows": rows})


def test_the_last_items_may_differ_where_they_tie():
    def answers(leaves, scores):
        return exactness_part.Answers([np.array(leaves)], [np.array(scores, np.float32)])

    wanted = answers([4, 7, 9], [-1.0, -2.0, -3.0])
    assert exactness_part._same_but_ties(wanted, answers([7, 4, 8], [-1.0, -2.0, -3.00001]))
    assert not exactness_part._same_but_ties(wanted, answers([4, 8, 9], [-1.0, -2.0, -3.0]))


def test_searches_are_timed_beside_their_roofline(journal, capsys):
    search_part.run(search_part.SMALL, "cpu", journal)
    rows = rows_of(search_part, journal)
    assert len(rows) == 8
    assert all(row["found"] == row["beam"] and row["ms"] > row["prefill_ms"] / 5 for row in rows)
    single = [row for row in rows if row["requests"] == 1]
    assert all(row["times_roofline"] == row["ms"] / row["roofline_ms"] for row in single)
    assert "2,000 items" in capsys.readouterr().out


def test_a_step_of_every_method_is_measured(journal, monkeypatch):
    def measure_here(names, setup, threads, steps, end):
        """In this process; the slow test of the command has one for every method."""
        (name,) = names
        step = make_step(name, setup)
        return {name: Costs(0.1, [time_once(step)], [0.1], 1)}

    monkeypatch.setattr(training_part, "measure", measure_here)
    training_part.run(training_part.SMALL, "cpu", journal)
    rows = {row["method"]: row for row in rows_of(training_part, journal)}
    assert set(rows) == {"gems", "adamw", "lora", "released"}
    assert all(row["shape"] == "qwen2.5-tiny" and row["step_s"] > 0 and row["peak_bytes"] > 0 for row in rows.values())


def test_what_fails_is_a_row_and_the_next_case_runs(journal, monkeypatch):
    figures = search_part._figures

    def fails(ranker, model, prompts, beam, device, repeats):
        if beam == 5:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return figures(ranker, model, prompts, beam, device, repeats)

    monkeypatch.setattr(search_part, "_figures", fails)
    search_part.run(search_part.SMALL, "cpu", journal)
    rows = rows_of(search_part, journal)
    assert [row.get("error") for row in rows if row["beam"] == 5] == ["out of memory"] * 4
    assert all(row["found"] == 10 for row in rows if row["beam"] == 10)


def test_no_case_begins_when_the_time_is_over(tmp_path):
    late = Journal(tmp_path / "part.json", "search", "cpu", -1.0, {})
    search_part.run(search_part.SMALL, "cpu", late)
    assert {row["error"] for row in late.finish()["rows"]} == {"no time was left"}


def test_a_report_holds_every_row_while_its_part_runs(journal, tmp_path):
    journal.add(case=1)
    report = json.loads((tmp_path / "part.json").read_text())
    assert report["state"] == "running"
    assert report["rows"] == [{"case": 1}]
    assert report["machine"]["torch"] == torch.__version__
    assert report["card"]["name"] == "cpu"


def test_a_method_that_fails_is_a_row(journal, monkeypatch):
    def measure_nothing(names, *sizes):
        raise LoadtestError(f"{names[0]} failed:\n  …\ntorch.OutOfMemoryError: CUDA out of memory.")

    monkeypatch.setattr(training_part, "measure", measure_nothing)
    training_part.run(training_part.SMALL, "cpu", journal)
    rows = rows_of(training_part, journal)
    assert [row["error"] for row in rows] == ["out of memory"] * 4
    assert "gems failed" in rows[0]["details"]


def test_faults_are_named():
    assert fault_of(RuntimeError("...\ntorch.OutOfMemoryError: CUDA out of memory.")) == "out of memory"
    assert fault_of(ValueError("one\ntwo")) == "ValueError: two"
    assert fault_of(LoadtestError("lora failed:\nValueError: two")) == "ValueError: two"


def test_the_roofline_is_the_longer_of_bytes_and_operations():
    model = random_qwen("qwen3-tiny")
    config = model.config
    layers = sum(weight.numel() for name, weight in model.named_parameters() if "embed" not in name)
    kv = 2 * config.num_hidden_layers * config.num_key_value_heads * config.head_dim
    slow_memory = Roofline(model, 100, 3, Speed(bandwidth=1.0, flops=1e30))
    read = 3 * (layers + 100 * config.hidden_size) + (20 + (20 + 7) + (20 + 14)) * kv
    assert slow_memory.search(20, 7) == pytest.approx(2 * read)
    slow_products = Roofline(model, 100, 3, Speed(bandwidth=1e30, flops=1.0))
    assert slow_products.search(20, 7) > 2 * layers * (20 + 2 * 7)
    assert slow_products.search(20, 7) == pytest.approx(2 * layers * 34, rel=0.3)


def test_published_figures_name_their_source():
    (nvidia,), (flashrec,) = published_for(1000, 256), published_for(2465, 50)
    assert (nvidia["milliseconds"], flashrec["queries_per_second"]) == (17.611, 28.08)
    assert nvidia["source"].startswith("https://")
    assert flashrec["source"].startswith("https://")
    assert not published_for(300, 50)
    assert {(1000, 256), (2465, 50)} <= {(p, b) for p in search_part.WHOLE.prompts for b in search_part.WHOLE.beams}


def test_all_parts_take_less_than_nine_minutes():
    assert sum(MINUTES.values()) < 9
    assert dict(parse(["--out", "x", "--minutes", "training=4", "search=0.5"]).minutes) == {
        "training": 4,
        "search": 0.5,
    }


@pytest.mark.parametrize("minutes", ["training", "training=0", "training=x", "cooking=3"])
def test_minutes_that_are_none_are_refused(minutes, capsys):
    with pytest.raises(SystemExit):
        parse(["--out", "x", "--minutes", minutes])
    assert "as in training=4" in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_is_said(tmp_path, capsys):
    assert main(["--out", str(tmp_path), "--only", "search", "--seconds", "10"]) == 2
    assert "torch sees no GPU" in capsys.readouterr().err


def test_the_tokenizer_is_byte_level_and_as_large_as_asked():
    tokenizer = large_tokenizer(3000, ["the cat sat on the mat, the cats sat on the mats " * 20])
    assert len(tokenizer) == 3003
    for text in ("The cat's 42 mats – naïve 日本語 \n\t!", "zqxj"):
        assert tokenizer.decode(tokenizer.encode(text)) == text
    assert len(tokenizer.encode(" the")) == 1
    assert text_entries("qwen2.5-0.5b") == 151_643


@pytest.mark.parametrize(
    ("name", "millions"), [("qwen2.5-0.5b", 494), ("qwen2.5-1.5b", 1544), ("qwen2.5-3b", 3086), ("qwen3-1.7b", 1721)]
)
def test_the_shapes_are_as_large_as_published(name, millions):
    with torch.device("meta"):
        model = random_qwen(name, device="meta")
    assert round(sum(weight.numel() for weight in model.parameters()) / 1e6) == millions
    assert len(QWEN_SHAPES[name]) > 6
