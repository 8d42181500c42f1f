"""Whatever files somebody has, an import ends with what every later part reads, or with an error that says why not."""

import io
import json
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from catalog.data.columns.types import COLUMN_TYPES
from catalog.data.events import EVENTS_SCHEMA, EventType, read_events
from catalog.data.items import ITEMS_SCHEMA, Items, read_items
from catalog.filters.ast import Column
from catalog.filters.columns import find_column
from catalog.importers.__main__ import main
from tests.support.arrow_values import KEPT_KINDS, ODD_KINDS, columns

ROWS = 3
EXAMPLES = settings().max_examples * 2  # of some milliseconds each
NAMES = st.sampled_from(["score", "id", "@line", "", "a,b", "x", "__index_level_0__", "ÿ"]) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=5
)
KINDS = st.sampled_from((*KEPT_KINDS, *ODD_KINDS))
ITEMS: Mapping[str, pa.Array] = {"item_id": pa.array(["a", "b", "c"]), "title": pa.array(["Tent", "Rope", None])}
EVENTS: Mapping[str, pa.Array] = {
    "user_id": pa.array(["u", "v", "u"]),
    "item_id": pa.array(["a", "b", "c"]),
    "timestamp": pa.array([1_763_640_000_000 + row for row in range(ROWS)]),
    "type": pa.array([EventType.VIEW, EventType.CART, EventType.RATING]),
}
OWN = [*ITEMS_SCHEMA.columns.names, *EVENTS_SCHEMA.columns.names, *EVENTS_SCHEMA.optional.names]


@st.composite
def tables(draw: st.DrawFn, sound: Mapping[str, pa.Array]) -> pa.Table:
    """Sound columns, of which some are left out or of another type, and columns of any name and type beside them."""
    broken = draw(st.booleans())
    names = [name for name in sound if not broken or draw(st.integers(0, 9))]
    names += draw(st.lists(NAMES | st.sampled_from(OWN) if broken else NAMES, max_size=3, unique=not broken))
    arrays = []
    for name in names:
        kept = name in sound and (not broken or draw(st.integers(0, 4)))
        arrays.append(sound[name] if kept else draw(KINDS.flatmap(lambda kind: columns(kind, ROWS, odd=broken))))
    return pa.Table.from_arrays(arrays, names=names)


def write_parquet(table: pa.Table, path: Path) -> None:
    try:
        pq.write_table(table, path)
    except pa.ArrowException:  # Parquet has no such moment
        assume(False)


def imported(folder: Path) -> bool:
    """Whether an import succeeds; where it does not, it must say so, in words that name a file."""
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as stderr:
        status = main(["jsonl", str(folder), str(folder / "out")])
    said = stderr.getvalue()
    event(f"status {status}")
    if status == 0:
        check(folder / "out")
        return True
    assert status == 2
    assert said.startswith(("error: ", "warning: "))
    assert "items" in said or "events" in said
    assert not (folder / "out").exists()
    return False


def check(folder: Path) -> None:
    """What was written is read again, in the few types, shown as JSON, and filtered."""
    table = read_items(folder / "items.parquet")
    assert all(any(kind == known for known in COLUMN_TYPES) for kind in table.schema.types)
    orjson.dumps(Items(table).table.to_pylist())
    for name in table.column_names:
        find_column(table, Column(name, (0, 1)))
    again, report = read_events(folder / "events.parquet", strict=True)
    assert len(again) == report.read


@settings(max_examples=EXAMPLES)
@given(tables(ITEMS), tables(EVENTS))
def test_any_parquet_file_is_imported_or_refused_in_a_line(items: pa.Table, events: pa.Table) -> None:
    with TemporaryDirectory() as folder:
        write_parquet(items, Path(folder, "items.parquet"))
        write_parquet(events, Path(folder, "events.parquet"))
        imported(Path(folder))


