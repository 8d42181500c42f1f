"""Histories that are prepared on disk are those that are read into memory, bit for bit."""

import tempfile
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from catalog.data.event_weights import EQUAL_WEIGHTS, EventWeights
from catalog.data.events import EventType, drop_unknown_items
from catalog.data.items import Items, clean_items
from catalog.data.tombstones import digest_of, read_kept_events, write_tombstones
from catalog.data.validation_report import ValidationReport
from catalog.text.prompts import TASKS
from trainer.core.errors import TrainerError
from trainer.data import histories as histories_module
from trainer.data.histories import Histories
from trainer.data.prepared import (
    draws_of,
    open_split,
    prepare_histories,
    sorted_events,
    split_of_files,
    store_draws,
    store_split,
)
from trainer.data.questions import Split
from trainer.data.splits import SPLITS

ITEMS = Items(clean_items(pa.table({"item_id": ["x", "y", "é", "lost"]}), ValidationReport("items")))
SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "timestamp": pa.int64(),
        "type": pa.string(),
        "query": pa.string(),
        "event_id": pa.string(),
        "value": pa.float64(),
    }
)

event = st.tuples(
    st.sampled_from(["a", "b", "B", "ä", "", None]),
    st.sampled_from(["x", "y", "é", "unknown", None]),
    st.integers(1_700_000_000_000, 1_700_000_000_004) | st.sampled_from([-1, 2**62, None]),
    st.sampled_from([*EventType, *["view"] * 5, "stare", None]),
    st.sampled_from([None, None, "tent", "Tent", " ", "\u2003", "rope"]),
    st.sampled_from([None, None, "1", "2", ""]),
    st.sampled_from([None, 2.0, 5.0, float("nan"), float("inf")]),
)
tables = st.lists(st.lists(event, max_size=12), min_size=1, max_size=3)
weights_of = st.sampled_from([EQUAL_WEIGHTS, EventWeights({"purchase": 5.0, "view": 0.5, "click": 0.0}, 3.0)])


def written(folder: Path, rows: Sequence[Sequence[tuple[Any, ...]]]) -> list[Path]:
    files = [folder / f"{number}.parquet" for number in range(len(rows))]
    for file, part in zip(files, rows, strict=True):
        columns = [[row[place] for row in part] for place in range(len(SCHEMA))]
        pq.write_table(pa.table(columns, SCHEMA), file, row_group_size=3)
    return files


def in_memory(
    files: Sequence[Path], tombstones: Sequence[Path], weights: EventWeights
) -> tuple[Histories, ValidationReport]:
    events, report = read_kept_events(files, tombstones)
    known = drop_unknown_items(events, ITEMS.table["item_id"], report, fault=False)
    return Histories.from_events(known, ITEMS, weights=weights), report


def assert_same(prepared: Histories, expected: Histories) -> None:
    assert list(prepared.users) == list(expected.users)
    assert list(prepared.texts) == list(expected.texts)
    for name in ("starts_U1", "items_E", "queries_E", "times_E", "weights_E"):
        one, other = getattr(prepared, name), getattr(expected, name)
        assert (one is None) == (other is None)
        if one is not None:
            assert one.dtype == other.dtype
            np.testing.assert_array_equal(one, other)


def assert_same_split(prepared: Split, expected: Split) -> None:
    assert_same(prepared.train, expected.train)
    assert list(prepared.validation) == list(expected.validation)
    assert list(prepared.test) == list(expected.test)
    for by in ("events", "root", "uniform"):
        store_draws(prepared.train, by)
        for task in TASKS:
            for one, other in zip(draws_of(prepared.train, task, by), draws_of(expected.train, task, by), strict=True):
                np.testing.assert_array_equal(one, other)


@settings(deadline=None, max_examples=6)  # DuckDB takes half a second for each
@given(tables, weights_of, st.dictionaries(st.sampled_from("ab"), st.integers(0, 3)), st.sampled_from([1, 3, 1000]))
def test_prepared_histories_are_those_that_are_read(rows, weights, erased, batch) -> None:
    with TemporaryDirectory() as name, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_events, "BATCH", batch)
        patch.setattr(sorted_events, "IDS_AT_ONCE", 7)
        patch.setattr(histories_module, "BLOCK", batch)
        check(Path(name), rows, weights, erased)


def test_a_log_of_many_events_is_prepared_as_it_is_read(tmp_path: Path) -> None:
    """Drawn tables are mostly broken and short; this one has questions, dislikes, repetitions and weights."""
    draw = np.random.default_rng(7)
    rows = [
        (
            *(str(draw.choice(["a", "b", "B", "ä"])), str(draw.choice(["x", "y", "é", "unknown"]))),
            *(1_700_000_000_000 + int(draw.integers(30)), str(draw.choice(["view", "view", "purchase", "dislike"]))),
            *(draw.choice([None, None, "tent", "rope", " "]), str(draw.integers(400)), None),
        )
        for _ in range(300)
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sorted_events, "BATCH", 50)
        patch.setattr(sorted_events, "IDS_AT_ONCE", 90)
        patch.setattr(histories_module, "BLOCK", 50)
        check(tmp_path, [rows[:200], rows[200:]], EventWeights({"purchase": 5.0, "view": 0.5}), {"a": 3})


def check(
    folder: Path, rows: Sequence[Sequence[tuple[Any, ...]]], weights: EventWeights, erased: dict[str, int]
) -> None:
    files = written(folder, rows)
    tombstones = folder / "erased.json"
    write_tombstones({digest_of(user): 1_700_000_000_000 + time for user, time in erased.items()}, tombstones)
    (out := folder / "histories").mkdir()
    try:
        expected, expected_report = in_memory(files, [tombstones], weights)
    except TrainerError:
        with pytest.raises(TrainerError, match="no event is left"):
            prepare_histories(files, [tombstones], ITEMS, out, weights=weights)
        return
    prepared, report = prepare_histories(files, [tombstones], ITEMS, out, weights=weights)
    assert (report.read, report.kept) == (expected_report.read, expected_report.kept)
    assert_same(prepared, expected)
    for split, split_of in SPLITS.items():
        (folder / split).mkdir()
        store_split(prepared, split, folder / split)
        assert_same_split(open_split(prepared, folder / split), split_of(expected))


def test_a_split_of_files_outlives_the_folder_in_which_it_was_made(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "made"))
    (tmp_path / "made").mkdir()
    rows = [(user, item, n, "view", "tent", None, None) for user in "ab" for n, item in enumerate("xyxéy")]
    files = written(tmp_path, [rows, [("c", "unknown", 1, "view", None, None, None)]])
    split, report = split_of_files(files, [], ITEMS, "leave_one_out", weights=EQUAL_WEIGHTS)
    assert not any((tmp_path / "made").iterdir())
    expected, expected_report = in_memory(files, [], EQUAL_WEIGHTS)
    assert report.omitted(sorted_events.UNKNOWN_ITEM) == expected_report.omitted(sorted_events.UNKNOWN_ITEM) == 1
    assert split.test
    assert_same(split.full, expected)
    assert_same(split.train, SPLITS["leave_one_out"](expected).train)
    assert list(split.test) == list(SPLITS["leave_one_out"](expected).test)
    draws, _ = draws_of(split.train, "search", "events")
    assert len(draws) == len(split.train)
