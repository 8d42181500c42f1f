"""Asking several servers the same at once, of which some may be silent, and the quickest may know least."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

__all__ = ["ask_all"]

Answer = TypeVar("Answer")

GRACE_SECONDS = 0.05
"""After an answer that suffices: the server that answers first may have been cut off, and know what was before."""


async def ask_all(
    questions: Sequence[Coroutine[Any, Any, Answer]], suffices: Callable[[Answer], bool]
) -> list[Answer | None]:
    """The answer to each question; None for those that are given up.

    questions: are asked at once. They raise nothing.
    suffices: whether an answer lets the others have no more than GRACE_SECONDS from one answer to the next.
    """
    tasks = [asyncio.create_task(question) for question in questions]
    waiting, grace = set(tasks), None
    try:
        while waiting:
            done, waiting = await asyncio.wait(waiting, timeout=grace, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            if any(suffices(task.result()) for task in done):
                grace = GRACE_SECONDS
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return [None if task in waiting else task.result() for task in tasks]
