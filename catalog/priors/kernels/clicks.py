"""Texts like a query, and what was taken after them.

Shapes: T texts, V words, K words of a query, S texts that are like it or items that were taken after these, C cells of
a LiveCounts.
"""

from __future__ import annotations

import numpy as np

from catalog.priors.kernels.compiled import Array, add_to, compiled, empty_sum, entries_of

__all__ = ["alike_texts", "sum_of_clicks"]


@compiled
def alike_texts(
    starts: Array,
    texts: Array,
    head_V: Array,
    next_C: Array,
    text_C: Array,
    bounds_T2: Array,
    word_W: Array,
    events_T: Array,
    rarity_V: Array,
    word_K: Array,
    length: float,
) -> tuple[Array, Array]:
    """The texts that share words with a query, and their cosines: int64 [S] in any order, float64 [S].

    starts, texts: the texts with each word that were fitted; those of word v are texts[starts[v] : starts[v + 1]].
    head_V, next_C, text_C: those that came since; see `LiveCounts`.
    bounds_T2: the words of text t are those of `word_W` from bounds_T2[t, 0] up to bounds_T2[t, 1].
    events_T: how many events came after each text; one without any is passed over.
    rarity_V: the weight of each word.
    word_K: the known words of the query.
    length: of the query.
    """
    text_S, alike_S, table, bits = empty_sum(entries_of(starts, head_V, next_C, word_K))
    count = 0
    for word in word_K:
        weight = rarity_V[word] ** 2
        if word < len(starts) - 1:
            for entry in range(starts[word], starts[word + 1]):
                if events_T[texts[entry]] > 0:
                    count = add_to(table, bits, text_S, alike_S, count, texts[entry], weight)
        cell = head_V[word]
        while cell >= 0:
            if events_T[text_C[cell]] > 0:
                count = add_to(table, bits, text_S, alike_S, count, text_C[cell], weight)
            cell = next_C[cell]
    for place in range(count):
        squares = 0.0
        for entry in range(bounds_T2[text_S[place], 0], bounds_T2[text_S[place], 1]):
            squares += rarity_V[word_W[entry]] ** 2
        alike_S[place] /= max(length * np.sqrt(squares), 1e-12)
    return text_S[:count], alike_S[:count]


@compiled
def sum_of_clicks(
    starts: Array,
    items: Array,
    counts: Array,
    head_T: Array,
    next_C: Array,
    item_C: Array,
    amount_C: Array,
    text_R: Array,
    weight_R: Array,
) -> tuple[Array, Array]:
    """The weighted sum of log(1 + n) of the n events with each item after some texts: items in any order, and values.

    starts, items, counts: what was fitted, each text's items ascending.
    head_T, next_C, item_C, amount_C: what was counted since; see `LiveCounts`.
    """
    item_S, value_S, table, bits = empty_sum(entries_of(starts, head_T, next_C, text_R))
    count = 0
    for place in range(len(text_R)):
        text, weight, begin, end = text_R[place], weight_R[place], 0, 0
        if weight <= 0:
            continue
        if text < len(starts) - 1:
            begin, end = starts[text], starts[text + 1]
        for entry in range(begin, end):
            count = add_to(table, bits, item_S, value_S, count, items[entry], np.log1p(counts[entry]) * weight)
        cell = head_T[text]
        while cell >= 0:
            if amount_C[cell] != 0:
                before, entry = 0.0, begin + np.searchsorted(items[begin:end], item_C[cell])
                if entry < end and items[entry] == item_C[cell]:
                    before = counts[entry]
                value = np.log1p(before + amount_C[cell]) - np.log1p(before)
                count = add_to(table, bits, item_S, value_S, count, item_C[cell], value * weight)
            cell = next_C[cell]
    return item_S[:count], value_S[:count]
