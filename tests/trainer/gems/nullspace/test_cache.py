"""Null spaces on disk."""

import pytest
import torch

from tests.trainer.gems.small_models import ids, qwen2
from trainer.core.errors import NullSpaceError
from trainer.gems import Energy, Relative, cached_null_spaces, load_null_spaces, save_null_spaces

BATCHES = [{"input_ids": ids(4, seed)} for seed in range(6)]


def test_an_estimate_is_found_again_only_for_the_same_question(tmp_path):
    def ask(model, batches=BATCHES, **settings):
        return cached_null_spaces(tmp_path, model, batches, **settings)

    def files():
        return {(file.name, file.stat().st_ino) for file in tmp_path.iterdir()}

    model = qwen2()
    first, made = ask(model), files()
    again = ask(model)
    assert files() == made, "a second estimate would have replaced the file"
    for name, space in first.items():
        assert torch.equal(space.factor_WK, again[name].factor_WK)
        assert (space.side, space.spans) == (again[name].side, again[name].spans)
    ask(model, side="input")
    ask(model, threshold=Energy(0.5))
    ask(model, threshold=Relative(0.5))
    ask(model, batches=BATCHES[::-1])
    ask(model, modules=("q_proj",))
    ask(qwen2(seed=1))
    assert len(files()) == 7


@pytest.mark.parametrize("content", [b"", b"nonsense" * 40, None])
def test_a_damaged_file_is_named(tmp_path, content):
    file = tmp_path / "spaces.safetensors"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(NullSpaceError, match=r"spaces\.safetensors holds no null spaces"):
        load_null_spaces(file)


def test_a_file_cut_short_is_refused(tmp_path):
    file = tmp_path / "spaces.safetensors"
    save_null_spaces(cached_null_spaces(tmp_path, qwen2(), BATCHES), file)
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(NullSpaceError, match="delete it"):
        load_null_spaces(file)
