"""A file that cannot be used ends in an error that names it and its column; values are shown as they stand in it."""

import base64
import gzip
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.parquet.encryption as pe
import pytest

from catalog.data.events import read_events
from catalog.data.items import Items, load_items, read_items
from catalog.errors import ItemsError
from catalog.filters import parse
from catalog.importers.__main__ import main

NOON = 1_763_640_000_000
EVENTS = {"user_id": ["u", "v"], "item_id": ["a", "b"], "timestamp": [NOON, NOON], "type": ["view", "cart"]}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    pq.write_table(pa.table({"item_id": ["a", "b"], "title": ["Tent", "Rope"]}), tmp_path / "items.parquet")
    pq.write_table(pa.table(EVENTS), tmp_path / "events.parquet")
    return tmp_path


def refused(source: Path, capsys: pytest.CaptureFixture[str]) -> str:
    """What an import that fails says."""
    assert main(["jsonl", str(source), str(source / "out")]) == 2
    assert not (source / "out").exists()
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    return said


def write(source: Path, name: str, columns: dict[str, pa.Array]) -> None:
    sound = EVENTS if name == "events" else {"item_id": ["a", "b"]}
    pq.write_table(pa.table({**sound, **columns}), source / f"{name}.parquet")


def two_titles(source: Path) -> None:
    pq.write_table(
        pa.Table.from_arrays([pa.array(["a"])] * 3, names=["item_id", "title", "title"]), source / "items.parquet"
    )


def encrypted(source: Path) -> None:
    class Keys(pe.KmsClient):  # type: ignore[misc]  # it has no types
        def wrap_key(self, key: bytes, _master: str) -> bytes:
            return base64.b64encode(key)

        def unwrap_key(self, wrapped: bytes, _master: str) -> bytes:
            return base64.b64decode(wrapped)

    connection = pe.KmsConnectionConfig()
    options = pe.EncryptionConfiguration(footer_key="k", column_keys={"k": ["item_id"]})
    properties = pe.CryptoFactory(lambda _: Keys()).file_encryption_properties(connection, options)
    table = pa.table({"item_id": ["a", "b"]})
    with pq.ParquetWriter(source / "items.parquet", table.schema, encryption_properties=properties) as writer:
        writer.write_table(table)


def truncated(source: Path) -> None:
    path = source / "items.parquet"
    path.write_bytes(path.read_bytes()[:-9])


def empty(source: Path) -> None:
    (source / "items.parquet").write_bytes(b"")


def lines_named_parquet(source: Path) -> None:
    (source / "items.parquet").write_text('{"item_id": "a"}\n')


def parquet_named_lines(source: Path) -> None:
    (source / "items.parquet").rename(source / "items.jsonl")


def cut_gzip(source: Path) -> None:
    (source / "items.parquet").unlink()
    (source / "items.jsonl.gz").write_bytes(gzip.compress(b'{"item_id": "a"}\n' * 99)[:-12])


