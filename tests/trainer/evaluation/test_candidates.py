import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.items import Items
from trainer.data.histories import Histories
from trainer.data.splits import leave_one_out
from trainer.evaluation.candidates import NEGATIVES, Candidates, sampled_candidates, whole_catalog

TAKEN = 12  # items of each user, consecutive ones


def shop(items, users=3):
    """Items of one title each, and users who took TAKEN of them, half by searching."""
    ids = [f"item-{row:04d}" for row in range(items)]
    table = pa.table({"item_id": ids, "title": ids})
    rows = [
        (f"u{user}", ids[(TAKEN * user + step) % items], 1_700_000_000_000 + step, "word" if step % 2 else None)
        for user in range(users)
        for step in range(TAKEN)
    ]
    user, item, time, query = zip(*rows, strict=True)
    columns = {"user_id": user, "item_id": item, "timestamp": time, "type": ["view"] * len(rows)}
    events = pa.table(columns | {"query": pa.array(query, pa.string())})
    return Items(table), events


def drawn(items, events, seed=0):
    split = leave_one_out(Histories.from_events(events, items))
    return split, sampled_candidates(split.full, split.test, items, seed=seed)


@pytest.mark.parametrize("catalog", [40, 111, 2000])
def test_the_right_item_is_among_as_many_others_as_there_are_none_of_them_the_users(catalog):
    split, candidates = drawn(*shop(catalog))
    assert len(split.test) == 6
    for question, own in zip(split.test, candidates, strict=True):
        taken = set(split.full.items_E[split.full.span(question.user)].tolist())
        allowed = own.allowed.tolist()
        assert len(allowed) == min(NEGATIVES, catalog - TAKEN) + 1
        assert allowed == sorted(set(allowed))
        assert set(allowed) & taken == {question.item}


def test_a_seed_gives_the_same_items_however_the_bundle_numbers_them():
    items, events = shop(500)
    turned = Items(items.table.take(np.random.default_rng(1).permutation(500)))
    ids = [
        [sorted(catalog.ids[leaf] for leaf in own.allowed) for own in drawn(catalog, events, seed)[1]]
        for catalog, seed in ((items, 7), (turned, 7), (items, 8))
    ]
    assert ids[0] == ids[1] != ids[2]


def test_negatives_are_uniform():
    items, events = shop(300, users=1)
    counts = np.zeros(300)
    draws = 400
    for seed in range(draws):
        _, candidates = drawn(items, events, seed)
        counts[candidates[0].allowed] += 1
    share = NEGATIVES / (300 - TAKEN)
    spread = np.sqrt(draws * share * (1 - share))
    assert np.abs(counts[TAKEN:] - draws * share).max() < 5 * spread
    assert counts[TAKEN:].std() < 1.3 * spread


def test_recommendations_leave_out_what_the_user_had_before():
    split, _ = drawn(*shop(40))
    for seen in (True, False):
        for question, own in zip(split.test, whole_catalog(split.full, split.test, exclude_seen=seen), strict=True):
            before = set(split.full.items_E[question.start : question.stop].tolist())
            assert own.allowed is None
            assert set(own.excluded.tolist()) == (before if seen and question.task == "recommendation" else set())


@given(
    scores=st.lists(st.integers(0, 5), min_size=1, max_size=20),
    excluded=st.sets(st.integers(0, 19)),
    allowed=st.none() | st.sets(st.integers(0, 19)),
    k=st.integers(1, 25),
)
def test_the_best_are_the_first_of_the_sorted_candidates(scores, excluded, allowed, k):
    count = len(scores)
    left = [leaf for leaf in range(count) if leaf not in excluded and (allowed is None or leaf in allowed)]
    expected = sorted(left, key=lambda leaf: (-scores[leaf], leaf))[:k]
    own = Candidates(
        np.array(sorted(leaf for leaf in excluded if leaf < count), int),
        None if allowed is None else np.array(sorted(leaf for leaf in allowed if leaf < count), int),
    )
    assert own.best(np.array(scores, float), k).tolist() == expected
