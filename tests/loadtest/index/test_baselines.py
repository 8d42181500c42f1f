"""Three ways to take a constrained step, written apart, must keep the same children."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from loadtest.index.baselines.dict_trie import DictTrie
from loadtest.index.baselines.padded_csr import PaddedCsr
from loadtest.index.beam_steps import draw_step
from loadtest.index.constraint import IndexConstraint
from loadtest.synthetic.codes import uniform_codes, zipf_codes

SIZE = 8


@given(
    st.sampled_from([uniform_codes, zipf_codes]),
    st.integers(1, 600),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(1, 20),
    st.integers(0, 5),
)
def test_all_keep_the_same_children(draw_codes, items, level, rows, width, seed):
    codes = draw_codes(items, 4, SIZE, seed)
    ours = IndexConstraint.build(codes, [SIZE] * 4)
    step = draw_step(ours.index, level, rows, width, np.random.default_rng(seed))
    beams = ours.step(ours.locate(step), step.logp_BC)
    expected = beams.cost_B.view(rows, -1)
    alive = expected.isfinite()
    for opponent in (DictTrie(codes, SIZE), PaddedCsr(codes, SIZE)):
        keep = min(step.keep, step.leaf_RW.shape[1] * ours.index.fan_out[level])
        cost, parent, code, *node = opponent.step(opponent.locate(step.prefix_Bl), step.cost_RW, step.logp_BC, keep)
        torch.testing.assert_close(cost, expected[:, :keep])
        alive = alive[:, :keep]
        assert not expected[:, keep:].isfinite().any()
        parent += torch.arange(rows)[:, None] * step.leaf_RW.shape[1]
        assert parent[alive].tolist() == beams.parent_B.view(rows, -1)[:, :keep][alive].tolist()
        assert code[alive].tolist() == beams.code_B.view(rows, -1)[:, :keep][alive].tolist()
        for found in node:
            assert found[alive].tolist() == beams.node_B.view(rows, -1)[:, :keep][alive].tolist()


def test_the_dict_trie_allows_what_follows():
    codes = uniform_codes(200, 3, SIZE, 0)
    trie = DictTrie(codes, SIZE)
    for prefix in ([], codes[0, :1].tolist(), codes[0, :2].tolist()):
        follows = codes[(codes[:, : len(prefix)] == prefix).all(1), len(prefix)]
        assert sorted(trie.allowed(prefix)) == sorted(set(follows.tolist()))


@pytest.mark.parametrize("opponent", [DictTrie, PaddedCsr])
def test_more_items_weigh_more(opponent):
    few, many = (opponent(uniform_codes(items, 4, SIZE, 0), SIZE).nbytes for items in (100, 1500))
    assert 0 < few < many
