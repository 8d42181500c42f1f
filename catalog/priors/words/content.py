"""Content: how like the items of a history an item is by its words, rare ones counting more.

A history is a sum of its items' words, each item divided by its length (Rocchio's profile of TF-IDF vectors), and an
item's likeness is the scalar product with its own. Words that only one item has say nothing of others.

Shapes: H items of a history, W words of an item, V words of a catalog, C candidates.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.priors.words.item_words import ItemWords

__all__ = ["CONTENT_FEATURES", "CONTENT_ITEMS", "Content", "content_of", "rarest_words"]

CONTENT_FEATURES = ("content", "content_last")
"""How like the newest items of a history together an item is, and how like the last one, each from 0 to 1."""
CONTENT_ITEMS = 10
"""Items of a history that count."""
DECAY = 0.8
"""The weight of an item of a history against the one after it."""
ASKED = 8
"""Words of an item that find others like it."""


@dataclass(frozen=True, slots=True, eq=False)
class Content:
    """The words of a history.

    weight_VK: how much every word of the catalog counts in the history and in its last item, float32 [V, 2].
    """

    weight_VK: NDArray[np.float32]

    def compare(self, words: ItemWords, item_C: NDArray[np.int64], value_CK: NDArray[np.float32]) -> None:
        """Fill in the columns of CONTENT_FEATURES for some items."""
        from catalog.priors import kernels  # not above: it loads numba, before which vLLM's process must have started

        kernels.compare_content(
            words.slot_N, words.bounds_SB, words.word_W, words.rarity_V, self.weight_VK, item_C, value_CK
        )


def content_of(words: ItemWords, history_H: NDArray[np.int64]) -> Content | None:
    """The content of a history, oldest first; None where none of its items has a word that others have."""
    from catalog.priors import kernels

    recent_H = history_H[-CONTENT_ITEMS:]
    weight_VK = np.zeros((len(words.rarity_V), len(CONTENT_FEATURES)), np.float32)
    any_word = kernels.content_of_items(
        words.slot_N, words.bounds_SB, words.word_W, words.rarity_V, recent_H, DECAY, weight_VK
    )
    return Content(weight_VK) if any_word else None


def rarest_words(words: ItemWords, item: int) -> list[tuple[str, float]]:
    """The words of an item that say most about it and that others have, and how much each counts."""
    if item not in words:
        return []
    number_W = words.text_of(item)
    rarity_W = words.rarity_V[number_W]
    most = np.argsort(-rarity_W, kind="stable")[:ASKED]
    told = zip(number_W[most].tolist(), rarity_W[most].tolist(), strict=True)
    return [(words.word_of[number], rarity) for number, rarity in told if rarity > 0]
