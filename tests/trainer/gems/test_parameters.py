"""Which weights of which backbone are projected, and what a backbone that does not fit is told."""

import pytest
import torch
from torch import nn

from tests.trainer.gems.small_models import Pair, ids, llama, one_step, qwen2, qwen3, random_null_spaces, t5
from trainer.core.errors import BackboneError, NullSpaceError, SettingsError
from trainer.gems import GemsConfig, GemsOptimizer
from trainer.gems.parameters import projected_modules

DECODER_NAMES = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"}
T5_NAMES = {"q", "k", "v", "o", "wo"}


def qwen2_5():
    """As Qwen2.5 says: the same architecture with another rotation, and no sliding window."""
    return qwen2(rope_theta=1e6, num_key_value_heads=1, use_sliding_window=False, max_window_layers=2)


@pytest.mark.parametrize(
    ("build", "names", "count"),
    [
        (qwen2, DECODER_NAMES, 14),
        (qwen2_5, DECODER_NAMES, 14),
        (qwen3, DECODER_NAMES, 14),
        (llama, DECODER_NAMES, 14),
        (lambda: t5("relu"), T5_NAMES | {"wi"}, 32),
        (lambda: t5("gated-gelu"), T5_NAMES | {"wi_0", "wi_1"}, 36),
    ],
)
def test_attention_and_mlp_projections_of_every_backbone_are_found_and_trained(build, names, count):
    model = build()
    found = projected_modules(model, GemsConfig().modules)
    assert {name.rpartition(".")[2] for name in found} == names
    assert len(found) == count
    optimizer = GemsOptimizer(model, GemsConfig(rank=0.5, null_space=False, lr=3e-2, vocabulary_rows="all"))
    rows = ids(4, 0)
    losses = []
    for _ in range(6):
        for task, part in (("search", rows[:2]), ("recommendation", rows[2:])):
            loss = model(input_ids=part, labels=part).loss
            with optimizer.task(task, tokens=part.numel(), loss=loss):
                loss.backward()
        stats = optimizer.step()
        losses.append(stats.losses.search)
    assert losses[-1] < losses[0]


def test_parameter_groups_part_matrices_that_decay_from_vectors_that_do_not():
    model = qwen2()
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, null_space=False, weight_decay=0.1, lr=1e-2, adamw_lr=1e-3))
    groups = {group["name"]: group for group in optimizer.param_groups}
    assert [len(groups[name]["params"]) for name in ("projected", "matrices", "vectors")] == [14, 1, 11]
    assert [groups[name]["weight_decay"] for name in groups] == [0.1, 0.1, 0.0]
    assert [groups[name]["lr"] for name in groups] == [1e-2, 1e-3, 1e-3]


def test_weights_that_need_no_gradient_are_left_out():
    model = qwen2()
    model.model.embed_tokens.weight.requires_grad_(False)
    for parameter in model.model.layers[0].parameters():
        parameter.requires_grad_(False)
    optimizer = GemsOptimizer(model, GemsConfig(rank=4, null_space=False))
    assert sum(len(group["params"]) for group in optimizer.param_groups) == 7 + 6
    assert one_step(optimizer, model, 0).applied


def test_a_model_whose_only_weights_are_projected_works():
    model = nn.Sequential()
    model.add_module("q_proj", nn.Linear(4, 3, bias=False))
    optimizer = GemsOptimizer(model, GemsConfig(rank=2, null_space=False))
    with optimizer.task("search", tokens=1):
        model(torch.ones(1, 4)).sum().backward()
    assert optimizer.step().applied


def test_a_backbone_without_the_named_layers_is_told_what_it_has():
    model = nn.Sequential(nn.Linear(4, 4))
    model.add_module("mixer", nn.Linear(4, 4))
    with pytest.raises(BackboneError, match=r"Sequential has no trainable linear layer named q_proj.*it has: 0, mixer"):
        GemsOptimizer(model, GemsConfig())
    with pytest.raises(SettingsError, match=r"no layer is named q_prj; there are: down_proj, o_proj, up_proj"):
        GemsOptimizer(Pair(), GemsConfig(rank=2, modules=("up_proj", "q_prj"), null_space=False))


def test_a_rank_without_room_names_the_layer_and_the_room():
    with pytest.raises(
        SettingsError, match=r"gems.rank is 12, but model.layers.0.self_attn.k_proj \[8, 16\] has room for 8:"
    ):
        GemsOptimizer(qwen2(), GemsConfig(rank=12, null_space=False))
    with pytest.raises(SettingsError, match=r"gems.task_rank is 11, but up_proj \[24, 10\] has room for 10"):
        GemsOptimizer(Pair(), GemsConfig(rank=2, task_rank=11, null_space=False))
    model = Pair()
    spaces = random_null_spaces(model, "output", 0.7)
    with pytest.raises(SettingsError, match=r"down_proj \[10, 24\] has room for 3, less what the null space protects"):
        GemsOptimizer(model, GemsConfig(rank=4), null_spaces=spaces)
    GemsOptimizer(model, GemsConfig(rank=1.0), null_spaces=spaces)


def test_a_null_space_of_another_model_is_refused():
    spaces = random_null_spaces(Pair(), "output", 0.3)
    spaces["up_proj"] = spaces["o_proj"]
    with pytest.raises(NullSpaceError, match="null space of up_proj is 10 wide, its output side 24"):
        GemsOptimizer(Pair(), GemsConfig(rank=2), null_spaces=spaces)


def test_half_precision_floats_are_refused():
    with pytest.raises(BackboneError, match=r"up_proj is torch.float16: load the model in float32 or bfloat16"):
        GemsOptimizer(Pair().half(), GemsConfig(rank=2, null_space=False))


def test_rows_the_vocabulary_does_not_have_are_refused():
    with pytest.raises(SettingsError, match=r"names row 48, but model\.embed_tokens\.weight has 48 rows"):
        GemsOptimizer(qwen2(), GemsConfig(rank=2, null_space=False, vocabulary_rows=48))