@given(st.data())
def test_a_damaged_parquet_file_is_refused_or_read(data: st.DataObject) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "items.parquet")
        write_parquet(pa.table(dict(ITEMS)), path)
        write_parquet(pa.table(dict(EVENTS)), Path(folder, "events.parquet"))
        content = bytearray(path.read_bytes())
        content = content[: data.draw(st.integers(0, len(content)))]
        for place in data.draw(st.lists(st.integers(0, max(len(content) - 1, 0)), max_size=3)) if content else []:
            content[place] = data.draw(st.integers(0, 255))
        path.write_bytes(content)
        imported(Path(folder))


NUMBERS = st.integers() | st.integers(-(10**30), 10**30) | st.floats()
ANY_TEXT = st.text(st.characters(), max_size=5)  # halves of surrogate pairs too
SCALARS = st.none() | st.booleans() | NUMBERS | ANY_TEXT | st.sampled_from(["2025-11-20T12:00:00Z", "7"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=2) | st.dictionaries(ANY_TEXT, inner, max_size=2), max_leaves=4
)
ITEM = st.fixed_dictionaries({"item_id": st.sampled_from("abc") | VALUES}, optional={"title": VALUES, "price": VALUES})
EVENT = st.fixed_dictionaries(
    {
        "user_id": st.just("u") | VALUES,
        "item_id": st.sampled_from("abc") | VALUES,
        "timestamp": st.just(1_763_640_000_000) | VALUES,
        "type": st.sampled_from(EventType) | VALUES,
    }
)
FURTHER = st.dictionaries(st.sampled_from(["score", "size", "@line"]) | ANY_TEXT, VALUES, max_size=2)


@st.composite
def lines(draw: st.DrawFn, records: st.SearchStrategy[dict[str, object]]) -> bytes:
    """Records as Python writes them, and sometimes what is no record."""
    rows = draw(st.lists(st.tuples(FURTHER, records).map(lambda parts: parts[0] | parts[1]), max_size=4))
    texts = [json.dumps(row, ensure_ascii=draw(st.booleans())).encode("utf-8", "surrogatepass") for row in rows]
    return b"\n".join([*texts, *draw(st.lists(st.binary(max_size=9), max_size=1))])


@settings(max_examples=EXAMPLES)
@given(lines(ITEM), lines(EVENT))
def test_any_lines_are_imported_or_refused(items: bytes, events: bytes) -> None:
    with TemporaryDirectory() as folder:
        sound = b'\n{"item_id": "a"}\n{"item_id": "b"}\n{"item_id": "c"}'
        Path(folder, "items.jsonl").write_bytes(items + sound)
        event = {name: column[0].as_py() for name, column in EVENTS.items()}
        Path(folder, "events.jsonl").write_bytes(events + b"\n" + "\n".join([json.dumps(event)] * 5).encode())
        imported(Path(folder))


FIELDS = (
    *("asin", "parent_asin", "title", "description", "price", "brand", "categories", "category", "reviewerID"),
    *("user_id", "unixReviewTime", "timestamp", "overall", "rating", "note_idx", "click", "page_time"),
    *("search_timestamp", "request_timestamp"),
)
ODD_NUMBERS = st.sampled_from([1e999, -1e999, 10**400, -(10**30), 2**63, 1e300, True, 0.5, -1])
RECORDS = st.dictionaries(st.sampled_from(FIELDS), VALUES | ODD_NUMBERS | st.lists(ANY_TEXT, max_size=2), max_size=8)
PRINTED = st.tuples(RECORDS, st.booleans()).map(lambda pair: repr(pair[0]) if pair[1] else json.dumps(pair[0]))
CELLS = st.sampled_from(["1", "7", "2009", "1763640000", "5.0", "", "nan", "9" * 19, "1e999"]) | st.text(max_size=4)


def run(folder: str, name: str, files: Mapping[str, str]) -> None:
    """An import of some files ends without a traceback, and what it writes is read again."""
    for file, text in files.items():
        Path(folder, file).write_bytes(text.encode("utf-8", "surrogatepass"))
    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()) as stderr:
        status = main([name, folder, str(Path(folder, "out"))])
    event(f"status {status}")
    assert status == 0 or (status == 2 and "error: " in stderr.getvalue())
    if status == 0:
        check(Path(folder, "out"))


