"""Columns of more than 2 GiB of text, which cost little here: many chunks share the text of one, or it is all zeros."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.data.columns import long_text
from catalog.data.columns.long_text import MAX_TEXT, as_strings, encoded, taken
from catalog.data.columns.types import to_column_type
from catalog.data.event_weights import EventWeights
from catalog.data.events import unique_events
from catalog.data.items import Items, clean_items
from catalog.data.tombstones import digest_of, drop_erased
from catalog.data.validation_report import ValidationReport
from catalog.facets import encode
from catalog.filters.columns import Holding
from trainer.data.histories import Histories

TEXT = 1 << 22
CHUNKS = MAX_TEXT // TEXT + 2

texts = st.lists(st.none() | st.sampled_from(["", "a", "bb", "ccc", "dddd" * 9]), max_size=30)


class ArrowWithShortArrays:
    """pyarrow, whose arrays hold less text: it refuses as it does beyond 2 GiB."""

    def __init__(self, fits):
        self._fits = max(fits, 36)

    def __getattr__(self, name):
        return getattr(pa, name)

    def concat_arrays(self, arrays):
        joined = pa.concat_arrays(arrays)
        if len("".join(value or "" for value in joined.to_pylist())) > self._fits:
            raise pa.ArrowInvalid("offset overflow while concatenating arrays")
        return joined


def chunked(values, cut):
    return pa.chunked_array([values[:cut], values[cut:]], pa.string())


@pytest.fixture(scope="module")
def long_column():
    """One value so often that all together are too long for one array."""
    return pa.chunked_array([pa.array(["x" * TEXT])] * CHUNKS)


@given(texts, st.integers(0, 30))
def test_codes_number_the_values_as_they_first_occur(values, cut):
    codes = encoded(chunked(values, cut))
    assert codes.to_pylist() == values
    assert codes.dictionary.to_pylist() == list(dict.fromkeys(value for value in values if value is not None))


@given(texts, st.integers(0, 30), st.randoms(), st.integers(1, 60))
def test_rows_are_taken_in_any_order_whatever_fits_into_an_array(values, cut, random, fits):
    """An array is made to refuse more text than `fits`, so pieces of which some rows have more than others are cut."""
    order = random.sample(range(len(values)), len(values))
    table = pa.table({"text": chunked(values, cut), "row": pa.chunked_array([range(len(values))], pa.int64())})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(long_text, "MAX_TEXT", fits)
        patch.setattr(long_text, "PIECE", 4 * fits)
        patch.setattr(long_text, "pa", ArrowWithShortArrays(fits))
        several = taken(table, np.array(order, np.int64))
    assert several.schema == table.schema
    assert several.to_pylist() == [{"text": values[row], "row": row} for row in order]


def test_rows_of_a_column_that_no_array_holds_are_taken(long_column):
    rows = taken(pa.table({"text": long_column}), np.array([CHUNKS - 1, 0]))["text"]
    assert rows.equals(long_column.slice(0, 2))


@pytest.mark.parametrize("kind", [pa.large_string(), pa.large_binary()])
def test_a_long_array_of_a_file_becomes_several(kind):
    text = pa.py_buffer(np.zeros(CHUNKS * TEXT, np.uint8))
    offsets = pa.py_buffer(np.arange(CHUNKS + 1, dtype=np.int64) * TEXT)
    column = pa.chunked_array([pa.Array.from_buffers(kind, CHUNKS, [None, offsets, text])])
    converted, _ = to_column_type(column)
    assert (converted.type, len(converted)) == (pa.string(), CHUNKS)
    assert pc.binary_length(converted).to_pylist() == [TEXT] * CHUNKS


def test_a_long_dictionary_becomes_several_strings(monkeypatch):
    monkeypatch.setattr("catalog.data.columns.types.ROWS", 2)
    column = pa.chunked_array([pa.array(["a", "b", "a", None, "b"]).dictionary_encode()])
    converted, _ = to_column_type(column)
    assert converted.to_pylist() == ["a", "b", "a", None, "b"]
    assert [len(chunk) for chunk in converted.chunks] == [2, 2, 1]


def test_every_kind_of_text_stays_as_it_is():
    values = ["a", None, "é", ""]
    for kind in (pa.large_string(), pa.string_view()):
        column = pa.chunked_array([pa.array(values, kind).slice(1), pa.array(values, kind)])
        assert as_strings(column).to_pylist() == values[1:] + values


def events(**own):
    """As many events of one user and item, with columns of their own."""
    columns = {"user_id": "u", "item_id": "i", "type": "view", "query": "q", "event_id": "e"}
    table = {name: pa.chunked_array([[value] * CHUNKS]) for name, value in columns.items()}
    return pa.table({**table, "timestamp": list(range(CHUNKS, 0, -1)), **own})


def test_events_with_long_ids_are_unique(long_column):
    report = ValidationReport("events")
    assert unique_events([events(user_id=long_column)], report)["timestamp"].to_pylist() == [CHUNKS]
    assert report.faults["duplicate event_id"].count == CHUNKS - 1


def test_events_with_long_ids_are_erased(long_column):
    kept = drop_erased(events(user_id=long_column), {digest_of("x" * TEXT): CHUNKS - 2})
    assert kept["timestamp"].to_pylist() == [CHUNKS, CHUNKS - 1]


def test_events_with_long_ids_count_unless_a_dislike_follows(long_column):
    kinds = ["view"] * CHUNKS
    kinds[-5] = "dislike"  # of the time 5
    weights = EventWeights().of_events(events(item_id=long_column, type=kinds))
    assert weights.tolist() == [1.0] * (CHUNKS - 5) + [0.0] * 5


def test_histories_are_made_of_events_with_long_words(long_column):
    items = Items(clean_items(pa.table({"item_id": ["i"]}), ValidationReport("items")))
    histories = Histories.from_events(events(query=long_column), items)
    assert (len(histories), histories.times_E.tolist()) == (1, [1])  # all are one, because nothing differs


def test_values_of_a_long_column_are_counted(long_column):
    codes = encode(long_column, Holding.STRINGS)
    assert codes.counts(np.ones(CHUNKS, bool)).tolist() == [CHUNKS]
