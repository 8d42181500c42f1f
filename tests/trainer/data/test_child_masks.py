"""The masks of children, and the loss whose softmax runs over them, against a dense oracle."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from catalog.ids.index import ItemIndex
from tests.trainer.methods.small_world import CODES_NL, small_world
from trainer.core.errors import TrainerError
from trainer.data.batches import target_states
from trainer.data.child_masks import ChildMasks


@st.composite
def catalogs(draw):
    sizes = draw(st.lists(st.integers(1, 5), min_size=1, max_size=4))
    path = st.tuples(*(st.integers(0, size - 1) for size in sizes))
    paths = sorted(draw(st.lists(path, min_size=1, max_size=40, unique=True)))
    leaves = draw(st.lists(st.integers(0, len(paths) - 1), min_size=1, max_size=20))
    return paths, sizes, np.array(leaves)


@given(catalogs())
def test_a_mask_has_the_codes_with_which_some_item_goes_on(catalog):
    paths, sizes, leaves = catalog
    found = list(ChildMasks(np.array(paths), sizes).of(leaves))
    assert len(found) == len(sizes)
    for level, mask_PC in enumerate(found):
        for leaf, mask_C in zip(leaves, mask_PC, strict=True):
            prefix = paths[leaf][:level]
            expected = {path[level] for path in paths if path[:level] == prefix}
            assert set(np.flatnonzero(mask_C)) == expected
            assert len(mask_C) == sizes[level]


def test_codes_out_of_order_are_refused():
    with pytest.raises(ValueError, match="order of leaves"):
        ChildMasks(np.array([[1, 0], [0, 1]]), (2, 2))


def uneven_world(tmp_path, *settings, kind="qwen2"):
    """The small world with a mask that leaves codes out, as its catalog has every code behind every other."""
    return small_world(tmp_path, "method=full", "training.dropout=0", *settings, kind=kind, without=(3, 8, 9, 10, 29))


@pytest.mark.parametrize("kind", ["qwen2", "t5"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_loss_and_gradient_equal_those_of_one_softmax_a_target(kind, smoothing, tmp_path):
    """The oracle forms no mask: for each target it finds the items with the same prefix, in double precision."""
    shop = uneven_world(tmp_path, "training.loss=children", f"training.label_smoothing={smoothing}", kind=kind)
    part, model = shop.micro_batches()[0], shop.backbone.model.eval()  # T5 has a dropout of its own
    codes_NL = shop.codes_NL

    def oracle():
        states_PLH, head_VH = target_states(model, part, shop.level_tokens), model.get_output_embeddings().weight
        total = 0.0
        for target, states_LH in zip(part.codes_PL.tolist(), states_PLH, strict=True):
            for level, tokens in enumerate(shop.level_tokens):
                below = codes_NL[(codes_NL[:, :level] == target[:level]).all(1)]
                codes = np.unique(below[:, level])
                logits = (states_LH[level] @ head_VH[tokens].T).double()
                probability = logits.exp()[codes] / logits.exp()[codes].sum()
                place = codes.tolist().index(target[level])
                total = total - (1 - smoothing) * probability[place].log() - smoothing * probability.log().mean()
        return total / part.codes_PL.numel()

    found, expected = shop.loss(part), oracle()
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-6)
    weights = [weight for weight in model.parameters() if weight.requires_grad]
    gradients = torch.autograd.grad(found, weights, allow_unused=True)
    for gradient, wanted in zip(gradients, torch.autograd.grad(expected, weights, allow_unused=True), strict=True):
        assert (gradient is None) == (wanted is None)
        if gradient is not None:
            torch.testing.assert_close(gradient, wanted, rtol=1e-4, atol=1e-6)


def test_without_left_out_codes_it_is_the_loss_over_codes(tmp_path):
    shop = small_world(tmp_path, "method=full", "training.dropout=0", "training.loss=children")
    over_codes = small_world(tmp_path, "method=full", "training.dropout=0", backbone=shop.backbone)
    assert len(CODES_NL) == 5 * 6
    torch.testing.assert_close(shop.batch_loss(), over_codes.batch_loss())


def test_the_likelihoods_of_all_items_sum_to_one(tmp_path):
    shop = uneven_world(tmp_path, "training.loss=children")
    part = next(part for part in shop.micro_batches() if part.task == "recommendation")
    index, _ = ItemIndex.build(shop.codes_NL, (5, 6))
    masks = ChildMasks(shop.codes_NL, (5, 6))
    first, likelihood = part.rows_P[:1], 0.0
    for leaf, codes in enumerate(shop.codes_NL):
        one = type(part)(
            part.task,
            _with_item(part, codes, shop.level_tokens),
            part.mask_BT[first],
            torch.tensor(codes[None]),
            torch.zeros(1, dtype=torch.int64),
            part.starts_P[:1],
            children=tuple(map(torch.from_numpy, masks.of(np.array([leaf])))),
        )
        with torch.no_grad():
            likelihood += float(torch.exp(-shop.loss(one) * len(codes)))
    assert len(index) == len(shop.codes_NL) == 25
    assert likelihood == pytest.approx(1, abs=1e-5)


def _with_item(part, codes, level_tokens):
    """The first sequence of the micro-batch with another item where its first prediction is."""
    ids = part.ids_BT[part.rows_P[:1]].clone()
    for level, code in enumerate(codes):
        ids[0, part.starts_P[0] + level] = level_tokens[level][code]
    return ids


def test_a_run_says_in_its_manifest_what_it_was_trained_for(trained):
    bundle = trained.bundle("training.loss=children")
    assert bundle.normalize == "children"
    assert bundle.golden.normalize == "children"
    assert trained.bundle().normalize == "codes"


def test_an_unknown_loss_is_refused(tmp_path):
    with pytest.raises(TrainerError, match=r"training\.loss"):
        small_world(tmp_path, "training.loss=items")