@settings(max_examples=EXAMPLES)
@given(st.lists(PRINTED, max_size=3), st.lists(PRINTED, max_size=3))
def test_any_amazon_records_are_imported_or_refused(products: list[str], reviews: list[str]) -> None:
    lens = {"title": "Lens", "reviewerID": "u", "unixReviewTime": 1_300_000_000, "overall": 4.0}
    sound = [json.dumps(lens | {"asin": item}) for item in "ABCD"]
    files = {"meta_x.json": products, "reviews_x_5.json": reviews}
    with TemporaryDirectory() as folder:
        run(folder, "amazon", {name: "\n".join([*own, *sound]) for name, own in files.items()})


@settings(max_examples=EXAMPLES)
@given(st.lists(st.fixed_dictionaries({"note_idx": st.just(1) | VALUES, "click": st.just(1)}), max_size=2), RECORDS)
def test_any_qilin_impressions_are_imported_or_refused(impressions: list[dict[str, object]], record: object) -> None:
    sound = {"note_idx": 1, "click": 1, "search_timestamp": 1732475484.0, "request_timestamp": 1732668760025}
    cell = " ".join(repr(dict(sound, **row)) for row in (*impressions, record, sound)).replace('"', '""')  # type: ignore[dict-item]
    files = {
        "notes.csv": "note_title,note_content,note_type,taxonomy1_id,taxonomy2_id,taxonomy3_id,note_idx\na,b,1,x,,,1\n",
        "search.csv": f'query,search_result_details_with_idx,search_idx,user_idx\nq,"[{cell}]",1,2\n',
        "recommendation.csv": f'rec_result_details_with_idx,request_idx,user_idx\n"[{cell}]",1,2\n',
    }
    with TemporaryDirectory() as folder:
        run(folder, "qilin", files)


def rows(count: int) -> st.SearchStrategy[list[list[str]]]:
    return st.lists(st.lists(CELLS, min_size=count, max_size=count), max_size=3)


@given(rows(3), rows(2), rows(3), rows(6))
def test_any_lastfm_cells_are_imported_or_refused(
    artists: list[list[str]], tags: list[list[str]], plays: list[list[str]], tagged: list[list[str]]
) -> None:
    def table(head: str, sound: str, own: list[list[str]]) -> str:
        return "\n".join([head, *(f"{row}{sound}" for row in range(3, 8)), *map("\t".join, own)]) + "\n"

    files = {
        "artists.dat": table("id\tname\turl", "\tBjörk\thttp://a", artists),
        "tags.dat": table("tagID\ttagValue", "\ttrip-hop", tags),
        "user_artists.dat": table("userID\tartistID\tweight", "\t3\t50", plays),
        "user_taggedartists.dat": table("userID\tartistID\ttagID\tday\tmonth\tyear", "\t3\t4\t1\t4\t2009", tagged),
    }
    with TemporaryDirectory() as folder:
        run(folder, "lastfm", files)


@given(rows(3), rows(4), rows(4))
def test_any_movielens_cells_are_imported_or_refused(
    films: list[list[str]], ratings: list[list[str]], tags: list[list[str]]
) -> None:
    def table(head: str, sound: str, own: list[list[str]]) -> str:
        return "\n".join([head, *(f"{row}{sound}" for row in range(3, 8)), *map(",".join, own)]) + "\n"

    files = {
        "movies.csv": table("movieId,title,genres", ",Heat (1995),Crime|Drama", films),
        "ratings.csv": table("userId,movieId,rating,timestamp", ",3,4.5,1112484727", ratings),
        "tags.csv": table("userId,movieId,tag,timestamp", ",4,bank heist,1112484727", tags),
    }
    with TemporaryDirectory() as folder:
        run(folder, "movielens", files)
