"""Qilin: data frames printed into CSV, made up here with every oddity of the real files."""

from pathlib import Path

import pytest

from catalog.errors import DatasetError
from catalog.importers.qilin import read_qilin

NOTES = """note_title,note_content,note_type,taxonomy1_id,taxonomy2_id,taxonomy3_id,note_idx,note_embedding
渔歌子,"two lines,
one note",2.0,aa,bb,nan,10,"[ 1.0e+00
  2.0e+00]"
,text,1.0,aa,,,11,"[]"
unclicked,text,1.0,aa,bb,cc,12,"[]"
"""
SEARCH_HEAD = "query,recent_clicked_note_idxs,search_result_details_with_idx,search_idx,user_idx\n"
SEARCH = (
    SEARCH_HEAD
    + """诗词,"[ 11  12
 10]","[{'click': 1.0, 'note_id': '67ab', 'note_idx': 10, 'page_time': 5.5, 'search_timestamp': 1732475484.0}
 {'click': 0.0, 'note_idx': 12, 'page_time': nan, 'search_timestamp': 1732475484.0}
 {'click': 1.0, 'note_idx': 11, 'page_time': nan, 'search_timestamp': 1732475493.0}]",25147,6948
"""
)
RECOMMENDATION = """rec_result_details_with_idx,request_idx,user_idx,query
"[{'click': 1, 'note_idx': 11, 'page_time': 0.0, 'request_timestamp': 1732668760025}
 {'click': 1, 'note_idx': 11, 'page_time': 0.0, 'request_timestamp': 1732668760025}]",7,6948,titles of clicked notes
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    (tmp_path / "notes.csv").write_text(NOTES, encoding="utf-8")
    (tmp_path / "search_train.csv").write_text(SEARCH, encoding="utf-8")
    (tmp_path / "recommendation_train.csv").write_text(RECOMMENDATION, encoding="utf-8")
    return tmp_path


def test_clicks_become_events_with_times_in_milliseconds(source):
    events = read_qilin(source).events.to_pylist()
    assert [(row["item_id"], row["query"], row["timestamp"], row["page_time"]) for row in events] == [
        ("10", "诗词", 1_732_475_484_000, 5.5),
        ("11", "诗词", 1_732_475_493_000, None),
        ("11", None, 1_732_668_760_025, 0.0),
    ]
    assert {row["user_id"] for row in events} == {"6948"}
    assert [row["request_id"] for row in events] == ["search-25147", "search-25147", "recommendation-7"]


def test_clicked_notes_become_items_and_their_taxonomy_stays_out_of_the_text(source):
    first, second = read_qilin(source).items.to_pylist()
    assert (first["title"], first["description"]) == ("渔歌子", "two lines,\none note")
    assert (first["note_type"], first["taxonomy"], first["categories"]) == ("video", ["aa", "bb"], [])
    assert (second["title"], second["taxonomy"]) == (None, ["aa"])
    assert read_qilin(source, all_items=True).items["item_id"].to_pylist() == ["10", "11", "12"]


def test_what_is_left_out_by_choice_is_no_fault(source):
    dataset = read_qilin(source)
    assert dataset.broken == 0
    assert set(dataset.events_report.omissions) == {"impression without a click", "click listed twice"}
    assert (dataset.events_report.read, dataset.events_report.kept) == (5, 3)


def test_train_and_test_are_one_log(source):
    (source / "search_test.csv").write_text(SEARCH.replace("6948", "1"), encoding="utf-8")
    assert len(read_qilin(source).events) == 5


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("q,[],not a list,1,2", "impressions that cannot be read"),
        ("q,[],{'click': __import__('os')},1,2", "impression that cannot be read"),
        ("q,[],{'note_idx': 10},1,2", "impression that cannot be read"),
        ("q,[],\"[{'click': 1, 'note_idx': 10}]\",1,2", "broken timestamp"),
        ("q,[],\"[{'click': 1, 'note_idx': 99, 'search_timestamp': 1732475484}]\",1,2", "unknown item"),
        (",[],\"[{'click': 1, 'note_idx': 10, 'search_timestamp': 1732475484}]\",1,2", "search without a query"),
        ("q,[],1", "line with 3 fields instead of 5"),
    ],
)
def test_a_broken_impression_is_dropped_and_shown(source, row, said):
    with (source / "search_train.csv").open("a", encoding="utf-8") as file:
        file.write(row + "\n")
    dataset = read_qilin(source)
    assert dataset.broken == 1
    assert said in str(dataset)
    assert len(dataset.events) == dataset.events_report.kept == 3


def test_a_missing_file_is_named(source):
    (source / "recommendation_train.csv").unlink()
    with pytest.raises(DatasetError, match=r"expected recommendation\.csv, or recommendation_train\.csv"):
        read_qilin(source)
    (source / "notes.csv").unlink()
    with pytest.raises(DatasetError, match=r"expected a file notes\.csv"):
        read_qilin(source)


@pytest.mark.parametrize("time", ["1e999", "-1e999", "9" * 400, "True", "'soon'"])
def test_a_time_that_no_clock_shows_is_a_broken_one(source, time):
    search = SEARCH.replace("'search_timestamp': 1732475493.0", f"'search_timestamp': {time}")
    (source / "search_train.csv").write_text(search, encoding="utf-8")
    dataset = read_qilin(source)
    assert dataset.events_report.faults["broken timestamp"].count == 1


@pytest.mark.parametrize("seconds", ["9" * 400, "1e999", "False"])
def test_seconds_on_a_page_that_are_no_number_are_unknown(source, seconds):
    (source / "search_train.csv").write_text(SEARCH.replace("5.5", seconds), encoding="utf-8")
    assert read_qilin(source).events["page_time"].to_pylist().count(5.5) == 0
    assert read_qilin(source).broken == 0


def test_half_of_a_surrogate_pair_makes_an_impression_unreadable(source):
    (source / "search_train.csv").write_text(SEARCH.replace("'67ab'", r"'\ud800'"), encoding="utf-8")
    assert "impression that cannot be read" in read_qilin(source).events_report.faults
