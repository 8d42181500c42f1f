"""What the benchmark asks of an engine, ours or a peer."""

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
    """The most that will be asked at once. threads: of the engine's computation."""

    width: int
    concurrency: int
    prompt: int
    threads: int


class Peer(Protocol):
    """An engine in a process of its own."""

    def start(self) -> None:
        """Load everything; return when prompts can be answered."""

    def answer(self, prompts: Sequence[Prompt], width: int, concurrency: int) -> Any:
        """Answer all prompts with a beam of `width`, at most `concurrency` at a time. This is what is timed."""

    def leaves(self, answer: Any) -> list[list[int]]:
        """The items in what `answer` returned, best first, for every prompt; -1 where it names no item."""

    def stop(self) -> None:
        """Release everything."""
