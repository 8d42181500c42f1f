"""What holds for every method."""

import pytest
import torch

from tests.trainer.methods.small_world import make_backbone, small_world
from trainer.config.recipe import FullRecipe
from trainer.core.errors import BackboneError, CheckpointError, SettingsError
from trainer.gems.numerics import exact_value
from trainer.methods.adamw import AdamWTuning
from trainer.runtime.checkpoint import load_checkpoint, save_checkpoint

METHODS = ("gems", "single_subspace", "full", "lora", "lora_moe")
RATES = (
    *("gems.lr=0.01", "gems.adamw_lr=0.01", "full.lr=0.01", "lora.lr=0.02", "lora_moe.lr=0.02"),
    "lora.rank=4",
    "lora.alpha=8",
)


def _backbone_of(dtype):
    backbone = make_backbone()
    backbone.model.to(dtype)
    return backbone


@pytest.mark.parametrize("kind", ["qwen2", "t5"])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_lowers_the_loss(method, kind, tmp_path):
    world = small_world(tmp_path, f"method={method}", *RATES, kind=kind)
    before = world.batch_loss().detach()
    assert all(world.train_step().applied for _ in range(20))
    assert world.batch_loss().detach() < 0.75 * before


@pytest.mark.parametrize("method", METHODS)
def test_a_method_works_on_bfloat16_weights_with_gradient_checkpointing(method, tmp_path):
    backbone = make_backbone()
    backbone.model.to(torch.bfloat16)
    backbone.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    world = small_world(tmp_path, f"method={method}", *RATES, backbone=backbone)
    before = world.batch_loss().detach()
    assert all(world.train_step().applied for _ in range(20))
    world.method.finish()
    assert world.batch_loss().detach() < 0.75 * before
    if world.method.unservable_reason is None:
        assert {weight.dtype for weight in backbone.model.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("lr", [1e-5, 1e-4])
def test_full_tuning_moves_bfloat16_weights_as_it_moves_float32_ones(lr, tmp_path):
    """Two hundred steps on the same gradients; rounded at every step, most weights would stay where they were."""
    weights = {dtype: torch.nn.Parameter(torch.ones(40, 30, dtype=dtype)) for dtype in (torch.float32, torch.bfloat16)}
    for weight in weights.values():
        tuning = AdamWTuning({"w": weight}, FullRecipe(lr=lr))
        for step in range(200):
            draw = torch.Generator().manual_seed(step)
            slope = (1 + torch.randn(40, 30, generator=draw)).bfloat16()
            tuning.backward((weight * slope).sum() / 1000, "search", tokens=1, batch_tokens=1)
            assert tuning.step(1.0).applied
    expected, rounded = (weight.detach() for weight in weights.values())
    exact = exact_value(rounded, tuning.state_dict()["bfloat16"]["w"]["remainder"])
    moved = (1 - expected).mean().item()
    assert moved > 100 * lr
    assert (exact - expected).abs().max() <= 0.02 * moved
    assert (rounded.float() - exact).abs().max() <= 2**-9


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("method", METHODS)
def test_a_method_resumes_bit_for_bit(method, dtype, tmp_path):
    settings = (f"method={method}", *RATES, "lora.dropout=0.1", "lora_moe.dropout=0.1")
    first = small_world(tmp_path, *settings, backbone=_backbone_of(dtype))
    for step in range(3):
        first.train_step(step)
    state = {"weights": first.weights(), "method": first.method.state_dict(), "random": torch.get_rng_state()}
    save_checkpoint(tmp_path / "c", state)
    for step in range(3, 6):
        first.train_step(step)

    second = small_world(tmp_path, *settings, backbone=_backbone_of(dtype))
    saved = load_checkpoint(tmp_path / "c")
    with torch.no_grad():
        for name, weight in second.backbone.model.named_parameters():
            weight.copy_(saved["weights"][name])
    second.method.load_state_dict(saved["method"])
    torch.set_rng_state(saved["random"])
    for step in range(3, 6):
        second.train_step(step)
    resumed = second.weights()
    assert all(torch.equal(weight, resumed[name]) for name, weight in first.weights().items())


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_a_step_that_is_not_finite_changes_nothing_and_says_so(method, bad, tmp_path):
    world = small_world(tmp_path, f"method={method}", *RATES)
    world.train_step()
    before, task_batch = world.weights(), world.micro_batches()[0]
    world.method.backward(
        world.loss(task_batch) * bad, task_batch.task, tokens=task_batch.tokens, batch_tokens=task_batch.tokens
    )
    assert not world.method.step(1.0).applied
    after = world.weights()
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    assert world.train_step(1).applied, "the next batch is sound again"


@pytest.mark.parametrize("method", ["single_subspace", "lora", "lora_moe"])
def test_what_moves_beside_the_projections_is_what_gems_moves(method, tmp_path):
    """Rows of the added tokens and norms; not the rows of the base's vocabulary, not the projections' own weights."""
    world = small_world(tmp_path, f"method={method}", *RATES)
    before = world.weights()
    for step in range(2):
        world.train_step(step)
    text_rows = world.backbone.text_rows
    for name, weight in world.weights().items():
        if name.endswith("embed_tokens.weight"):
            assert torch.equal(weight[:text_rows], before[name][:text_rows])
            assert not torch.equal(weight[text_rows:], before[name][text_rows:])
        elif "norm" in name or name.endswith("bias"):
            assert not torch.equal(weight, before[name]), name
        elif name.endswith(("base_layer.weight", "base.weight")):
            assert torch.equal(weight, before[name]), name


@pytest.mark.parametrize("method", METHODS)
def test_two_micro_batches_weigh_as_their_tokens(method, tmp_path):
    """The same batch in one pass for each task, and in passes of one sequence, moves the weights alike."""
    whole, parts = (
        small_world(tmp_path, f"method={method}", *RATES, f"training.micro_batch={size}") for size in (1024, 1)
    )
    for world in (whole, parts):
        world.train_step()
    assert len(parts.micro_batches()) > len(whole.micro_batches())
    start = small_world(tmp_path, f"method={method}", *RATES).weights()
    pieces = parts.weights()
    for name, weight in whole.weights().items():
        moved = (weight - start[name]).norm()
        assert (weight - pieces[name]).norm() <= 0.02 * moved + 1e-6, name


@pytest.mark.parametrize("method", ["single_subspace", "lora", "lora_moe"])
def test_layers_that_the_backbone_lacks_are_named(method, tmp_path):
    with pytest.raises(BackboneError, match=r"no trainable linear layer named query; .*q_proj.*gems\.modules"):
        small_world(tmp_path, f"method={method}", "gems.modules=[query]")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["method=lora", "lora.rank=33"], r"lora\.rank is 33, but model\.layers\.0.*\[32, 32\] has room for 32: set"),
        (["method=lora_moe", "lora_moe.rank=40"], r"lora_moe\.rank is 40, but model\.layers\.0.*set it to 32 or less"),
        (["method=single_subspace", "gems.rank=33"], r"gems\.rank is 33, but model\.layers\.0.*set it to 32 or less"),
    ],
)
def test_a_rank_above_a_layers_size_names_the_layer(settings, message, tmp_path):
    with pytest.raises(SettingsError, match=message):
        small_world(tmp_path, *settings)


def test_a_state_of_other_rows_is_refused(tmp_path):
    saved = small_world(tmp_path, "method=lora").method.state_dict()
    with pytest.raises(CheckpointError, match="embed_tokens"):
        small_world(tmp_path, "method=lora", "gems.vocabulary_rows=all").method.load_state_dict(saved)
