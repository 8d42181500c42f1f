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
        {"user_id": "7", "item_id": "2", "timestamp": 10**12, "type": "rating", "query": None, "value": 4.5} | first,
        {"user_id": "7", "item_id": "1", "timestamp": 10**12, "type": "rating", "query": None, "value": 0.5} | first,
        {"user_id": "7", "item_id": "2", "timestamp": 10**12, "type": "click", "query": "dystopia", "value": None}
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


LATIN = "Cité des enfants perdus, La (1995)"
FILMS = [("1", "Toy Story (1995)", ["Animation", "Comedy"]), ("2", LATIN, ["Sci-Fi"])]
RATED = [("7", "2", "5", "978300760"), ("7", "1", "3", "978302109"), ("8", "1", "4", "978301968")]


def read_old(source: Path) -> list[tuple[object, ...]]:
    dataset = read_movielens(source)
    assert dataset.broken == 0
    assert dataset.items["title"].to_pylist() == ["Toy Story", "La Cité des enfants perdus"]
    assert dataset.items["categories"].to_pylist() == [["Animation", "Comedy"], ["Sci-Fi"]]
    wanted = dataset.events.filter(pc.equal(dataset.events["type"], "rating")).to_pylist()
    return [(row["user_id"], row["item_id"], row["value"], row["timestamp"]) for row in wanted]


EXPECTED = [("7", "2", 5.0, 978_300_760_000), ("7", "1", 3.0, 978_302_109_000), ("8", "1", 4.0, 978_301_968_000)]


@pytest.mark.parametrize("encoding", ["latin-1", "utf-8", "utf-8-sig", "utf-16"])
def test_the_release_of_a_million_is_read(tmp_path, encoding):
    films = "".join(f"{name}::{title}::{'|'.join(genres)}\r\n" for name, title, genres in FILMS)
    (tmp_path / "movies.dat").write_bytes(films.encode(encoding))
    (tmp_path / "ratings.dat").write_text("".join("::".join(row) + "\n" for row in RATED))
    assert read_old(tmp_path) == EXPECTED
    assert "no searches" in str(read_movielens(tmp_path))


def test_the_release_of_ten_million_has_tags(tmp_path):
    (tmp_path / "movies.dat").write_text("".join(f"{n}::{title}::{'|'.join(genres)}\n" for n, title, genres in FILMS))
    (tmp_path / "ratings.dat").write_text("".join("::".join(row) + "\n" for row in RATED))
    (tmp_path / "tags.dat").write_text('7::2::"dark": city::978300760\n7::2::x\n')
    dataset = read_movielens(tmp_path)
    assert dataset.events["query"].drop_null().to_pylist() == ['"dark": city']
    assert "line with 3 fields instead of 4" in str(dataset)
    assert "tags.dat line 2: '7::2::x'" in str(dataset)


def test_the_release_of_a_hundred_thousand_is_read(tmp_path):
    flags = {"Animation": 3, "Comedy": 5, "Sci-Fi": 15}
    lines = []
    for name, title, genres in FILMS:
        own = ["1" if place in {flags[genre] for genre in genres} else "0" for place in range(19)]
        lines.append("|".join([name, title, "01-Jan-1995", "", "http://us.imdb.com/M/title-exact?x", *own]))
    (tmp_path / "u.item").write_bytes("\n".join(lines).encode("latin-1"))
    (tmp_path / "u.data").write_text("".join("\t".join(row) + "\n" for row in RATED))
    assert read_old(tmp_path) == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
