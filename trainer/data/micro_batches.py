"""Divides sequences into micro-batches: few passes of the model, and little padding in each.

A pass over short and long sequences together is mostly padding: 49% of what the recipe `demo` reads on the bundled
store. A pass of their own costs short ones the time of its kernels' launches, which is counted in tokens.

B sequences.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

__all__ = ["divide_by_length"]


def divide_by_length(
    lengths: Sequence[int], *, max_sequences: int, max_tokens: int | None, pass_tokens: int
) -> list[slice]:
    """The cheapest division of sequences into micro-batches, each a run of them.

    A micro-batch costs its tokens, padding counted, and `pass_tokens`; the sum is the smallest there is. Of equally
    cheap divisions it is one of few micro-batches.

    lengths: of the sequences in tokens, ascending.
    max_sequences: of a micro-batch.
    max_tokens: of a micro-batch, padding counted, unless a sequence alone has more; None for any number.
    """
    length_B = np.asarray(lengths, dtype=np.int64)
    cost = np.zeros(len(length_B) + 1)  # of the cheapest division of the sequences before a place
    begins = np.zeros(len(length_B) + 1, dtype=np.int64)  # where the last micro-batch of that division begins
    for end in range(1, len(length_B) + 1):
        longest = int(length_B[end - 1])
        most = max_sequences if max_tokens is None else min(max_sequences, max(1, max_tokens // max(longest, 1)))
        first = max(0, end - most)
        of_begin = cost[first:end] + longest * (end - np.arange(first, end)) + pass_tokens
        begins[end] = first + int(of_begin.argmin())
        cost[end] = of_begin.min()
    parts: list[slice] = []
    end = len(length_B)
    while end > 0:
        parts.append(slice(int(begins[end]), end))
        end = int(begins[end])
    return parts[::-1]
