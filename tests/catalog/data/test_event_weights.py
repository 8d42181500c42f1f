"""What events count, against a plain reading of the rules, event by event."""

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.event_weights import EQUAL_WEIGHTS, EventWeights
from catalog.data.events import EventType
from server.storage.protocol import Deed, History

rows = st.lists(
    st.tuples(
        st.sampled_from("ab"),
        st.sampled_from("xyz"),
        st.integers(0, 5),
        st.sampled_from(list(EventType)),
        st.none() | st.sampled_from([1.0, 3.0, 5.0]),
    ),
    max_size=25,
)
event_weights = st.builds(
    EventWeights,
    st.dictionaries(st.sampled_from(["view", "purchase", "rating"]), st.sampled_from([0.0, 0.5, 2.0, 5.0])),
    st.none() | st.just(3.0),
)


def table(events):
    names = ("user_id", "item_id", "timestamp", "type", "value")
    kinds = (pa.string(), pa.string(), pa.int64(), pa.string(), pa.float64())
    return pa.table(
        {
            name: pa.array([row[place] for row in events], kind)
            for place, (name, kind) in enumerate(zip(names, kinds, strict=True))
        }
    )


def plainly(events, weights):
    expected = []
    for place, (user, item, time, kind, value) in enumerate(events):
        later = [
            other
            for at, other in enumerate(events)
            if other[:2] == (user, item) and other[3] == "dislike" and (other[2], at) > (time, place)
        ]
        low = kind == "rating" and value is not None and value < (weights.positive_rating or 0)
        nothing = later or low or kind in ("dislike", "impression")
        expected.append(0 if nothing else weights.weights.get(kind, 1))
    return expected


@given(rows, event_weights)
def test_every_event_counts_what_the_rules_say(events, weights):
    assert weights.of_events(table(events)).tolist() == plainly(events, weights)


@given(rows)
def test_without_settings_every_interaction_counts_one(events):
    weight_E = EQUAL_WEIGHTS.of_events(table(events))
    assert weight_E.tolist() == plainly(events, EventWeights())
    assert set(weight_E.tolist()) <= {0.0, 1.0}


def test_files_without_values_have_no_low_ratings():
    events = table([("a", "x", 0, "rating", 1.0)])
    weights = EventWeights(positive_rating=3)
    assert weights.of_events(events).tolist() == [0]
    assert weights.of_events(events.drop_columns(["value"])).tolist() == [1]


@pytest.mark.parametrize("settings", [{}, {"events": None}, {"events": {}}, {"events": {"weights": {}}}])
def test_a_bundle_without_settings_of_events_has_equal_weights(settings):
    assert EventWeights.of_settings(settings) == EQUAL_WEIGHTS


@given(rows)
def test_histories_of_servers_and_of_training_have_the_same_events(events):
    """The server has them in order of time, those of one moment in the order in which they came."""
    own = sorted((row for row in events if row[0] == "a" and row[3] != "impression"), key=lambda row: row[2])
    history = History.of([Deed(item, None, kind.value, value) for _, item, _, kind, value in own], 0)
    weight_E = EQUAL_WEIGHTS.of_events(table(own))
    kept = [row for row, weight in zip(own, weight_E.tolist(), strict=True) if weight > 0]
    assert [item for item, _ in history.visits] == [row[1] for row in kept]
    assert history.types == tuple(row[3].value for row in kept)
    disliked = {row[1] for row in own if row[3] == "dislike"}
    assert history.disliked == disliked - {row[1] for row in kept}
