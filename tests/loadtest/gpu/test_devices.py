"""Nothing stays on the processor where the model is not; `tests/support/pretended_gpu.py` can tell without a GPU."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from loadtest.gpu import exactness_part, training_part
from loadtest.gpu.card import Card
from loadtest.gpu.journal import Journal
from loadtest.training import method_process
from loadtest.training.setup import make_backbone
from tests.support.pretended_gpu import CLAIMED, MixedDevices, pretended_gpu
from trainer.model.backbone import text_vectors


def test_a_mixture_is_seen():
    with pretended_gpu() as device:
        layer = torch.nn.Linear(4, 3).to(device)
        inputs = torch.randn(5, 4, device=device)
        layer(inputs).square().sum().backward()
        assert layer.weight.grad.device == CLAIMED
        assert layer(inputs).cpu().device.type == "cpu"
        with pytest.raises(MixedDevices, match=r"aten\.add"):
            inputs + torch.ones(4)
        with pytest.raises(MixedDevices):
            layer(torch.randn(5, 4))


@pytest.mark.parametrize("method", training_part.METHODS)
def test_a_step_keeps_to_the_device_of_the_model(method, monkeypatch):
    setup = replace(training_part.SMALL.setup, shape="qwen2.5-tiny")

    def made_and_moved(own):
        backbone = make_backbone(setup)
        backbone.model.to(own.device)
        return backbone

    monkeypatch.setattr(method_process, "make_backbone", made_and_moved)
    with pretended_gpu() as device:
        step = method_process.make_step(method, replace(setup, device=str(device)))
        for _ in range(2):  # the second one takes moments into the chosen subspaces
            step()


def test_searches_keep_to_the_device_of_the_model(tmp_path, monkeypatch):
    monkeypatch.setattr(Card, "here", lambda device: Card("pretended", None, None, None, None))
    monkeypatch.setattr(exactness_part, "find_spec", lambda name: None)  # the compiled expansion needs no device
    journal = Journal(tmp_path / "part.json", "exactness", "pretended", 300.0, {})
    with pretended_gpu() as device:
        exactness_part.run(exactness_part.ExactnessSizes(500, 3, 16, (7,)), str(device), journal)
    report = journal.finish()
    assert exactness_part.is_right(report), [row for row in report["rows"] if "error" in row]


def test_items_are_read_where_the_model_is():
    backbone = make_backbone(replace(training_part.SMALL.setup, shape="qwen2.5-tiny"))
    expected = text_vectors(backbone, ["red lamp", "a longer text of a lamp"])
    with pretended_gpu() as device:
        backbone.model.to(device)
        vectors = text_vectors(backbone, ["red lamp", "a longer text of a lamp"])
    np.testing.assert_array_equal(vectors, expected)
