"""The words of a history, and how many of them items have, by weight.

Shapes: N items, S states of items, B bounds of the fields of one, W words of all states, V words of a catalog, H items
of a history, C candidates; the first field is an item's whole text. Two columns: the history, and its last item.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from catalog.priors.kernels.compiled import Array, compiled

__all__ = ["compare_content", "content_of_items"]


@compiled
def _length(word_W: Array, begin: int, end: int, rarity_V: Array) -> Any:
    """The length of an item's vector of the rarities of its words."""
    total = 0.0
    for entry in range(begin, end):
        total += rarity_V[word_W[entry]] ** 2
    return np.sqrt(total)


@compiled
def content_of_items(
    slot_N: Array, bounds_SB: Array, word_W: Array, rarity_V: Array, recent_H: Array, decay: float, weight_VK: Array
) -> bool:
    """Adds up the words of some items, the newest last, in `weight_VK`, which is 0. Returns whether there are any.

    slot_N, bounds_SB, word_W: as `compare_words` takes them.
    rarity_V: how much each word counts.
    """
    any_word = False
    total = (1.0 - decay ** len(recent_H)) / (1.0 - decay)
    share = 1.0 / total
    for at in range(len(recent_H) - 1, -1, -1):
        item = recent_H[at]
        if item < len(slot_N):
            begin, end = bounds_SB[slot_N[item], 0], bounds_SB[slot_N[item], 1]
            length = _length(word_W, begin, end, rarity_V)
            for entry in range(begin, end):
                word = word_W[entry]
                if rarity_V[word] > 0.0:
                    any_word = True
                    weight_VK[word, 0] += share * rarity_V[word] / length
                    if at == len(recent_H) - 1:
                        weight_VK[word, 1] = rarity_V[word] / length
        share *= decay
    return any_word


@compiled
def compare_content(
    slot_N: Array,
    bounds_SB: Array,
    word_W: Array,
    rarity_V: Array,
    weight_VK: Array,
    item_C: Array,
    value_CK: Array,
) -> None:
    """Fills in, for some items, the products of their vectors with those of the history and of its last item."""
    for place in range(len(item_C)):
        slot = slot_N[item_C[place]]
        begin, end = bounds_SB[slot, 0], bounds_SB[slot, 1]
        whole, last, total = 0.0, 0.0, 0.0
        for entry in range(begin, end):
            word = word_W[entry]
            rarity = rarity_V[word]
            total += rarity**2
            whole += weight_VK[word, 0] * rarity
            last += weight_VK[word, 1] * rarity
        if total > 0.0:
            length = np.sqrt(total)
            value_CK[place, 0] = whole / length
            value_CK[place, 1] = last / length
