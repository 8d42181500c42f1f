import numpy as np
import torch

from catalog.ids.index import ItemIndex
from loadtest.index.beam_steps import draw_step
from loadtest.synthetic.codes import zipf_codes


def test_beams_stand_on_different_nodes_and_cost_more_and_more():
    index, _ = ItemIndex.build(zipf_codes(2000, 4, 16, 0), [16] * 4)
    paths = index.paths(np.arange(len(index)))
    for level in range(4):
        step = draw_step(index, level, 3, 20, np.random.default_rng(0))
        beams = min(20, len(np.unique(paths[:, :level], axis=0)))
        assert step.leaf_RW.shape == (3, beams)
        assert np.array_equal(step.prefix_Bl, paths[step.leaf_RW.ravel(), :level])
        for prefixes in step.prefix_Bl.reshape(3, beams, level):
            assert len(np.unique(prefixes, axis=0)) == beams
        assert (step.cost_RW.diff() >= 0).all()
        torch.testing.assert_close(step.logp_BC.exp().sum(1), torch.ones(3 * beams))
        assert step.keep == min(20, len(index.code[level]))
