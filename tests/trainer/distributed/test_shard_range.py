"""How a dimension is split among ranks, and which of some rows a rank then holds."""

import pytest
import torch

from trainer.distributed.group import ProcessGroup
from trainer.distributed.shard_range import ShardRange
from trainer.gems.nullspace.space import NullSpace


@pytest.mark.parametrize("world", [1, 2, 3, 7])
@pytest.mark.parametrize("size", [0, 1, 5, 6, 41])
def test_the_ranges_are_torchs_chunks(size, world):
    ranges = [ShardRange.split(size, ProcessGroup(rank, world)) for rank in range(world)]
    whole = torch.arange(size)
    chunks = [chunk.tolist() for chunk in whole.chunk(world)] if size else []
    parts = [range_.local_part(whole).tolist() for range_ in ranges]
    assert [part for part in parts if part] == chunks
    assert sum(map(len, ranges)) == size


@pytest.mark.parametrize(
    "rows",
    [None, slice(0, 0), slice(3, 10), slice(7, 10), slice(10, 10), torch.tensor([0, 4, 5, 9]), torch.tensor([2])],
)
def test_rows_are_counted_from_the_first_one_of_the_rank(rows):
    marked = torch.zeros(10)
    marked[slice(None) if rows is None else rows] = 1
    for rank in range(3):
        range_ = ShardRange.split(10, ProcessGroup(rank, 3))
        held, indices = torch.zeros(len(range_)), range_.local_indices(rows)
        held[slice(None) if indices is None else indices] = 1
        assert torch.equal(held, range_.local_part(marked))


def test_a_null_space_of_one_process_is_its_own_shard():
    factor = torch.linalg.qr(torch.randn(9, 4, generator=torch.Generator().manual_seed(0)))[0]
    space = NullSpace("output", "protected", factor)
    own = space.shard(ShardRange.full(9))
    matrix = torch.randn(9, 3, generator=torch.Generator().manual_seed(1))
    assert (own.width, own.free) == (9, 5)
    assert torch.equal(own.projected(matrix), space.project_(matrix.clone()))
    assert torch.equal(own.gathered().factor_WK, factor)
    assert NullSpace("output", "protected", factor).shard(ShardRange.split(9, ProcessGroup(1, 2))).width == 9
