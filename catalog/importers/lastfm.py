"""Last.fm, HetRec 2011, 2k users (Cantador, Brusilovsky, Kuflik: RecSys 2011; grouplens.org/datasets/hetrec-2011).

The importer reads `artists.dat`, `tags.dat`, `user_artists.dat` and `user_taggedartists.dat`, which are tab-separated,
plain or compressed, in UTF-8, or in Windows-1252 if a file is not valid UTF-8, because copies of this data set differ.
Artists are items. Their tags do not become part of their text, because the tags are the queries.

Tag assignments become searches, events of type click, with real dates of a month's resolution. A few have impossible
years (1956, 1957, 1979), before Last.fm existed; they are broken records.

Listening counts become recommendation events of type view, with the count in the column `plays`. They have **no
times**, so their order is synthetic. A user's artists follow each other by rising count, a minute apart, so that the
most played comes last; equal counts have equal times, because the order of a file says nothing. All are before the
user's first dated tag, or before the first tag of the data set for users without tags. So nothing contradicts the known
dates, and the target of leave-one-out evaluation is the artist that a user likes most. But nothing about *sequences*
can be learned from these events or measured on them.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.events import EventType
from catalog.data.validation_report import LINE, ValidationReport
from catalog.importers.dataset import Dataset, assemble
from catalog.importers.delimited import find_file, read_columns, whole_numbers

__all__ = ["read_lastfm"]

FIRST_YEAR = 2002
"""Last.fm was founded in 2002."""

DAY_MS = 86_400_000
MINUTE_MS = 60_000


def read_lastfm(source: Path) -> Dataset:
    """The artists, listening counts and tag assignments in the folder `source`.

    Raises DatasetError if a file is missing or has another form than HetRec 2011's.
    """
    names = ("artists", "tags", "user_artists", "user_taggedartists")
    files = {name: find_file(source, f"{name}.dat") for name in names}
    items_report, events_report = ValidationReport("items"), ValidationReport("events")
    items = _artists(files["artists"], items_report)
    tagged = _tagged(files["user_taggedartists"], _tag_texts(files["tags"]), events_report)
    played = _played(files["user_artists"], tagged, events_report)
    events = pa.concat_tables([played, tagged], promote_options="default")
    return assemble(items, events, items_report, events_report)


def _read(path: Path, columns: tuple[str, ...], report: ValidationReport) -> pa.Table:
    # Names hold quotation marks that are part of them.
    return read_columns(path, columns, report, delimiter="\t", quoted=False)


def _artists(path: Path, report: ValidationReport) -> pa.Table:
    mine = ValidationReport("items", place=f"{path.name} line")
    table = _read(path, ("id", "name", "url"), mine)
    report.merge(mine)
    return pa.table({"item_id": table["id"], "title": table["name"], "url": table["url"]})


def _tag_texts(path: Path) -> pa.Table:
    report = ValidationReport("tags", place=f"{path.name} line")
    return _read(path, ("tagID", "tagValue"), report).drop_columns([LINE])


def _tagged(path: Path, texts: pa.Table, report: ValidationReport) -> pa.Table:
    mine = ValidationReport("events", place=f"{path.name} line")
    columns = ("userID", "artistID", "tagID", "day", "month", "year")
    table = _read(path, columns, mine)
    dates = _milliseconds(table)
    reason = f"broken timestamp (no date, or before {FIRST_YEAR}, when Last.fm began)"
    table = mine.drop(table, pc.is_null(dates), reason, show=columns)
    where = pc.index_in(table["tagID"], texts["tagID"].combine_chunks())
    table = mine.drop(table, pc.is_null(where), "unknown tag", show=columns)
    where = pc.index_in(table["tagID"], texts["tagID"].combine_chunks())
    report.merge(mine)
    return pa.table(
        {
            "user_id": table["userID"],
            "item_id": table["artistID"],
            "timestamp": _milliseconds(table),
            "type": pa.array([EventType.CLICK.value] * len(table), pa.string()),
            "query": texts["tagValue"].take(where),
        }
    )


def _milliseconds(table: pa.Table) -> pa.ChunkedArray:
    """The date of every row at midnight UTC, in Unix milliseconds; null if there is no such day."""
    padded = (pc.utf8_lpad(table[name], width, padding="0") for name, width in (("year", 4), ("month", 2), ("day", 2)))
    dates = pc.strptime(pc.binary_join_element_wise(*padded, "-"), "%Y-%m-%d", unit="ms", error_is_null=True)
    # Arrow reads 31 February as 3 March.
    real = pc.equal(pc.day(dates), whole_numbers(table["day"]))
    plausible = pc.and_(real, pc.greater_equal(whole_numbers(table["year"]), FIRST_YEAR))
    return pc.if_else(plausible, dates.cast(pa.int64()), pa.scalar(None, pa.int64()))


def _played(path: Path, tagged: pa.Table, report: ValidationReport) -> pa.Table:
    mine = ValidationReport("events", place=f"{path.name} line")
    columns = ("userID", "artistID", "weight")
    table = _read(path, columns, mine)
    wordy = pc.is_null(whole_numbers(table["weight"]))
    table = mine.drop(table, wordy, "listening count that is no whole number", show=columns)
    report.merge(mine)
    table = table.append_column("plays", whole_numbers(table["weight"]))
    table = table.sort_by([("userID", "ascending"), ("plays", "descending")])
    return pa.table(
        {
            "user_id": table["userID"],
            "item_id": table["artistID"],
            "timestamp": _listening_times(table["userID"], table["plays"], tagged),
            "type": pa.array([EventType.VIEW.value] * len(table), pa.string()),
            "plays": table["plays"],
        }
    )


def _listening_times(users: pa.ChunkedArray, plays: pa.ChunkedArray, tagged: pa.Table) -> pa.Array:
    """Synthetic times for rows sorted by user and falling count: a minute apart, backwards from the first tag."""
    first = tagged.group_by("user_id").aggregate([("timestamp", "min")])
    where = pc.index_in(users, first["user_id"].combine_chunks())
    earliest = pc.min(tagged["timestamp"]).as_py() or 0
    ends = pc.fill_null(first["timestamp_min"].take(where), earliest).to_numpy()
    _, starts, of_user = np.unique(users.to_numpy(), return_index=True, return_inverse=True)
    count = plays.to_numpy()
    lower = np.cumsum(np.diff(count, prepend=count[:1]) != 0)  # changes between two users are taken off again
    rank = lower - lower[starts][of_user]  # 0 for the most played
    return pa.array(ends - DAY_MS - rank * MINUTE_MS)
