"""An event loop whose clock jumps to the next thing that is due: hours of waiting in milliseconds, always the same."""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run"]

Result = TypeVar("Result")


class JumpingSelector(selectors.SelectSelector):
    """Passes the time that a loop would sleep."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        assert timeout is not None, "nothing is due any more, and something still waits"
        self.now += timeout
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jumping = JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now


def run(work: Coroutine[Any, Any, Result]) -> Result:
    """The result of work that knows the time by its loop alone."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
