"""Last.fm HetRec 2011: tags with dates, plays without; made up here in the real format."""

import datetime
from pathlib import Path

import pyarrow.compute as pc
import pytest

from catalog.errors import DatasetError
from catalog.importers.lastfm import read_lastfm
from tests.catalog.importers.real_data import real_data

FILES = {
    "artists": 'id\tname\turl\tpictureURL\n1\tBjörk\thttp://a\thttp://p\n2\tThe "Real" Band\thttp://b\thttp://q\n',
    "tags": "tagID\ttagValue\n1\ttrip-hop\n2\tché\n",
    "user_artists": "userID\tartistID\tweight\n9\t1\t50\n9\t2\t7\n10\t1\t3\n",
    "user_taggedartists": "userID\tartistID\ttagID\tday\tmonth\tyear\n9\t1\t1\t1\t4\t2009\n9\t2\t2\t1\t5\t2009\n",
}


def write(folder: Path, encoding: str = "utf-8", **changes: str) -> Path:
    for name, text in (FILES | changes).items():
        (folder / f"{name}.dat").write_bytes(text.encode(encoding))
    return folder


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_names_are_right_in_either_encoding(tmp_path, encoding):
    dataset = read_lastfm(write(tmp_path, encoding))
    assert dataset.items["title"].to_pylist() == ["Björk", 'The "Real" Band']
    assert "ché" in dataset.events["query"].to_pylist()


def test_tags_are_queries_at_their_dates(tmp_path):
    events = read_lastfm(write(tmp_path)).events
    tags = events.filter(pc.is_valid(events["query"])).to_pylist()
    april = datetime.datetime(2009, 4, 1, tzinfo=datetime.UTC).timestamp() * 1000
    assert [(tag["item_id"], tag["query"], tag["type"]) for tag in tags] == [
        ("1", "trip-hop", "click"),
        ("2", "ché", "click"),
    ]
    assert tags[0]["timestamp"] == april


def test_plays_come_before_the_tags_and_the_most_played_comes_last(tmp_path):
    events = read_lastfm(write(tmp_path)).events
    mine = events.filter(pc.equal(events["user_id"], "9")).to_pylist()
    assert [(row["item_id"], row["plays"]) for row in mine] == [("2", 7), ("1", 50), ("1", None), ("2", None)]
    assert [row["type"] for row in mine] == ["view", "view", "click", "click"]


def test_equal_counts_have_equal_times(tmp_path):
    weights = {("9", "1"): 5, ("9", "2"): 5, ("9", "3"): 2, ("10", "1"): 2, ("10", "2"): 9, ("10", "3"): 9}
    listed = "".join(f"{user}\t{artist}\t{count}\n" for (user, artist), count in weights.items())
    artists = FILES["artists"] + "3\tC\thttp://c\thttp://r\n"
    events = read_lastfm(write(tmp_path, artists=artists, user_artists="userID\tartistID\tweight\n" + listed)).events
    plays = events.filter(pc.is_null(events["query"])).to_pylist()
    times = {(row["user_id"], row["item_id"]): row["timestamp"] for row in plays}
    assert times["9", "1"] == times["9", "2"] == times["9", "3"] + 60_000
    assert times["10", "2"] == times["10", "3"] == times["10", "1"] + 60_000


def test_who_never_tagged_listened_before_the_first_tag_of_all(tmp_path):
    events = read_lastfm(write(tmp_path)).events
    listening = events.filter(pc.equal(events["user_id"], "10"))["timestamp"].to_pylist()
    first_tag = pc.min(events.filter(pc.is_valid(events["query"]))["timestamp"]).as_py()
    assert len(listening) == 1
    assert listening[0] < first_tag


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("9\t1\t1\t1\t4\t1956", "broken timestamp"),
        ("9\t1\t1\t31\t2\t2009", "broken timestamp"),
        ("9\t1\t1\t1\tApril\t2009", "broken timestamp"),
        ("9\t1\t77\t1\t4\t2009", "unknown tag"),
        ("9\t55\t1\t1\t4\t2009", "unknown item"),
    ],
)
def test_a_broken_tag_is_dropped_and_shown(tmp_path, line, said):
    changed = FILES["user_taggedartists"] + line + "\n"
    dataset = read_lastfm(write(tmp_path, user_taggedartists=changed))
    assert dataset.broken == 1
    assert said in str(dataset)
    assert len(dataset.events) == 5


def test_a_count_that_is_no_number_is_dropped(tmp_path):
    dataset = read_lastfm(write(tmp_path, user_artists=FILES["user_artists"] + "9\t1\tmany\n"))
    assert "listening count that is no whole number" in str(dataset)


def test_a_missing_file_is_named(tmp_path):
    (write(tmp_path) / "tags.dat").unlink()
    with pytest.raises(DatasetError, match=r"expected a file tags\.dat"):
        read_lastfm(tmp_path)


def test_the_real_data_is_read_whole():
    dataset = read_lastfm(real_data("lastfm-hetrec-2k"))
    assert len(dataset.items) == 17_632
    assert dataset.events_report.read == 92_834 + 186_479
    bogus = [tally.count for reason, tally in dataset.events_report.faults.items() if "timestamp" in reason]
    assert bogus == [5]
    assert "Röyksopp" in dataset.items["title"].to_pylist()
    earliest = pc.min(dataset.events["timestamp"]).as_py()
    assert earliest > datetime.datetime(2005, 1, 1, tzinfo=datetime.UTC).timestamp() * 1000
