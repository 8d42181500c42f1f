"""Checkpoints of published sizes, made, trained, published and served here."""

import json
import math

import psutil
import pytest

from catalog.data.events import read_events
from catalog.data.items import Items, read_items
from loadtest.synthetic.qwen import QWEN_SHAPES
from loadtest.training.real_size.__main__ import STEPS, main
from loadtest.training.real_size.checkpoints import make_data
from tests.support.paths import SHARED

GIB = 1 << 30

needs_memory = pytest.mark.skipif(psutil.virtual_memory().available < 14 * GIB, reason="takes 12 GiB")
needs_data = pytest.mark.skipif(not (SHARED / "tokenizers").is_dir(), reason=f"{SHARED} is not here")


def report_of(model, tmp_path, *options):
    file = tmp_path / "report.json"
    folder = tmp_path / "work"
    assert main(["--model", model, "--json", str(file), "--data", str(SHARED), "--keep", str(folder), *options]) == 0
    report = json.loads(file.read_text())
    steps = report["bundle"]["steps"]
    assert len(steps) == STEPS
    assert all(math.isfinite(loss) for step in steps for loss in step["losses"].values())
    assert all(0 < stage["peak_bytes"] < 12 * GIB for stage in report["stages"].values())
    return report


def test_the_data_are_sound(tmp_path):
    items, events = make_data(tmp_path)
    catalog = Items(read_items(items))
    assert len(catalog) == 48
    table, found = read_events(events)
    assert not found.broken
    assert set(table["item_id"].to_pylist()) <= set(catalog.table["item_id"].to_pylist())
    assert 0 < table["query"].null_count < len(table)


def test_the_shape_is_the_published_one():
    shape = QWEN_SHAPES["qwen2.5-0.5b"]
    sizes = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads")
    assert [shape[size] for size in sizes] == [896, 4864, 24, 14, 2]
    assert (shape["vocab_size"], shape["tie_word_embeddings"]) == (151_936, True)


@needs_data
@pytest.mark.slow
@pytest.mark.large
def test_a_small_checkpoint_goes_through_the_stages(tmp_path):
    report = report_of("qwen2.5-tiny", tmp_path, "--no-serve")
    assert list(report["stages"]) == ["checkpoint", "train and publish"]
    assert report["bundle"]["dtype"] == "bfloat16"


@needs_data
@needs_memory
@pytest.mark.slow
@pytest.mark.large
@pytest.mark.integration
@pytest.mark.timeout(2400)
@pytest.mark.parametrize(("model", "engine"), [("qwen2.5-0.5b", "vllm"), ("t5-base", "transformers")])
def test_a_checkpoint_of_a_published_size_is_trained_and_answers(model, engine, tmp_path):
    report = report_of(model, tmp_path)
    assert report["bundle"]["engine"] == engine
    assert len(set(report["answer"]["items"])) == 10
    assert report["answer"]["items"][0].startswith("i")
