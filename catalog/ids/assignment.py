"""Assignment: a code of its own for each item of a group, so that the items are near their codes all together.

Shapes: G items of a group, C codes.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

__all__ = ["least_total", "nearly_least_total"]

MAX_EXACT = 64
"""Items that are assigned exactly in a large catalog too. Of 256 items that takes 45 µs an item, their auction 7."""
SLACK = 0.01
"""What an auction may lose on an item at most, as a part of how far the items' costs spread."""


def least_total(cost_GC: np.ndarray) -> np.ndarray:
    """The codes with the least total cost: int64 [G]."""
    from scipy.optimize import linear_sum_assignment

    code_G: np.ndarray = linear_sum_assignment(cost_GC)[1]
    return code_G


def nearly_least_total(cost_GC: np.ndarray) -> np.ndarray:
    """Codes whose total cost is at most SLACK of the mean spread of costs, for each item, above the least: int64 [G].

    By an auction (Bertsekas 1988, The auction algorithm: a distributed relaxation method for the assignment problem)
    where there are more than MAX_EXACT items.
    """
    if len(cost_GC) <= MAX_EXACT:
        return least_total(cost_GC)
    above_GC = (cost_GC - cost_GC.min(1, keepdims=True)).astype(np.float32)
    spread = float(above_GC.max(1).mean())
    code_G: np.ndarray = _auction()(above_GC, np.float32(SLACK * spread if spread > 0 else 1))
    return code_G


@cache
def _auction() -> Any:
    from numba import njit  # not above: before it is loaded, vLLM's process must have started

    return njit(cache=True)(_bid)


def _bid(cost_GC: Any, slack: Any) -> Any:
    """Each item without a code bids for that which is cheapest with its price, until all have one. Prices begin at 0
    and rise by what the next best costs more, and the slack: so a code that nobody has wanted is free to the end."""
    items, codes = cost_GC.shape
    price_C = np.zeros(codes, np.float32)
    owner_C, code_G = np.full(codes, -1, np.int64), np.full(items, -1, np.int64)
    waiting_G, waiting = np.arange(items), items
    while waiting > 0:
        item = waiting_G[waiting - 1]
        waiting -= 1
        chosen, best, second = 0, np.float32(np.inf), np.float32(np.inf)
        for code in range(codes):
            cost = cost_GC[item, code] + price_C[code]
            if cost < best:
                chosen, best, second = code, cost, best
            elif cost < second:
                second = cost
        if owner_C[chosen] >= 0:
            waiting_G[waiting] = owner_C[chosen]
            waiting += 1
        owner_C[chosen], code_G[item] = item, chosen
        price_C[chosen] += second - best + slack
    return code_G
