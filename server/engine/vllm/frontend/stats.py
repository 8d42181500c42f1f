"""Takes the counts of vLLM's scheduler into our own metrics, after every step.

vLLM's own metrics (`vllm:…`) are those of the engine that was started last, so they say little where several answer.
"""

from typing import Any

from vllm.v1.metrics.loggers import StatLoggerBase

from server.core.metrics import PREFIX_CACHE_TOKENS

__all__ = ["PrefixCacheCounts"]


class PrefixCacheCounts(StatLoggerBase):  # type: ignore[misc]
    """Counts the tokens of prompts that were and were not in the prefix cache."""

    def __init__(self, vllm_config: Any, engine_index: int = 0) -> None:
        self._found = PREFIX_CACHE_TOKENS.labels("true")
        self._computed = PREFIX_CACHE_TOKENS.labels("false")

    def record(
        self, scheduler_stats: Any, iteration_stats: Any, mm_cache_stats: Any = None, engine_idx: int = 0
    ) -> None:
        if scheduler_stats is not None:
            cache = scheduler_stats.prefix_cache_stats
            self._found.inc(cache.hits)
            self._computed.inc(cache.queries - cache.hits)

    def log_engine_initialized(self) -> None:
        """Do nothing: there is nothing to log."""
