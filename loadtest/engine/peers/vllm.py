"""vLLM's own beam search, `LLM.beam_search`, with the kernels, executor, block size and threads of our engine.

It has no trie and keeps the best tokens of the whole vocabulary, so its sequences are seldom items. A constraint would
cost it time in addition.
"""

import os
from collections.abc import Sequence
from typing import Any

from loadtest.engine.peers.protocol import BLOCK_SIZE, KV_CACHE_BYTES, Limits, Prompt
from loadtest.synthetic.bundle import RandomBundle
from server.engine.vllm.worker.kernels import PRIORITY

__all__ = ["VllmBeamSearch"]

SEQUENCES_AT_ONCE = 1024
TOKENS_AT_ONCE = 8192
STOP_SECONDS = 10.0


class VllmBeamSearch:
    """Implements `Peer`. Prompts that are under way together are batched by vLLM, step by step."""

    def __init__(self, bundle: RandomBundle, limits: Limits) -> None:
        self._bundle = bundle
        self._limits = limits
        self._llm: Any = None

    def start(self) -> None:
        """Start vLLM in this process; with a process of its own for the engine it is at least a fifth slower."""
        os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] = "0"
        from vllm import LLM

        self._llm = LLM(
            model=str(self._bundle.model_dir),
            dtype="bfloat16",
            max_model_len=self._limits.prompt + self._bundle.index.depth,
            max_num_seqs=SEQUENCES_AT_ONCE,
            max_num_batched_tokens=TOKENS_AT_ONCE,
            max_logprobs=2 * self._limits.width,
            enable_prefix_caching=True,
            block_size=BLOCK_SIZE,
            kv_cache_memory_bytes=KV_CACHE_BYTES,
            enforce_eager=True,
            generation_config="vllm",
            distributed_executor_backend="vllm.v1.executor.uniproc_executor.UniProcExecutor",
            ir_op_priority=PRIORITY,
            disable_log_stats=True,
        )

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> Any:
        """Batches of `concurrency` prompts, all beams of which take each step together."""
        from vllm.sampling_params import BeamSearchParams

        params = BeamSearchParams(beam_width=width, max_tokens=self._bundle.index.depth, ignore_eos=True)
        tokens = [{"prompt_token_ids": prompt} for prompt in prompts]
        return self._llm.beam_search(tokens, params, concurrency_limit=concurrency)

    def leaves(self, answer: Any) -> list[list[int]]:
        """The items that the last tokens of every sequence spell."""
        depth = self._bundle.index.depth
        return [[self._bundle.leaf(sequence.tokens[-depth:]) for sequence in output.sequences] for output in answer]

    def stop(self) -> None:
        """Stop vLLM."""
        self._llm.llm_engine.engine_core.shutdown(timeout=STOP_SECONDS)
