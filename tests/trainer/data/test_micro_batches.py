"""Sequences are divided into micro-batches as cheaply as possible."""

from itertools import combinations, pairwise

from hypothesis import given
from hypothesis import strategies as st

from trainer.data.micro_batches import divide_by_length


def cost(lengths: list[int], parts: list[slice], pass_tokens: int) -> int:
    return sum(len(lengths[part]) * max(lengths[part]) + pass_tokens for part in parts)


def all_divisions(count: int) -> list[list[slice]]:
    found = []
    for cuts in range(count):
        for places in combinations(range(1, count), cuts):
            bounds = [0, *places, count]
            found.append([slice(a, b) for a, b in pairwise(bounds)])
    return found


@given(
    st.lists(st.integers(1, 60), min_size=1, max_size=8).map(sorted),
    st.integers(1, 9),
    st.none() | st.integers(1, 150),
    st.integers(0, 100),
)
def test_no_division_within_the_limits_is_cheaper(
    lengths: list[int], max_sequences: int, max_tokens: int | None, pass_tokens: int
) -> None:
    def fits(part: slice) -> bool:
        count = part.stop - part.start
        return count <= max_sequences and (
            max_tokens is None or count * lengths[part.stop - 1] <= max_tokens or count == 1
        )

    parts = divide_by_length(lengths, max_sequences=max_sequences, max_tokens=max_tokens, pass_tokens=pass_tokens)
    assert [place for part in parts for place in range(part.start, part.stop)] == list(range(len(lengths)))
    assert all(map(fits, parts))
    allowed = [division for division in all_divisions(len(lengths)) if all(map(fits, division))]
    assert cost(lengths, parts, pass_tokens) == min(cost(lengths, division, pass_tokens) for division in allowed)


def test_sequences_of_one_length_stay_together_and_short_ones_leave_long_ones() -> None:
    assert divide_by_length([7] * 100, max_sequences=1024, max_tokens=None, pass_tokens=0) == [slice(0, 100)]
    mixed = [10] * 100 + [200] * 3
    assert divide_by_length(mixed, max_sequences=1024, max_tokens=None, pass_tokens=512) == [
        slice(0, 100),
        slice(100, 103),
    ]
    assert divide_by_length(mixed, max_sequences=1024, max_tokens=None, pass_tokens=10**6) == [slice(0, 103)]


def test_nothing_has_no_micro_batch() -> None:
    assert divide_by_length([], max_sequences=4, max_tokens=None, pass_tokens=1) == []
