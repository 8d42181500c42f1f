"""Every Arrow type becomes one that all later parts know, or is refused."""

import datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from catalog.data.columns.types import COLUMN_TYPES, UnusableColumn, is_column_type, to_column_type
from catalog.data.items import Items, load_items, read_items
from catalog.errors import ItemsError
from catalog.filters import parse
from tests.support.arrow_types import NOON, UNREACHABLE, samples

SAMPLES = samples()


def test_there_is_a_sample_of_every_arrow_type() -> None:
    every = {name: number for name, number in vars(pa.lib).items() if name.startswith("Type_")}
    missing = set(every.values()) - {column.type.id for _, column in SAMPLES}
    assert {name for name, number in every.items() if number in missing} == UNREACHABLE


def converted(column: pa.ChunkedArray) -> pa.ChunkedArray | None:
    """The column as it is kept; None where its type is refused."""
    try:
        return to_column_type(column)[0]
    except UnusableColumn:
        return None


REFUSED = {name for name, column in SAMPLES if converted(pa.chunked_array([column])) is None}


def test_only_what_no_filter_could_test_is_refused() -> None:
    kinds = {"struct", "map", "list", "dense_union", "sparse_union", "month_day_nano_interval"}
    assert {name.split("<")[0] for name in REFUSED} == kinds


@pytest.mark.parametrize(
    "column",
    [column for name, column in SAMPLES if name not in REFUSED],
    ids=[n for n, _ in SAMPLES if n not in REFUSED],
)
def test_what_is_kept_is_of_the_few_types_read_again_and_stays(column: pa.Array, tmp_path: Path) -> None:
    kept, _ = to_column_type(pa.chunked_array([column, column.slice(1), column.slice(0, 0)]))
    kept.validate(full=True)
    assert is_column_type(kept.type)
    assert len(kept) == 3
    orjson.dumps(kept.to_pylist())
    again, note = to_column_type(kept)
    assert (again.equals(kept), note) == (True, None)
    pq.write_table(pa.table({"item_id": ["a", "b", "c"], "it": kept}), tmp_path / "items.parquet")
    assert read_items(tmp_path / "items.parquet")["it"].equals(kept)
    assert to_column_type(pa.chunked_array([], column.type))[0].type in COLUMN_TYPES
    assert to_column_type(pa.chunked_array([pa.nulls(2, column.type)]))[0].to_pylist() == [None, None]


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_refused_type_is_named(name: str) -> None:
    column = pa.chunked_array([dict(SAMPLES)[name]])
    with pytest.raises(UnusableColumn, match="holds scalars or lists of strings: remove it") as refused:
        to_column_type(column)
    assert str(column.type) in str(refused.value)


def of(values: object, kind: pa.DataType) -> pa.Array:
    return pa.array(values, kind)


