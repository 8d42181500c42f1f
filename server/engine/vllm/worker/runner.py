"""An adapter to vLLM's model runner: everything that we use of its inside, in one place.

It is written for the V1 runner of vLLM 0.32. The V2 runner takes built-in pooling tasks only, so the server turns it
off (VLLM_USE_V2_MODEL_RUNNER=0); an adapter to it would be one more class with these methods.

Shapes: R requests of the step, M blocks of the longest prompt, B beams, D blocks copied, H hidden size.
"""

from typing import Any

import torch
from torch import Tensor
from vllm.forward_context import set_forward_context
from vllm.v1.attention.backend import CommonAttentionMetadata

from server.engine.vllm.messages import EngineOptions
from server.engine.vllm.worker.scheduler import FIRST_SCRATCH_BLOCK

__all__ = ["Runner"]


class Runner:
    """Reads block tables, copies blocks and runs one-token sequences. Raises ValueError for unsupported models."""

    def __init__(self, runner: Any) -> None:
        self._runner = runner
        groups = [group for groups in runner.attn_groups for group in groups]
        if len(groups) != 1:
            raise ValueError(
                f"the model has {len(groups)} kinds of attention layers: only models with one are supported"
            )
        self._group = groups[0]
        self._scratch = EngineOptions.of(runner.vllm_config).scratch_blocks
        context = runner.compilation_config.static_forward_context
        self._caches: list[Tensor] = [context[name].kv_cache for name in self._group.layer_names]
        blocks = runner.kv_cache_config.num_blocks
        if any(cache.shape[0] != blocks for cache in self._caches):
            raise ValueError(f"this attention backend does not lay its cache out by block: {self._caches[0].shape}")

    @property
    def model(self) -> Any:
        """The torch module of the model."""
        return self._runner.model

    @property
    def config(self) -> Any:
        """The VllmConfig."""
        return self._runner.vllm_config

    @property
    def device(self) -> torch.device:
        """The device that the model is on."""
        device: torch.device = self._runner.device
        return device

    @property
    def first_scratch(self) -> int:
        """The number of the first scratch block."""
        return FIRST_SCRATCH_BLOCK

    @property
    def block_size(self) -> int:
        """How many tokens a block holds."""
        return int(self._table.block_size)

    @property
    def _table(self) -> Any:
        return self._runner.input_batch.block_table[0]

    def prompt_blocks(self, rows: list[int]) -> Tensor:
        """The blocks of the prompts at these rows of the step, int32 [R, M], zero where a prompt has no more."""
        table: Tensor = self._table.get_device_tensor(self._runner.input_batch.num_reqs)
        return table[torch.tensor(rows, device=self.device)]

    def copy_prompts(self, block_D: Tensor, target: int) -> None:
        """Copy blocks of prompts, int64, into the scratch blocks from number `target` on."""
        begin = self.first_scratch + self._scratch
        # a table may name scratch or null where a prompt has no block; what is copied then is never read
        source_D = (block_D - begin).clamp_(min=0)
        for cache in self._caches:
            self._copy(cache[begin:], source_D, cache, target)

    def copy_scratch(self, scratch_D: Tensor, source: int, target: int) -> None:
        """Copy the scratch blocks `source + scratch_D`, int64, into those from number `target` on."""
        begin, end = self.first_scratch + source, self.first_scratch + source + self._scratch // 2
        for cache in self._caches:
            self._copy(cache[begin:end], scratch_D, cache, target)

    def _copy(self, source: Tensor, block_D: Tensor, cache: Tensor, target: int) -> None:
        begin = self.first_scratch + target
        torch.index_select(source, 0, block_D, out=cache[begin : begin + len(block_D)])

    def decode(self, token_B: Tensor, position_B: Tensor, slot_B: Tensor, blocks_BM: Tensor, longest: int) -> Tensor:
        """Compute one token of every beam; return its hidden states [B, H].

        token_B: int32.
        position_B: the token's position, int64; position + 1 tokens are attended to.
        slot_B: where its key and value are written, int64.
        blocks_BM: the beam's blocks, int32.
        longest: the highest position + 1.
        """
        beams = len(token_B)
        start = torch.arange(beams + 1, dtype=torch.int32)
        meta = CommonAttentionMetadata(
            query_start_loc=start.to(self.device),
            query_start_loc_cpu=start,
            seq_lens=(position_B + 1).int(),
            num_reqs=beams,
            num_actual_tokens=beams,
            max_query_len=1,
            max_seq_len=longest,
            block_table_tensor=blocks_BM,
            slot_mapping=slot_B,
            causal=True,
        )
        attention = self._group.get_metadata_builder().build(0, meta)
        names = self._group.layer_names
        with set_forward_context(
            dict.fromkeys(names, attention),
            self.config,
            num_tokens=beams,
            slot_mapping=dict.fromkeys(names, slot_B),
        ):
            hidden_BH: Tensor = self.model(
                input_ids=token_B, positions=position_B, intermediate_tensors=None, inputs_embeds=None
            )
        return hidden_BH