def invalid_text(source: Path) -> None:
    array = pa.Array.from_buffers(
        pa.string(), 2, [None, pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0"), pa.py_buffer(b"a\xff")]
    )
    write(source, "items", {"maker": array})


def far_future(source: Path) -> None:
    write(source, "items", {"sold": pa.array([0, 2**60], pa.int64()).view(pa.timestamp("us"))})


def nested(source: Path) -> None:
    write(source, "items", {"images": pa.array([{"url": "x"}, None])})


def map_of_events(source: Path) -> None:
    write(source, "events", {"context": pa.array([[("a", 1)], None], pa.map_(pa.string(), pa.int8()))})


def latin_title(source: Path) -> None:
    write(source, "items", {"title": pa.array([b"Zelt", "Höhle".encode("latin-1")])})


def time_as_price(source: Path) -> None:
    write(source, "items", {"price": pa.array([1, 2], pa.duration("s"))})


def two_times(source: Path) -> None:
    names = [*EVENTS, "timestamp"]
    arrays = [pa.array(values) for values in (*EVENTS.values(), EVENTS["timestamp"])]
    pq.write_table(pa.Table.from_arrays(arrays, names=names), source / "events.parquet")


def dates_as_users(source: Path) -> None:
    write(source, "events", {"user_id": pa.array([0, 2**30], pa.int32()).view(pa.date32())})


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (two_titles, "items.parquet: several columns are named 'title'"),
        (two_times, "events.parquet: several columns are named 'timestamp'"),
        (encrypted, "items.parquet: not a readable Parquet file"),
        (truncated, "items.parquet: not a readable Parquet file"),
        (empty, "items.parquet: not a readable Parquet file"),
        (lines_named_parquet, "is it .jsonl?"),
        (parquet_named_lines, "items.jsonl: this is a Parquet file: name it .parquet"),
        (cut_gzip, "items.jsonl.gz: cannot be read to its end"),
        (invalid_text, "items.parquet: the column 'maker' is damaged, or no string"),
        (
            far_future,
            "items.parquet: the column 'sold' (timestamp[us]): 1152921504606846976 in row 2 is a time outside",
        ),
        (nested, "items.parquet: the column 'images' is struct<url: string>"),
        (map_of_events, "events.parquet: the column 'context' is map<string, int8"),
        (latin_title, "items.parquet: the column 'title' is binary with bytes that are no UTF-8"),
        (time_as_price, "items.parquet: the column 'price' is duration[s], it must be number"),
        (dates_as_users, "events.parquet: the column 'user_id' is date32[day], it must be string"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_file_that_cannot_be_used_is_named(
    source: Path, spoil: Callable[[Path], None], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(source)
    assert said in refused(source, capsys)


ODD = {
    "zone": pa.array([NOON] * 3, pa.timestamp("ms", "Mars/Olympus")),
    "fine": pa.array([1, 2, 3], pa.timestamp("ns")),
    "far": pa.array([2**62] * 3, pa.duration("us")),
    "raw": pa.array([b"\xff"] * 3),
    "cents": pa.array([Decimal("1.10")] * 3, pa.decimal128(9, 2)),
}


@pytest.mark.parametrize("name", ODD)
def test_a_dropped_row_beside_a_column_of_an_odd_type_is_reported(source: Path, name: str) -> None:
    pq.write_table(pa.table({"item_id": ["a", "a", None], name: ODD[name]}), source / "items.parquet")
    table, report = load_items(source / "items.parquet")
    assert len(table) == 1
    assert "row 2: item_id='a'" in str(report)


@pytest.mark.parametrize("name", ODD)
def test_events_beside_a_column_of_an_odd_type_are_read(source: Path, name: str) -> None:
    write(source, "events", {name: ODD[name].slice(0, 2), "type": pa.array(["view", "buy"])})
    events, report = read_events(source / "events.parquet")
    assert events["user_id"].to_pylist() == ["u"]
    assert "type='buy'" in str(report)


def test_moments_of_a_zone_that_nobody_knows_are_moments(source: Path) -> None:
    write(source, "events", {"timestamp": pa.array([NOON] * 2, pa.timestamp("ms", "Mars/Olympus"))})
    assert read_events(source / "events.parquet", strict=True)[0]["timestamp"].to_pylist() == [NOON, NOON]


NOON_S = NOON // 1000


@pytest.mark.parametrize(
    ("times", "read"),
    [
        (pa.array([NOON_S + 0.25, NOON_S]), [NOON + 250, NOON]),
        (pa.array([Decimal(f"{NOON_S}.123"), Decimal(NOON_S)], pa.decimal128(18, 3)), [NOON + 123, NOON]),
        (pa.array([Decimal(f"{NOON_S}.123456789")] * 2, pa.decimal128(38, 9)), [NOON + 123] * 2),
        (pa.array([f"{NOON_S}.5", f"{NOON_S}"]), [NOON + 500, NOON]),
        (pa.array([20_412, 0], pa.int32()).cast(pa.date32()), [NOON - 43_200_000, 0]),
        (pa.array([NOON - 43_200_000] * 2).cast(pa.date64()), [NOON - 43_200_000] * 2),
        (pa.array([20_412] * 2, pa.int32()).cast(pa.date32()).dictionary_encode(), [NOON - 43_200_000] * 2),
    ],
    ids=str,
)
def test_times_of_other_programs_are_read(source: Path, times: pa.Array, read: list[int]) -> None:
    """`time.time()`, JDBC's decimals, and a DATE, which is midnight in UTC, as `2025-11-20` is in text."""
    write(source, "events", {"timestamp": times})
    assert read_events(source / "events.parquet", strict=True)[0]["timestamp"].to_pylist() == read


@pytest.mark.parametrize("kind", [pa.decimal128(18, 2), pa.decimal128(38, 10), pa.decimal256(60, 6)], ids=str)
def test_ids_that_came_as_decimals_with_places_are_whole_numbers(source: Path, kind: pa.DataType) -> None:
    """Oracle's NUMBER comes so through JDBC."""
    write(source, "events", {"user_id": pa.array([Decimal(7), Decimal(10**15)], kind)})
    assert read_events(source / "events.parquet", strict=True)[0]["user_id"].to_pylist() == [str(10**15), "7"]
    write(source, "events", {"user_id": pa.array([Decimal("7.5"), Decimal(0)], kind)})
    events, report = read_events(source / "events.parquet")
    assert events["user_id"].to_pylist() == ["0"]
    assert "user_id=7.5" in str(report)


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (pa.array([NOON, NOON + 0.5]), "timestamp=1763640000000.5"),
        (pa.array([NOON, float("inf")]), "timestamp=inf"),
        (pa.array([f"{NOON}", "yesterday"]), "timestamp='yesterday'"),
        (pa.array([f"{NOON}", "2025-13-01T00:00:00Z"]), "timestamp='2025-13-01T00:00:00Z'"),
        (pa.array([NOON, 2**64 - 1], pa.uint64()), "timestamp=18446744073709551615"),
        (
            pa.array([Decimal(NOON), Decimal("1763640000000.5")], pa.decimal128(18, 1)),
            "timestamp=1763640000000.5",
        ),
        (pa.array([NOON, 2**60], pa.int64()).cast(pa.timestamp("ms")), "timestamp=1152921504606846976"),
    ],
    ids=str,
)
def test_a_time_that_is_none_is_shown_as_it_stands_in_the_file(source: Path, times: pa.Array, said: str) -> None:
    write(source, "events", {"timestamp": times})
    events, report = read_events(source / "events.parquet")
    assert len(events) == 1
    assert said in str(report)
    assert "None" not in str(report)


def lines(source: Path, name: str, *rows: str) -> Path:
    path = source / f"{name}.jsonl"
    path.write_text("\n".join(rows))
    return path


@pytest.mark.parametrize("form", ["lines", "array"])
def test_whole_numbers_of_any_length_keep_their_digits(tmp_path: Path, form: str) -> None:
    rows = [
        {"item_id": 1234567890123456789012, "hash": 2**64 - 1, "code": 10**21 + 1, "low": -(2**63)},
        {"item_id": 2**64 - 1, "hash": 7, "code": -3, "low": 2**63 - 1},
        {"item_id": "c"},
    ]
    path = tmp_path / "items.jsonl"
    path.write_text(json.dumps(rows) if form == "array" else "\n".join(map(json.dumps, rows)))
    table = read_items(path)
    assert table["item_id"].to_pylist() == ["1234567890123456789012", "18446744073709551615", "c"]
    assert table["hash"].to_pylist() == [2**64 - 1, 7, None]
    assert table["code"].to_pylist() == ["1000000000000000000001", "-3", None]
    assert table["low"].to_pylist() == [-(2**63), 2**63 - 1, None]
    assert parse(f"hash = {2**64 - 1}").mask(Items(table)).tolist() == [True, False, False]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ('{"item_id": "b", "price": 1234567890123456789012345}', "price=1234567890123456789012345"),
        ('{"item_id": "b", "price": 9007199254740993}', "price=9007199254740993"),
        ('{"item_id": "b", "title": 98765432109876543210}', "title=98765432109876543210"),
        ('{"item_id": "b", "brand": 18446744073709551615}', "brand=18446744073709551615"),
    ],
)
def test_a_number_in_the_wrong_place_is_shown_with_all_its_digits(tmp_path: Path, row: str, said: str) -> None:
    _, report = load_items(lines(tmp_path, "items", '{"item_id": "a"}', row))
    assert said in str(report)


