"""How a dimension is cut among processes, and which of some rows are then here."""

import pytest
import torch

from trainer.distributed.group import ProcessGroup
from trainer.distributed.shard_range import ShardRange
from trainer.gems.nullspace.space import NullSpace


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [0, 1, 5, 6, 41])
def test_the_stretches_are_torchs_chunks(size, world):
    stretches = [ShardRange.cut(size, ProcessGroup(rank, world)) for rank in range(world)]
    whole = torch.arange(size)
    chunks = [chunk.tolist() for chunk in whole.chunk(world)] if size else []
    parts = [stretch.of(whole).tolist() for stretch in stretches]
    assert [part for part in parts if part] == chunks
    assert sum(map(len, stretches)) == size


@pytest.mark.parametrize(
    "rows",
    [None, slice(0, 0), slice(3, 10), slice(7, 10), slice(10, 10), torch.tensor([0, 4, 5, 9]), torch.tensor([2])],
)
def test_rows_of_the_whole_are_counted_from_the_first_one_here(rows):
    marked, moving = torch.zeros(10), slice(None) if rows is None else rows
    marked[moving] = 1
    for rank in range(3):
        stretch = ShardRange.cut(10, ProcessGroup(rank, 3))
        here, within = torch.zeros(len(stretch)), stretch.within(rows)
        here[slice(None) if within is None else within] = 1
        assert torch.equal(here, stretch.of(marked))


def test_a_null_space_that_nobody_shares_is_cut_to_itself():
    factor = torch.linalg.qr(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))[0]
    space = NullSpace("output", "protected", factor)
    own = space.cut(ShardRange.whole(9))
    matrix = torch.randn(9, 3, generator=torch.Generator().manual_seed(1))
    assert (own.width, own.free) == (9, 5)
    assert torch.equal(own.projected(matrix), space.project_(matrix.clone()))
    assert torch.equal(own.joined().factor_WK, factor)
    assert NullSpace("output", "protected", factor).cut(ShardRange.cut(9, ProcessGroup(1, 2))).width == 9
