import pytest
import torch

from trainer.core.errors import TrainerError
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint

STATE = {
    "step": 3,
    "deep": {0: [torch.arange(3), None, True], "x": {"lr": 0.1}},
    "half": torch.ones(2, dtype=torch.bfloat16),
}


def same(left, right):
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[k], right[k]) for k in left)
    if isinstance(left, list):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


def test_state_comes_back_as_it_was(tmp_path):
    save_checkpoint(tmp_path / "c", STATE)
    save_checkpoint(tmp_path / "c", STATE | {"step": 4})
    assert same(load_checkpoint(tmp_path / "c"), STATE | {"step": 4})
    assert [p.name for p in tmp_path.iterdir()] == ["c"]


def test_nothing_saved_is_none(tmp_path):
    assert load_checkpoint(tmp_path / "c") is None


def test_an_interruption_between_the_renames_loses_nothing(tmp_path):
    save_checkpoint(tmp_path / "c", STATE)
    (tmp_path / "c").rename(tmp_path / ".c-old")
    assert same(load_checkpoint(tmp_path / "c"), STATE)


def test_a_damaged_file_is_named(tmp_path):
    save_checkpoint(tmp_path / "c", STATE)
    (tmp_path / "c/tensors-0.safetensors").write_bytes(b"junk")
    with pytest.raises(TrainerError, match="damaged"):
        load_checkpoint(tmp_path / "c")


def test_what_json_cannot_hold_is_refused(tmp_path):
    with pytest.raises(TypeError, match="object"):
        save_checkpoint(tmp_path / "c", {"x": object()})