@pytest.mark.parametrize("first", ["", "sep={}\n"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_tables_of_other_programs_are_read(source, encoding, delimiter, first, end):
    whole = read_movielens(source)
    rows = [line.split(",") for line in RATINGS.splitlines()]
    rows = [[cell.replace(".", ",") for cell in row] for row in rows]  # a decimal comma
    text = first.format(delimiter) + "\n".join(map(delimiter.join, rows)) + "\n\n"
    (source / "ratings.csv").write_bytes(text.replace("\n", end).encode(encoding))
    assert read_movielens(source).events.equals(whole.events)


@pytest.mark.parametrize(
    "times",
    [
        ("1000000000.0", "1e9", "999999999"),
        ("1000000000000", "1000000000000", "999999999000"),
        ("1000000000000000", "1000000000000000", "999999999000000"),
        ("2001-09-09 01:46:40", "2001-09-09 01:46:40", "2001-09-09 01:46:39"),
        ("2001-09-09T01:46:40Z", "2001-09-09T03:46:40+02:00", "2001-09-09T01:46:39.000Z"),
    ],
)
def test_times_are_numbers_in_any_unit_or_text(source, times):
    whole = read_movielens(source)
    one, two, three = times
    text = f"userId,movieId,rating,timestamp\n7,2,4.5,{one}\n7,1,0.5,{two}\n8,1,3.0,{three}\n"
    (source / "ratings.csv").write_text(text)
    assert read_movielens(source).events.equals(whole.events)


@pytest.mark.parametrize("end", ["\r", "\r\n", "\n"])
def test_lines_end_as_any_program_ends_them(source, end):
    whole = read_movielens(source)
    for name in ("movies", "ratings", "tags"):
        path = source / f"{name}.csv"
        path.write_bytes(path.read_text().replace("\n", end).encode())
    assert read_movielens(source).events.equals(whole.events)
    assert read_movielens(source).items.equals(whole.items)
    with (source / "ratings.csv").open("ab") as file:
        file.write(f"7,2,good,1{end}".encode())
    report = str(read_movielens(source))
    assert "ratings.csv line 5: userId='7', movieId='2', rating='good'" in report


@pytest.mark.parametrize(
    ("user", "film"), [("7.0", "2.0"), (" 7", "2 "), ("7.", "2"), ("7.00", "\t2.0 "), ("7", "2.0"), ('"7"', '" 2"')]
)
def test_ids_that_became_floats_or_have_spaces_around_them_are_ids(source, user, film):
    whole = read_movielens(source)
    (source / "ratings.csv").write_text(RATINGS.replace("7,2,", f"{user},{film},"))
    assert read_movielens(source).events.equals(whole.events)


def test_other_ids_keep_their_text(source):
    (source / "movies.csv").write_text("movieId,title,genres\n007,A,X\n7.5,B,X\n1e3,C,X\n12345678901234567890.0,D,X\n")
    (source / "ratings.csv").write_text("userId,movieId,rating,timestamp\n0.10,007,4.5,1000000000\n")
    (source / "tags.csv").write_text("userId,movieId,tag,timestamp\n")
    dataset = read_movielens(source)
    assert dataset.items["item_id"].to_pylist() == ["007", "7.5", "1e3", "12345678901234567890.0"]
    assert dataset.events["user_id"].to_pylist() == ["0.10"]


@pytest.mark.parametrize(
    ("stars", "rating"), [("4.5e0", 4.5), ("45E-1", 4.5), ("+4.5", 4.5), (".5", 0.5), ("5.", 5.0), ("-0.0", 0.0)]
)
def test_stars_are_numbers_in_any_form(source, stars, rating):
    (source / "ratings.csv").write_text(f"userId,movieId,rating,timestamp\n7,2,{stars},1000000000\n")
    assert read_movielens(source).events["value"].drop_null().to_pylist() == [rating]


def test_a_header_that_no_table_has_is_refused_in_a_line(source):
    (source / "ratings.csv").write_text('"' + "x" * 200_000 + '",movieId\n')
    with pytest.raises(DatasetError, match=r"ratings\.csv: not readable as delimited text"):
        read_movielens(source)


def test_the_names_of_kaggle_are_known(source):
    whole = read_movielens(source)
    for name in ("movie", "rating", "tag"):
        (source / f"{name}s.csv").rename(source / f"{name}.csv")
    assert read_movielens(source).events.equals(whole.events)


def test_a_title_of_two_lines_is_a_title(source):
    (source / "movies.csv").write_text(MOVIES + '4,"One,\ntwo (1999)",Action\n')
    films = read_movielens(source).items
    assert films["title"].to_pylist()[-1] == "One,\ntwo"


@pytest.mark.parametrize("line", ['1,"Open (1999),Action', '1,"Open "2" (1999),Action'])
def test_what_a_quotation_mark_without_an_end_swallows_is_counted(source, line):
    rows = "".join(f"{n},Film {n} (1999),Action\n" for n in range(10, 60))
    (source / "movies.csv").write_text("movieId,title,genres\n2,Matrix (1999),Action\n" + rows + line + "\n" + rows)
    dataset = read_movielens(source)
    assert len(dataset.items) >= 51
    report = dataset.items_report
    assert report.read == 102
    assert report.kept == len(dataset.items)


def test_most_of_a_file_lost_is_an_error_that_shows_a_line(source):
    (source / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "7,2,gut,1000000000\n" * 30)
    with pytest.raises(DatasetError, match="rating that is no number") as refused:
        read_movielens(source)
    assert "7,2,gut,1000000000" in str(refused.value)
    assert "30 of 33 events (90.9%)" in str(refused.value)


def test_the_real_data_is_read_whole():
    dataset = read_movielens(real_data("movielens-latest-small"))
    assert len(dataset.items) == 9742
    kinds = Counter(dataset.events["type"].to_pylist())
    assert kinds == {"rating": 100_836, "click": 3683 - 131}
    assert dataset.broken == 0
    assert pc.count_distinct(dataset.events["user_id"]).as_py() == 610


@pytest.mark.parametrize("title", [r"The \"Teckman\" Mystery (1954)", r"\"Great Performances\" Cats (1998)"])
def test_quotation_marks_escaped_by_backslashes_are_read_and_said(source, title):
    (source / "movies.csv").write_text(MOVIES + f'4,"{title}",Drama\n5,C:\\,Drama\n', encoding="utf-8")
    films = read_movielens(source)
    assert films.items["title"].to_pylist()[3] == plain_title(title.replace("\\", ""))[0]
    (note,) = films.items_report.notes
    assert note.startswith("movies.csv escapes quotation marks by backslashes, as in ")


@pytest.mark.parametrize("title", ["C:\\", 'a \\""b\\"" c', "AC\\DC"])
def test_backslashes_of_other_files_are_text(source, title):
    (source / "movies.csv").write_text(MOVIES + f'4,"{title}",Drama\n', encoding="utf-8")
    films = read_movielens(source)
    assert films.items["title"].to_pylist()[3] == title.replace('""', '"')
    assert films.items_report.notes == []