HALF = NOON * 10**9 + 500
SECOND_OF_NOON = datetime.datetime(2025, 11, 20, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("column", "value", "note"),
    [
        (of([HALF], pa.timestamp("ns")), SECOND_OF_NOON.replace(tzinfo=None), "times are cut to whole microseconds"),
        (of([-1], pa.timestamp("ns")), datetime.datetime(1969, 12, 31, 23, 59, 59, 999_999), "times are cut"),
        (of([NOON], pa.timestamp("s", "Mars/Olympus")), SECOND_OF_NOON, "not Mars/Olympus"),
        (of([NOON], pa.timestamp("s", "Europe/Berlin")), SECOND_OF_NOON, "kept in UTC"),
        (of([-62_135_596_800], pa.timestamp("s")), datetime.datetime(1, 1, 1), None),
        (of([253_402_300_799], pa.timestamp("s")), datetime.datetime(9999, 12, 31, 23, 59, 59), None),
        (of([-1], pa.date64()), datetime.date(1969, 12, 31), "times of day are cut off"),
        (of([1], pa.time64("ns")), "00:00:00.000000001", None),
        (of([1500], pa.time32("ms")), "00:00:01.500", None),
        (of([1], pa.duration("ns")), 1e-9, "seconds"),
        (of([-90_500], pa.duration("ms")), -90.5, "seconds"),
        (of([b"\x89PNG"], pa.large_binary()), "iVBORw==", "base64"),
        (of(["é".encode()], pa.binary(2)), "é", "UTF-8"),
        (of([0.1], pa.float32()), 0.1, None),
        (of([0.1], pa.float16()), 0.1, None),
        (of([float("nan")], pa.float64()), None, None),
        (of([float("-inf")], pa.float32()), None, "1 infinite numbers"),
        (of([Decimal("19.99")], pa.decimal64(4, 2)), 19.99, None),
        (of([Decimal(2**63)], pa.decimal128(20, 0)), 2**63, None),
        (of([Decimal(-(10**21))], pa.decimal128(22, 0)), "-1000000000000000000000", "64 bits"),
        (of([Decimal("120000")], pa.decimal128(6, -2)), 120_000, None),
        (of([200], pa.uint8()), 200, None),
        (of([["a"]], pa.list_(pa.dictionary(pa.int8(), pa.string()))), ["a"], None),
        (of([["a"]], pa.large_list_view(pa.large_string())), ["a"], None),
        (of(["x"], pa.dictionary(pa.int8(), pa.large_string())), "x", None),
        (of([NOON], pa.int64()).cast(pa.timestamp("s")).dictionary_encode(), datetime.datetime(2025, 11, 20, 12), None),
        (pc.run_end_encode(of([b"a"], pa.binary())), "a", "UTF-8"),
    ],
    ids=str,
)
def test_values_keep_their_meaning(column: pa.Array, value: object, note: str | None) -> None:
    kept, said = to_column_type(pa.chunked_array([column]))
    assert kept.to_pylist() == [value]
    assert (note or "") in (said or "")
    assert (said is None) == (note is None)


def write(folder: Path, **columns: pa.Array) -> Path:
    path = folder / "items.parquet"
    pq.write_table(pa.table({"item_id": ["a", "b"], **columns}), path)
    return path


@pytest.mark.parametrize(
    "column",
    [
        of([0, 253_402_300_800], pa.timestamp("s")),
        of([0, 2**60], pa.timestamp("ms", "Europe/Berlin")),
        of([0, -(2**60)], pa.timestamp("us")),
        of([0, 2**30], pa.int32()).cast(pa.date32()),
        of([0, 2**62], pa.date64()),
        of([0, -719_163], pa.int32()).cast(pa.date32()),
    ],
    ids=str,
)
def test_a_moment_that_no_calendar_has_is_refused_with_its_column_and_row(tmp_path: Path, column: pa.Array) -> None:
    with pytest.raises(ItemsError, match=r"items\.parquet: the column 'made' .* in row 2 is a (date|time) outside"):
        read_items(write(tmp_path, made=column))


@pytest.mark.parametrize("ticks", [-1, 86_400, 90_000])
def test_a_time_that_no_day_has_is_refused(ticks: int) -> None:
    with pytest.raises(UnusableColumn, match="no time of a day"):
        to_column_type(pa.chunked_array([of([ticks], pa.time32("s"))]))


def test_what_was_changed_is_said_and_can_be_filtered(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        made=of([HALF, None], pa.timestamp("ns", "Asia/Kolkata")),
        length=of([90, 10], pa.duration("s")),
        opens=of([8 * 3600, 20 * 3600], pa.time32("s")),
        weight=of([Decimal("1.5"), Decimal("2.5")], pa.decimal128(5, 1)),
        tall=of([0.1, 0.2], pa.float16()),
    )
    table, report = load_items(path)
    assert [note.split(": ")[0] for note in report.notes] == [
        "the column 'made' is timestamp[ns, tz=Asia/Kolkata]",
        "the column 'length' is duration[s]",
    ]
    text = 'made >= "2025-11-20T12:00:00Z" and length > 60 and opens < "12:00:00" and weight = 1.5 and tall = 0.1'
    assert parse(text).mask(Items(table)).tolist() == [True, False]
