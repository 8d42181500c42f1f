"""Something that is replaced while others still use it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

__all__ = ["RefCounted", "Swappable"]

Value = TypeVar("Value")


class RefCounted(Generic[Value]):
    """A value, and how many use it now. Of one event loop."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self.users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def use(self) -> Iterator[Value]:
        """The value, which counts as used inside."""
        self.users += 1
        self._idle.clear()
        try:
            yield self.value
        finally:
            self.users -= 1
            if self.users == 0:
                self._idle.set()

    async def idle(self) -> None:
        """Returns when nobody uses the value."""
        await self._idle.wait()


class Swappable(Generic[Value]):
    """The value that whoever comes now should use; those who came before keep the one they were given."""

    def __init__(self, value: Value) -> None:
        self._leased = RefCounted(value)

    @property
    def value(self) -> Value:
        """For a look; to go on using it while it may be replaced, `use` it."""
        return self._leased.value

    @contextmanager
    def use(self) -> Iterator[Value]:
        """The present value, to the end of the block."""
        with self._leased.use() as value:
            yield value

    async def idle(self) -> None:
        """Returns when nobody uses the present value."""
        await self._leased.idle()

    def replace(self, value: Value) -> RefCounted[Value]:
        """Give `value` to whoever comes from now on; the old one, with its users."""
        old, self._leased = self._leased, RefCounted(value)
        return old
