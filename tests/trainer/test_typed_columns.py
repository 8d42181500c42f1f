"""A catalog with a column of every type that a file may hold is trained on, published, read again and filtered."""

from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from catalog.bundle.bundle import open_bundle
from catalog.data.columns.types import UnusableColumn, to_column_type
from catalog.data.items import ITEMS_SCHEMA
from catalog.filters import parse
from tests.support import world
from tests.support.arrow_types import samples
from trainer.config.recipe import load_recipe
from trainer.pipeline import run


def is_kept(column: pa.Array) -> bool:
    try:
        to_column_type(pa.chunked_array([column]))
    except UnusableColumn:
        return False
    return True


def padded(column: pa.Array, rows: int) -> pa.Array:
    return pa.chunked_array([column] * (rows // len(column))).combine_chunks()


def test_a_bundle_has_every_column_that_its_items_file_had(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    items, events = world.write_world(tmp_path)
    table, happened = pq.read_table(items), pq.read_table(events)
    writable = [column for _, column in samples() if is_kept(column) and not pa.types.is_run_end_encoded(column.type)]
    for number, column in enumerate(writable):
        table = table.append_column(f"c{number}", padded(column, len(table)))
        happened = happened.append_column(f"c{number}", padded(column, len(happened)))
    pq.write_table(table.append_column("score", pa.array(range(len(table)))), items)
    pq.write_table(happened, events)
    bundle = open_bundle(run(items, events, tmp_path / "bundles", load_recipe("small", list(world.TINY)), resume=False))
    assert bundle.items.table.column_names == [
        *ITEMS_SCHEMA.columns.names,
        *(f"c{number}" for number in range(len(writable))),
        "score_",
    ]
    orjson.dumps(bundle.items.record(0))
    for number, column in enumerate(writable):
        has_value = len(table) // 2 * (2 - column.null_count) if column.type != pa.list_(pa.null()) else 0
        assert parse(f"exists(c{number})").mask(bundle.items).sum() == has_value, column.type
    assert "the column 'score' is kept as 'score_'" in capsys.readouterr().out
