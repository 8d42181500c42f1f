from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from catalog.text.prompts import Interaction, PromptFormat
from server.storage.protocol import EMPTY, History, Visit, interactions_of
from tests.support.small_shop import NAMES, make_items, make_prompts

ITEMS = make_items()
PROMPTS: PromptFormat = make_prompts()

QUERIES = st.one_of(st.none(), st.sampled_from(["tent", "rope"]))
known = st.tuples(st.sampled_from(NAMES[:5]), QUERIES)
visits = st.tuples(st.sampled_from([*NAMES[:5], "sold out"]), QUERIES)


def kept(events: list[Visit], bound: int) -> History:
    """What a store that keeps `bound` events returns after all of `events`."""
    runs = sum(left != right for left, right in pairwise([None, *events]))
    return History(tuple(events[-bound:]), runs)


def test_nothing_is_known_of_a_stranger() -> None:
    assert interactions_of(EMPTY, ITEMS) == []
    assert EMPTY.first([]) == 0


def test_repeats_of_one_item_for_one_query_collapse() -> None:
    history = History(tuple(("item-9", query) for query in (None, None, "tent", "tent", "rope", None)), runs=4)
    assert interactions_of(history, ITEMS) == [Interaction(9, q) for q in (None, "tent", "rope", None)]


def test_repeats_collapse_after_unknown_items_are_skipped() -> None:
    history = History((("item-9", None), ("sold out", None), ("item-9", None)), runs=3)
    assert interactions_of(history, ITEMS) == [Interaction(9)]


@given(st.lists(visits, max_size=60), st.integers(1, 30))
def test_no_two_neighbours_are_equal(events: list[Visit], bound: int) -> None:
    shown = interactions_of(kept(events, bound), ITEMS)
    assert all(left != right for left, right in pairwise(shown))


@given(st.lists(visits, max_size=30), st.lists(known, min_size=1, max_size=60), st.integers(1, 30))
def test_interactions_keep_their_position(past: list[Visit], news: list[Visit], bound: int) -> None:
    """Whatever was repeated, has left the catalog or falls off the far end, so that prompts keep their beginning."""
    seen: dict[int, Interaction] = {}
    for length in range(1, len(news) + 1):
        history = kept([*past, *news[:length]], bound)
        shown = interactions_of(history, ITEMS)
        positions = dict(enumerate(shown, history.first(shown)))
        assert all(seen.get(position, interaction) == interaction for position, interaction in positions.items())
        assert max(positions) == history.runs - 1
        seen |= positions


@given(st.lists(known, min_size=40, max_size=80))
def test_a_window_moves_in_blocks_also_when_old_events_are_dropped(events: list[Visit]) -> None:
    lengths = []
    for length in range(len(events) + 1):
        history = kept(events[:length], bound=20)
        shown = interactions_of(history, ITEMS)
        start = PROMPTS.window_start(history.first(shown) + len(shown))
        assert PROMPTS.render(shown, first=history.first(shown)) == PROMPTS.render(shown[start - history.runs :])
        lengths.append(start)
    assert all(start % PROMPTS.settings.history_block == 0 for start in lengths)
