"""The interface of the engines that the benchmark compares."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

__all__ = ["BLOCK_SIZE", "KV_CACHE_BYTES", "Limits", "Peer", "Prompt"]

Prompt = list[int]

BLOCK_SIZE = 32
"""Tokens in a block of the key-value cache, for both that have one."""
KV_CACHE_BYTES = 1 << 30


@dataclass(frozen=True, slots=True)
class Limits:
    """The largest beam width, concurrency and prompt that an engine must be ready for.

    threads: number of threads of its computation.
    """

    width: int
    concurrency: int
    prompt: int
    threads: int


class Peer(Protocol):
    """An engine in a process of its own."""

    def start(self) -> None:
        """Load everything; return when prompts can be answered."""

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> Any:
        """Answer all prompts with a beam of `width`, at most `concurrency` at a time. Only this is timed."""

    def leaves(self, answer: Any) -> list[list[int]]:
        """The items of an answer for every prompt, best first; -1 for what is no item."""

    def stop(self) -> None:
        """Release everything."""
