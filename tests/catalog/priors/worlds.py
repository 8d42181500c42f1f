"""Small random events, and what a reader of the formulas would compute from them with loops."""

import numpy as np
from hypothesis import strategies as st

from catalog.priors.events import NO_QUERY, TrainingEvents

TEXTS = ("red tent", "tents, red", "blue rope", "Rope!", "!!!")


@st.composite
def training_events(draw, *, max_users=6, max_items=7, queries=True):
    users, items = draw(st.integers(1, max_users)), draw(st.integers(1, max_items))
    query = st.integers(NO_QUERY, len(TEXTS) - 1) if queries else st.just(NO_QUERY)
    event = st.tuples(st.integers(0, users - 1), st.integers(0, items - 1), query)
    rows = sorted(draw(st.lists(event, max_size=40)), key=lambda row: row[0])
    user_E, item_E, query_E = np.array(rows, dtype=np.int64).reshape(-1, 3).T
    return TrainingEvents(users, items, user_E, item_E, query_E, TEXTS)


def histories_of(items):
    """Histories that may be empty and repeat items."""
    return st.lists(st.lists(st.integers(0, items - 1), max_size=8).map(as_history), min_size=1, max_size=4)


def as_history(items):
    return np.array(items, dtype=np.int64)


def asked_weights(history, last, decay):
    """The weight of every item that a history asks with."""
    distinct = []
    for item in reversed(history.tolist()):
        if item not in distinct:
            distinct.append(item)
    return {item: decay**age for age, item in enumerate(distinct[:last])}


def takers(events):
    """The set of users of every item."""
    of_item = [set() for _ in range(events.items)]
    for user, item in zip(events.user_E.tolist(), events.item_E.tolist(), strict=True):
        of_item[item].add(user)
    return of_item
