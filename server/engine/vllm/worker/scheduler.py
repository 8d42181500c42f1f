"""vLLM's scheduler, with blocks of the key-value cache set aside for the beams."""

from typing import Any

from vllm.v1.core.sched.async_scheduler import AsyncScheduler

from server.engine.vllm.messages import EngineOptions

__all__ = ["FIRST_SCRATCH_BLOCK", "ItemScheduler"]

FIRST_SCRATCH_BLOCK = 1
"""Block 0 is vLLM's null block."""


class ItemScheduler(AsyncScheduler):  # type: ignore[misc]
    """Takes blocks 1 … scratch_blocks out of the pool for good, before any request can get them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        wanted = EngineOptions.of(self.vllm_config).scratch_blocks
        pool = self.kv_cache_manager.block_pool
        longest = -(-self.vllm_config.model_config.max_model_len // self.vllm_config.cache_config.block_size)
        if wanted + longest > pool.get_num_free_blocks():
            raise ValueError(
                f"the key-value cache has {pool.get_num_free_blocks()} blocks; the beams need {wanted} and the longest"
                f" prompt {longest}: raise kv_cache_bytes, or lower max_width or max_prompt_tokens"
            )
        taken = [block.block_id for block in pool.get_new_blocks(wanted)]
        if taken != list(range(FIRST_SCRATCH_BLOCK, FIRST_SCRATCH_BLOCK + wanted)):
            raise RuntimeError("the block pool did not give its first blocks first: this version of vLLM is not known")
        # otherwise reset_prefix_cache() counts them as in use, and refuses
        pool.num_gpu_blocks -= wanted