def test_a_time_with_a_fraction_in_lines_is_shown(tmp_path: Path) -> None:
    event = {"user_id": "u", "item_id": "a", "type": "view"}
    texts = [json.dumps(event | {"timestamp": time}) for time in (NOON, NOON + 0.25, 10**22)]
    _, report = read_events(lines(tmp_path, "events", *texts))
    assert "timestamp=1763640000000.25" in str(report)
    assert "timestamp=10000000000000000000000" in str(report)


@pytest.mark.parametrize(
    ("one", "other", "said"),
    [
        ("1", '"L"', "line 2 has the number 1, line 4 has the string 'L'"),
        ("true", "1", "line 2 has the boolean True, line 4 has the number 1"),
        ("18446744073709551615", '"x"', "line 2 has the number 18446744073709551615, line 4 has the string 'x'"),
        ('["a"]', '"a"', "line 2 has the list of strings ['a'], line 4 has the string 'a'"),
        ('["a"]', "[1]", "line 2 has the list of strings ['a'], line 4 has the list of numbers [1]"),
        ('["a", 1]', "null", "line 2 has the list of strings and numbers ['a', 1]"),
        ('{"a": 1}', "7", "line 2 has the object {'a': 1}, line 4 has the number 7"),
    ],
)
def test_the_first_value_of_another_type_is_named(tmp_path: Path, one: str, other: str, said: str) -> None:
    rows = [f'{{"item_id": "{place}", "size": {value}}}' for place, value in enumerate(["null", one, "null", other])]
    with pytest.raises(ItemsError, match="the column 'size' mixes types") as raised:
        load_items(lines(tmp_path, "items", *rows))
    assert f"mixes types ({said})" in str(raised.value)


def test_an_empty_list_is_one_of_anything(tmp_path: Path) -> None:
    rows = ['{"item_id": "a", "size": []}', '{"item_id": "b", "size": ["L"]}']
    assert read_items(lines(tmp_path, "items", *rows))["size"].to_pylist() == [[], ["L"]]
    with pytest.raises(ItemsError, match=r"line 2 has the list of strings \['L'\], line 3 has the string 'L'"):
        load_items(lines(tmp_path, "items", *rows, '{"item_id": "c", "size": "L"}'))


@pytest.mark.parametrize("long", [2**63, 2**64 - 1, 2**64, -(2**63) - 1, 10**22])
def test_long_whole_numbers_beside_fractions_are_numbers(tmp_path: Path, long: int) -> None:
    rows = [f'{{"item_id": "a", "size": {long}}}', '{"item_id": "b", "size": 1.5}', '{"item_id": "c"}']
    assert read_items(lines(tmp_path, "items", *rows))["size"].to_pylist() == [float(long), 1.5, None]
