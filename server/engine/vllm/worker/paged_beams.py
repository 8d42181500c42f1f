"""Paged beams: a decoder that appends a token to every beam in vLLM's paged key-value cache.

A beam has the full blocks of its prompt and scratch blocks of its own, which begin with a copy of the prompt's last,
partly filled block. After each selection a beam's scratch blocks are copied from its parent's. Two halves of the
scratch blocks take turns, so that no block is overwritten before it is copied.

The layout depends on prompt lengths and widths only, so it is computed on the host with numpy; the search decides
the tokens and the parents.

Shapes: R prompts, B beams, M blocks of the longest sequence, S those beams whose suffix crosses into a second
scratch block, H hidden size.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import pad

from catalog.search.beam import BeamLayout
from server.engine.vllm.worker.runner import Runner

__all__ = ["PagedDecoder", "scratch_blocks_each"]


def scratch_blocks_each(length_R: NDArray[np.int64], depth: int, block_size: int) -> NDArray[np.int64]:
    """How many scratch blocks each beam needs after prompts of these lengths; the last code is never appended.

    Raises ValueError if a suffix may need more than two blocks.
    """
    appended = depth - 1
    if appended > block_size:
        raise ValueError(f"identifiers of {depth} codes need a block_size of at least {appended}")
    return -(-(length_R % block_size + appended) // block_size) if appended > 0 else np.zeros_like(length_R)


class PagedDecoder:
    """Decodes the beams of one group of requests whose prompts are in the cache.

    rows: the requests' rows in vLLM's step.
    length_R: the lengths of their prompts, int64.
    half: how many scratch blocks the beams of a level may use; those of the next level use as many after them.
    """

    def __init__(self, runner: Runner, rows: list[int], length_R: NDArray[np.int64], depth: int, half: int) -> None:
        self._runner = runner
        self._length_R = length_R
        self._half = half
        self._own_R = scratch_blocks_each(length_R, depth, runner.block_size)
        self._full_R, self._rest_R = np.divmod(length_R, runner.block_size)  # full blocks, tokens in the last one
        blocks_RM, longest = runner.prompt_blocks(rows), int((self._full_R + self._own_R).max())
        # scratch blocks may reach beyond the longest prompt that vLLM has room for
        self._blocks_RM = pad(blocks_RM, (0, max(0, longest - blocks_RM.shape[1])))[:, :longest]
        self._second_B = torch.empty(0, dtype=torch.long)
        """The second scratch block of every beam after the last step, counted from the start of its half."""

    def step(self, level: int, token_B: Tensor, parent_B: Tensor, now: BeamLayout) -> Tensor:
        """Append the code of `level - 1` to every beam; return its hidden states [B, H]."""
        size = self._runner.block_size
        row_B = np.repeat(np.arange(now.rows), now.beams_R)
        filled_B = self._rest_R[row_B] + level - 1  # tokens in the scratch blocks before this one
        crossing_S = np.flatnonzero(self._own_R[row_B] == 2)
        second_B = np.zeros(now.beams, np.int64)
        second_B[crossing_S] = now.beams + np.arange(len(crossing_S))

        base = (level % 2) * self._half
        if level == 1:
            self._copy_prompt(base, now)
        else:
            self._copy_parents(base, parent_B, crossing_S)
        self._second_B = self._tensor(second_B)

        block_B = self._runner.first_scratch + base + np.where(filled_B < size, np.arange(now.beams), second_B)
        position_B = self._length_R[row_B] + level - 1
        return self._runner.decode(
            token_B.int(),
            self._tensor(position_B),
            self._tensor(block_B * size + filled_B % size),
            self._tables(base, now, row_B, crossing_S),
            int(position_B.max()) + 1,
        )

    def _copy_prompt(self, base: int, now: BeamLayout) -> None:
        """Copy the prompt's partly filled block into every beam's scratch block.

        Where there is none, what is copied is never read.
        """
        last_R = self._blocks_RM.gather(1, self._tensor(self._full_R)[:, None]).view(-1).long()
        self._runner.copy_prompts(last_R.index_select(0, now.row_B), base)

    def _copy_parents(self, base: int, parent_B: Tensor, crossing_S: NDArray[np.int64]) -> None:
        """Copy the parent's scratch blocks into every beam's."""
        source_B = parent_B.long()
        if len(crossing_S) > 0:
            parent_S = source_B.index_select(0, self._tensor(crossing_S))
            source_B = torch.cat([source_B, self._second_B.index_select(0, parent_S)])
        self._runner.copy_scratch(source_B, self._half - base, base)

    def _tables(self, base: int, now: BeamLayout, row_B: NDArray[np.int64], crossing_S: NDArray[np.int64]) -> Tensor:
        """The blocks of every beam, int32 [B, M]."""
        blocks_BM = self._blocks_RM.index_select(0, now.row_B)
        first_B = np.arange(now.beams) * blocks_BM.shape[1] + self._full_R[row_B]
        place_D = np.concatenate([first_B, first_B[crossing_S] + 1])
        start = self._runner.first_scratch + base
        scratch_D = np.arange(start, start + len(place_D), dtype=np.int32)
        blocks_BM.view(-1).index_copy_(0, self._tensor(place_D), self._tensor(scratch_D))
        return blocks_BM

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        return torch.from_numpy(array).to(self._runner.device)
