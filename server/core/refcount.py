"""Values that can be swapped for others while they are in use: each is released when its last user has left."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

__all__ = ["RefCounted", "Swappable"]

Value = TypeVar("Value")


class RefCounted(Generic[Value]):
    """A value and the number of its users. It belongs to one event loop."""

    def __init__(self, value: Value) -> None:
        self.value = value
        self.users = 0
        self._idle = asyncio.Event()
        self._idle.set()

    @contextmanager
    def use(self) -> Iterator[Value]:
        """The value, with one user more until the block ends."""
        self.users += 1
        self._idle.clear()
        try:
            yield self.value
        finally:
            self.users -= 1
            if self.users == 0:
                self._idle.set()

    async def wait_idle(self) -> None:
        """Returns when the value has no users."""
        await self._idle.wait()


class Swappable(Generic[Value]):
    """The current value. Users that came before a swap keep the value that was current then."""

    def __init__(self, value: Value) -> None:
        self._current = RefCounted(value)

    @property
    def value(self) -> Value:
        """The current value, to be read once. To go on using it beyond an await, `use` it."""
        return self._current.value

    @contextmanager
    def use(self) -> Iterator[Value]:
        """The current value, with one user more until the block ends."""
        with self._current.use() as value:
            yield value

    def swap(self, value: Value) -> RefCounted[Value]:
        """Makes `value` the current one and returns the old one, which may still have users."""
        old, self._current = self._current, RefCounted(value)
        return old
