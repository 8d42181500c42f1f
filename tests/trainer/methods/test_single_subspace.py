"""One low-rank subspace of the whole batch's gradient, against the same written out plainly."""

import torch

from tests.trainer.methods.small_world import FULL_PRECISION, make_backbone, small_world

LR, RANK = 0.01, 4
SETTINGS = (
    "method=single_subspace",
    f"gems.lr={LR}",
    f"gems.rank={RANK}",
    "gems.refresh_every=3",
    "gems.refresh_turns=1",
    *FULL_PRECISION,
)
EPS = 1e-8


def whole_gradients(world, step):
    """Of the batch's token-weighted mean loss, by plain autograd, of every projected weight."""
    layers = world.method.state_dict()["layers"]
    weights = {name: world.backbone.model.get_submodule(name).weight for name in layers}
    gradients = torch.autograd.grad(world.batch_loss(step), list(weights.values()))
    return dict(zip(weights, gradients, strict=True))


def bases(world):
    layers = world.method.state_dict()["layers"]
    return {name: state["subspaces"]["shared"]["basis"].clone() for name, state in layers.items()}


def first_change(basis_SR, gradient_MN):
    """Of the weight: down into the subspace on its shorter side, Adam's first step there, and back up."""
    tall = gradient_MN.shape[0] > gradient_MN.shape[1]
    image_RL = basis_SR.T @ (gradient_MN.T if tall else gradient_MN)
    change_SL = -LR * basis_SR @ (image_RL / (image_RL.square().sqrt() + EPS))
    return change_SL.T if tall else change_SL


def test_one_step_is_adam_in_the_subspace(tmp_path):
    world = small_world(tmp_path, *SETTINGS)
    before, gradients, basis = world.weights(), whole_gradients(world, 0), bases(world)
    world.train_step(0)
    after = world.weights()
    assert len(gradients) == 14
    for name, gradient in gradients.items():
        moved = after[f"{name}.weight"] - before[f"{name}.weight"]
        torch.testing.assert_close(moved, first_change(basis[name], gradient), rtol=1e-3, atol=2e-5)
        assert torch.linalg.matrix_rank(moved, atol=1e-5) <= RANK


def test_the_refreshed_subspace_holds_the_gradients_leading_directions(tmp_path):
    world = small_world(tmp_path, *SETTINGS)
    gradients = whole_gradients(world, 0)
    world.train_step(0)
    world.train_step(1)  # the new basis takes over
    for name, basis_SR in bases(world).items():
        gradient = gradients[name].T if gradients[name].shape[0] > gradients[name].shape[1] else gradients[name]
        best = torch.linalg.svdvals(gradient)[:RANK].square().sum()
        assert (basis_SR.T @ gradient).square().sum() > 0.9 * best, name


def test_there_is_no_task_subspace_no_gate_and_no_null_space(tmp_path):
    world = small_world(tmp_path, *SETTINGS)
    assert all(set(state["subspaces"]) == {"shared"} for state in world.method.state_dict()["layers"].values())
    assert world.train_step().figures == {}
    assert not (tmp_path / "null_spaces").exists()


def test_its_settings_are_those_of_gems_whatever_the_ablations_say(tmp_path):
    backbone = make_backbone()
    world = small_world(tmp_path, *SETTINGS, "gems.decomposition=true", "gems.null_space=true", backbone=backbone)
    basis = next(iter(bases(world).values()))
    assert basis.shape[1] == RANK
