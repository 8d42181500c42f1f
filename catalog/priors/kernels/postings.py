"""Which items have the words of a query, by lists of those that have each word.

Shapes: N items, S states of items, B bounds of the fields of one, W words of all states, V words, E words of all
states, each once a state, Q words that are readings of a query's.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from catalog.priors.kernels.compiled import Array, compiled_without_lock

__all__ = ["list_states", "matching_words"]


@compiled_without_lock
def list_states(bounds_SB: Array, word_W: Array, words: int) -> tuple[Array, Array]:
    """The states that have each of so many words: where each word's begin, int64 [V + 1], and they, int32 [E].

    bounds_SB, word_W: as in `compare_words`.
    """
    last_V, first_V1 = np.full(words, -1, np.int32), np.zeros(words + 1, np.int64)
    for state in range(len(bounds_SB)):
        for entry in range(bounds_SB[state, 0], bounds_SB[state, -1]):
            word = word_W[entry]
            if last_V[word] != state:  # a word of several fields counts once
                last_V[word] = state
                first_V1[word + 1] += 1
    first_V1 = np.cumsum(first_V1)
    state_E, next_V = np.empty(first_V1[-1], np.int32), first_V1[:-1].copy()
    last_V[:] = -1
    for state in range(len(bounds_SB)):
        for entry in range(bounds_SB[state, 0], bounds_SB[state, -1]):
            word = word_W[entry]
            if last_V[word] != state:
                last_V[word] = state
                state_E[next_V[word]] = state
                next_V[word] += 1
    return first_V1, state_E


@compiled_without_lock
def matching_words(
    slot_N: Array,
    bounds_SB: Array,
    word_W: Array,
    first_V1: Array,
    state_E: Array,
    listed: int,
    word_Q: Array,
    bits_V: Array,
    every: Any,
) -> Any:
    """Of every item 2 where it has a reading of each word of a query in some field, 1 where it has some, uint8 [N].

    first_V1, state_E, listed: as in `Postings`; states from `listed` on are looked through.
    word_Q: the words that are readings of the query's.
    bits_V: of each word that items have, a bit for every word of the query that it is a reading of, unsigned.
    every: all of these bits, of the same type. The others: as in `compare_words`.
    """
    has_S = np.zeros(len(bounds_SB), bits_V.dtype)
    for word in word_Q:
        if word < len(first_V1) - 1:
            for entry in range(first_V1[word], first_V1[word + 1]):
                has_S[state_E[entry]] |= bits_V[word]
    for state in range(listed, len(bounds_SB)):
        for entry in range(bounds_SB[state, 0], bounds_SB[state, -1]):
            has_S[state] |= bits_V[word_W[entry]]  # without a branch, which would be foretold wrongly for common words
    match_N = np.zeros(len(slot_N), np.uint8)
    for item in range(len(slot_N)):
        has = has_S[slot_N[item]]
        if has != 0:
            match_N[item] = 2 if has == every else 1
    return match_N
