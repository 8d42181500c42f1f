"""An array that grows at its end while those who look at its beginning keep their own view."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Growing"]

SPARE = 1 / 4
"""Room for further rows that is made with every copy, as a part of those that are there."""


class Growing:
    """Rows that never change. What is `extended` shares the memory of what it grew from, unless there is no room."""

    def __init__(self, values: NDArray[np.generic]) -> None:
        self.values = values
        self._memory = values
        self._used = [len(values)]  # of the memory, by all who share it

    def extended(self, more: NDArray[np.generic]) -> Growing:
        """With further rows."""
        begin, end = len(self.values), len(self.values) + len(more)
        grown = Growing(self.values)
        if self._used[0] == begin and end <= len(self._memory):
            grown._memory, grown._used = self._memory, self._used
        else:
            grown._memory = np.empty((end + int(end * SPARE), *self.values.shape[1:]), self.values.dtype)
            grown._memory[:begin] = self.values
        grown._memory[begin:end] = more
        grown._used[0] = end
        grown.values = grown._memory[:end]
        return grown
