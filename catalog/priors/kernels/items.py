"""What items are: which words of a query they have, and how like a history they are.

Shapes: N items, C candidates, F features, H items of a history, Q readings of a query's words, P words of a query, S
states of items, B bounds of the fields of one, W words of all states.
"""

from __future__ import annotations

import numpy as np

from catalog.priors.kernels.compiled import Array, compiled

__all__ = ["compare_words", "tastes"]

LAST_BITS = 1_023
"""Of a word's number, by which most words that no query has are told apart at once."""


@compiled
def _find(
    word_W: Array,
    begin: int,
    end: int,
    known_H: Array,
    number_Q: Array,
    place_Q: Array,
    weight_Q: Array,
    found_P: Array,
    at_P: Array,
) -> bool:
    """How sure each word of a query is among the words from `begin` up to `end`, and where the surest reading is.

    known_H: whether a reading ends with the bits that are the place.

    Returns whether there is any; without one nothing is written.
    """
    met = False
    for entry in range(begin, end):
        word = word_W[entry]
        if not known_H[word & LAST_BITS]:
            continue
        reading = np.searchsorted(number_Q, word)
        while reading < len(number_Q) and number_Q[reading] == word:
            if not met:
                found_P[:] = 0.0
                met = True
            if weight_Q[reading] > found_P[place_Q[reading]]:
                found_P[place_Q[reading]] = weight_Q[reading]
                at_P[place_Q[reading]] = entry
            reading += 1
    return met


@compiled
def _beside(found_P: Array, at_P: Array, rarity_P: Array) -> float:
    """The share of words beside each other in the query that were found beside each other, in their order."""
    found, asked = 0.0, 1e-9
    for p in range(1, len(found_P)):
        rarity = rarity_P[p - 1] + rarity_P[p]
        asked += rarity
        if found_P[p - 1] > 0 and found_P[p] > 0 and at_P[p] == at_P[p - 1] + 1:
            found += rarity
    return found / asked


@compiled
def compare_words(
    slot_N: Array,
    bounds_SB: Array,
    word_W: Array,
    number_Q: Array,
    place_Q: Array,
    weight_Q: Array,
    rarity_P: Array,
    digit_P: Array,
    item_C: Array,
    value_CF: Array,
) -> None:
    """Fills in the columns 1 to 8 of `WORD_FEATURES`: what the words of single items say about a query.

    Fields without any of its words are passed over: the columns are 0 for them.

    slot_N: where the words of each item stand: those of field b from bounds_SB[slot, b] up to bounds_SB[slot, b + 1].
    word_W: the numbers of words. The fields are those of `MATCHED`.
    number_Q, place_Q, weight_Q: as in `QueryWords`.
    rarity_P: how much each word of the query counts.
    digit_P: whether it has a digit.
    """
    words = len(rarity_P)
    known_H = np.zeros(LAST_BITS + 1, np.bool_)
    for number in number_Q:
        known_H[number & LAST_BITS] = True
    rarity, digits = max(rarity_P.sum(), 1e-9), digit_P.sum()
    found_P, at_P = np.empty(words), np.empty(words, np.int64)
    for place in range(len(item_C)):
        slot = slot_N[item_C[place]]
        for field in range(bounds_SB.shape[1] - 1):
            begin, end = bounds_SB[slot, field], bounds_SB[slot, field + 1]
            if not _find(word_W, begin, end, known_H, number_Q, place_Q, weight_Q, found_P, at_P):
                continue
            covered = 0.0
            for p in range(words):
                covered += found_P[p] * rarity_P[p]
            covered /= rarity
            length = max(end - begin, 1)
            if field == 0:
                value_CF[place, 1] = covered
                if digits > 0:
                    value_CF[place, 7] = (found_P * digit_P).sum() / digits
            elif field == 1:
                value_CF[place, 2] = covered
                value_CF[place, 3] = min(found_P.sum() / length, 1.0)
                value_CF[place, 8] = _beside(found_P, at_P, rarity_P)
            elif field == 2:
                value_CF[place, 4] = found_P.sum() >= length
            elif field == 3:
                value_CF[place, 5] = covered
            else:
                value_CF[place, 6] = covered


@compiled
def tastes(
    brand_N: Array, category_N: Array, log_price_N: Array, recent_H: Array, decay: float, item_C: Array, value_CF: Array
) -> None:
    """Fills in three columns: the shares of the history with an item's brand and category, and how near its price is.

    recent_H: the items of the history, the newest last; it has at least one.
    """
    weight_H = decay ** np.arange(len(recent_H))[::-1]
    weight_H /= weight_H.sum()
    usual, weight = 0.0, 0.0
    for at in range(len(recent_H)):
        if np.isfinite(log_price_N[recent_H[at]]):
            usual += weight_H[at] * log_price_N[recent_H[at]]
            weight += weight_H[at]
    for place in range(len(item_C)):
        item = item_C[place]
        for at in range(len(recent_H)):
            if brand_N[item] >= 0 and brand_N[item] == brand_N[recent_H[at]]:
                value_CF[place, 0] += weight_H[at]
            if category_N[item] >= 0 and category_N[item] == category_N[recent_H[at]]:
                value_CF[place, 1] += weight_H[at]
        if weight > 0:
            price = log_price_N[item]
            value_CF[place, 2] = np.exp(-abs(price - usual / weight)) if np.isfinite(price) else 1.0
