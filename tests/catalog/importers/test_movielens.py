"""MovieLens: titles, stars and tags, made up here in the real format; the real data where it is at hand."""

import gzip
from collections import Counter
from pathlib import Path

import pyarrow.compute as pc
import pytest

from catalog.errors import DatasetError
from catalog.importers.movielens import plain_title, read_movielens
from tests.catalog.importers.real_data import real_data

MOVIES = """movieId,title,genres
1,Toy Story (1995),Animation|Children
2,"Matrix, The (1999)",Action
3,Babylon 5,(no genres listed)
"""
RATINGS = """userId,movieId,rating,timestamp
7,2,4.5,1000000000
7,1,0.5,1000000000
8,1,3.0,999999999
"""
TAGS = """userId,movieId,tag,timestamp
7,2,dystopia,1000000000
7,1,In Netflix queue,1000000001
8,2, pixar ,1000000002
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for name, text in (("movies", MOVIES), ("ratings", RATINGS), ("tags", TAGS)):
        (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
    return tmp_path


def test_films_have_plain_titles_years_and_genres(source):
    films = read_movielens(source).items
    assert films["item_id"].to_pylist() == ["1", "2", "3"]
    assert films["title"].to_pylist() == ["Toy Story", "The Matrix", "Babylon 5"]
    assert films["year"].to_pylist() == [1995, 1999, None]
    assert films["categories"].to_pylist() == [["Animation", "Children"], ["Action"], []]


def test_ratings_have_no_query_and_tags_are_queries(source):
    events = read_movielens(source).events
    first = {"event_id": None, "request_id": None}
    assert events.filter(pc.equal(events["user_id"], "7")).to_pylist() == [
        {"user_id": "7", "item_id": "2", "timestamp": 10**12, "type": "rating", "query": None, "rating": 4.5} | first,
        {"user_id": "7", "item_id": "1", "timestamp": 10**12, "type": "rating", "query": None, "rating": 0.5} | first,
        {"user_id": "7", "item_id": "2", "timestamp": 10**12, "type": "click", "query": "dystopia", "rating": None}
        | first,
    ]
    assert "pixar" in events["query"].to_pylist()


def test_junk_tags_are_left_out_by_choice_and_are_no_faults(source):
    report = read_movielens(source).events_report
    assert (report.read, report.kept, report.broken) == (6, 5, 0)
    assert "tags.csv line 3" in str(report)
    assert len(read_movielens(source, junk_tags=()).events) == 6
    assert len(read_movielens(source, junk_tags=("DYSTOPIA",)).events) == 5


def test_gzipped_files_are_read_too(source):
    for path in list(source.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    assert len(read_movielens(source).events) == 5


@pytest.mark.parametrize(
    ("name", "line", "said"),
    [
        ("ratings", "7,2,4.5,yesterday", "ratings.csv line 5: userId='7', movieId='2', timestamp='yesterday'"),
        ("ratings", "7,2,good,1", "rating that is no number"),
        ("ratings", "7,2,4.5", "line with 3 fields instead of 4"),
        ("ratings", "7,99,4.5,1000000000", "unknown item"),
        ("tags", "7,2,dull,", "broken timestamp"),
        ("movies", "1,Toy Story Again,Drama", "duplicate item_id"),
    ],
)
def test_a_broken_line_is_dropped_and_shown(source, name, line, said):
    whole = read_movielens(source)
    with (source / f"{name}.csv").open("a") as file:
        file.write(line + "\n")
    dataset = read_movielens(source)
    assert dataset.broken == 1
    assert said in str(dataset)
    assert (len(dataset.items), len(dataset.events)) == (len(whole.items), len(whole.events))


def test_line_numbers_stay_right_after_a_line_that_cannot_be_read(source):
    (source / "ratings.csv").write_text("userId,movieId,rating,timestamp\n1\n7,1,5,x\n7,1,5,9\n")
    assert "ratings.csv line 3" in str(read_movielens(source).events_report)


def test_a_missing_file_is_named(source):
    (source / "tags.csv").unlink()
    with pytest.raises(DatasetError, match=r"expected a file tags\.csv or tags\.csv\.gz"):
        read_movielens(source)
    with pytest.raises(DatasetError, match="is not a folder"):
        read_movielens(source / "nowhere")


def test_a_file_of_something_else_is_refused(source):
    (source / "ratings.csv").write_text("user,item\n1,2\n")
    with pytest.raises(DatasetError, match="expected the columns userId, movieId, rating, timestamp"):
        read_movielens(source)


@pytest.mark.parametrize(
    ("listed", "title", "year"),
    [
        ("Postman, The (Postino, Il) (1994)", "The Postman (Il Postino)", 1994),
        ("Good, the Bad and the Ugly, The (1966)", "The Good, the Bad and the Ugly", 1966),
        ("Avventura, L' (1960)", "L'Avventura", 1960),
        ("(500) Days of Summer (2009)", "(500) Days of Summer", 2009),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers", 1975),
        ("Seven (a.k.a. Se7en) (1995) ", "Seven (a.k.a. Se7en)", 1995),
        ("2001", "2001", None),
        ("", "", None),
    ],
)  # fmt: skip
def test_titles_are_turned_into_what_people_say(listed, title, year):
    assert plain_title(listed) == (title, year)


def test_the_real_data_is_read_whole():
    dataset = read_movielens(real_data("movielens-latest-small"))
    assert len(dataset.items) == 9742
    kinds = Counter(dataset.events["type"].to_pylist())
    assert kinds == {"rating": 100_836, "click": 3683 - 131}
    assert dataset.broken == 0
    assert pc.count_distinct(dataset.events["user_id"]).as_py() == 610
