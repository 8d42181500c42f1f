"""Amazon reviews: both releases' formats, made up here; the queries are constructed, so their rule is tested."""

import bz2
import gzip
import json
import math
from pathlib import Path
from typing import Any

import pytest
from backports import zstd

from catalog.errors import DatasetError
from catalog.importers.amazon import category_query, read_amazon

LENS = {
    "asin": "A1",
    "title": "Bob&#39;s Lens",
    "description": "Sharp & bright.",
    "price": 31.5,
    "brand": "Bob",
    "categories": [["Electronics", "Camera & Photo", "Lenses"], ["Electronics"]],
}
CASE_2018 = {
    "asin": "A2",
    "title": "Case",
    "description": ["Soft.", "<p>Black.</p>"],
    "price": "$1,299.00",
    "category": ["Cell Phones", "Cases", "Phone Cases"],
}
UNREVIEWED = {"asin": "A3", "title": "Nobody's"}


def review(user: str, item: str, day: int, stars: float = 4.0) -> dict[str, Any]:
    return {"reviewerID": user, "asin": item, "overall": stars, "unixReviewTime": day * 86_400}


REVIEWS = [review("u1", "A1", 15_000), review("u1", "A2", 15_001, 2.0), review("u2", "A1", 15_002)]


def write(folder: Path, reviews: list[Any] = REVIEWS, extra: str = "") -> Path:
    lines = [json.dumps(row) for row in reviews]
    (folder / "reviews_Things_5.json.gz").write_bytes(gzip.compress(("\n".join(lines) + "\n" + extra).encode()))
    # The 2014 metadata are printed Python dicts; JSON is the rule since.
    metadata = f"{LENS!r}\n{json.dumps(CASE_2018)}\n{UNREVIEWED!r}\n"
    (folder / "meta_Things.json.gz").write_bytes(gzip.compress(metadata.encode()))
    return folder


def test_a_review_is_a_search_and_then_a_rating(tmp_path):
    events = read_amazon(write(tmp_path)).events.to_pylist()
    mine = [(row["item_id"], row["type"], row["query"], row["value"]) for row in events if row["user_id"] == "u1"]
    assert (
        mine
        == [
            ("A1", "purchase", "electronics camera photo lenses", None),
            ("A1", "rating", None, 4.0),
            ("A2", "purchase", "cell phone cases", None),
            ("A2", "rating", None, 2.0),
        ]
        or mine[2][2] == "cell phones phone cases"
    )
    assert events[0]["timestamp"] == events[1]["timestamp"] == 15_000 * 86_400_000


@pytest.mark.parametrize(
    ("path", "query"),
    [
        (["Camera & Photo", "Digital Camera Lenses"], "photo digital camera lenses"),
        (["Clothing", "Men's Shirts", "Shirts for Men"], "clothing shirts men"),
        (["Electronics"], None),
        ([], None),
        (["The", "And"], None),
    ],
)
def test_a_query_is_the_category_path_without_stop_words_and_repetitions(path, query):
    assert category_query(path) == query


def test_products_of_both_releases_become_items(tmp_path):
    lens, case = read_amazon(write(tmp_path)).items.to_pylist()
    assert (lens["title"], lens["price"], lens["brand"]) == ("Bob's Lens", 31.5, "Bob")
    assert lens["categories"] == ["Electronics", "Camera & Photo", "Lenses"]
    assert (case["price"], case["description"], case["brand"]) == (1299.0, "Soft. Black.", None)


def test_products_without_reviews_are_left_out_unless_wanted(tmp_path):
    dataset = read_amazon(write(tmp_path))
    assert dataset.items["item_id"].to_pylist() == ["A1", "A2"]
    assert dataset.broken == 0
    assert "product nobody reviewed" in str(dataset)
    assert len(read_amazon(tmp_path, all_items=True).items) == 3


def test_the_query_of_a_review_depends_on_the_seed_alone(tmp_path):
    lens = LENS | {"categories": [["Electronics", f"Kind {n}"] for n in range(50)]}
    write(tmp_path, [review(f"u{n}", "A1", 15_000) for n in range(20)])
    (tmp_path / "meta_Things.json.gz").write_bytes(gzip.compress(repr(lens).encode()))
    assert read_amazon(tmp_path, seed=1).events.equals(read_amazon(tmp_path, seed=1).events)
    assert not read_amazon(tmp_path, seed=1).events.equals(read_amazon(tmp_path, seed=2).events)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{'asin': open('/etc/passwd')}", "line that is no record"),
        ("[1]", "line that is no record"),
        (json.dumps({"asin": "A1", "unixReviewTime": 1}), "review without reviewerID or asin"),
        (json.dumps(review("u1", "A1", 1) | {"unixReviewTime": "01 2, 2010"}), "broken timestamp"),
        (json.dumps(review("u1", "A9", 15_000)), "unknown item"),
    ],
)
def test_a_broken_review_is_dropped_and_shown(tmp_path, line, said):
    dataset = read_amazon(write(tmp_path, extra=line + "\n"))
    assert dataset.broken == 1
    assert said in str(dataset)
    assert (dataset.events_report.kept, len(dataset.events)) == (6, 6)


def test_files_are_found_by_their_names(tmp_path):
    with pytest.raises(DatasetError, match="is not a folder"):
        read_amazon(tmp_path / "nowhere")
    with pytest.raises(DatasetError, match=r"expected a file \*reviews\*\.json\.gz"):
        read_amazon(tmp_path)
    write(tmp_path)
    (tmp_path / "reviews_Things.json.gz").write_bytes(b"")  # The whole data set beside its 5-core is no ambiguity.
    assert len(read_amazon(tmp_path).events) == 6
    (tmp_path / "reviews_Others_5.json.gz").write_bytes(b"")
    with pytest.raises(DatasetError, match="there are several"):
        read_amazon(tmp_path)


def test_a_download_cut_short_is_refused(tmp_path):
    path = write(tmp_path) / "reviews_Things_5.json.gz"
    path.write_bytes(path.read_bytes()[:-12])
    with pytest.raises(DatasetError, match="not a whole file"):
        read_amazon(tmp_path)


def test_texts_lose_their_markup_and_nothing_else(tmp_path):
    write(tmp_path)
    tripod = {
        "asin": "A1",
        "title": "Tripod &lt;5 kg, legs &gt;1 m",
        "description": ["<p>Steady.</p><script>track('<b>')</script>", "a < b and c > d"],
        "brand": "Bob&amp;#39;s",
        "category": ["Photo", "Tripods <5 kg"],
    }
    lens = {"asin": "A2", "title": "H<sub>2</sub>O filter", "brand": "A &amp;amp; B", "category": ["Photo"]}
    (tmp_path / "meta_Things.json.gz").write_bytes(gzip.compress(f"{json.dumps(tripod)}\n{json.dumps(lens)}".encode()))
    first, second = read_amazon(tmp_path).items.to_pylist()
    assert first["title"] == "Tripod <5 kg, legs >1 m"
    assert first["description"] == "Steady. a < b and c > d"
    assert first["categories"] == ["Photo", "Tripods <5 kg"]
    assert (first["brand"], second["brand"]) == ("Bob's", "A & B")
    assert second["title"] == "H2O filter"


REVIEWS_2023 = [
    {"user_id": "u1", "asin": "A1-red", "parent_asin": "A1", "rating": 5.0, "timestamp": 1_500_000_000_123},
    {"user_id": "u2", "asin": "A1-blue", "parent_asin": "A1", "rating": 2.0, "timestamp": 1_600_000_000_456},
    {"user_id": "u1", "asin": "A2", "parent_asin": "A2", "rating": 3.0, "timestamp": 1_600_000_000_789},
]
META_2023 = [
    {
        "parent_asin": "A1",
        "main_category": "All Beauty",
        "title": "Howard LC0008 Leather Conditioner",
        "store": "Howard Products",
        "price": None,
        "features": ["Soft &amp; safe", "No residue"],
        "description": [],
        "categories": ["Beauty", "Leather Care"],
        "details": {"Size": "8 oz"},
    },
    {"parent_asin": "A2", "main_category": "All Beauty", "title": "Comb", "price": 9.5, "categories": []},
]
USERS_2023 = [(row["user_id"], row["parent_asin"], row["timestamp"], row["rating"]) for row in REVIEWS_2023]


def rated(events):
    wanted = [row for row in events.to_pylist() if row["type"] == "rating"]
    return [(row["user_id"], row["item_id"], row["timestamp"], row["value"]) for row in wanted]


@pytest.mark.parametrize(
    ("suffix", "packed"),
    [(".jsonl.gz", gzip.compress), (".jsonl", bytes), (".jsonl.zst", zstd.compress), (".json.bz2", bz2.compress)],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_the_release_of_2023_is_read(tmp_path, suffix, packed, encoding):
    for name, rows in (("All_Beauty", REVIEWS_2023), ("meta_All_Beauty", META_2023)):
        text = "\n\n".join(map(json.dumps, rows))
        (tmp_path / f"{name}{suffix}").write_bytes(packed(text.encode(encoding)))
    dataset = read_amazon(tmp_path)
    assert dataset.broken == 0
    assert rated(dataset.events) == sorted(USERS_2023, key=lambda row: (row[0], row[2]))
    first, second = dataset.items.to_pylist()
    assert first["item_id"] == "A1"
    assert (first["brand"], first["description"]) == ("Howard Products", "Soft & safe No residue")
    assert first["categories"] == ["Beauty", "Leather Care"]
    assert (second["price"], second["categories"]) == (9.5, ["All Beauty"])


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_the_cores_of_2023_are_csv(tmp_path, delimiter):
    rows = [["user_id", "parent_asin", "rating", "timestamp", "history"]]
    rows += [[user, item, str(stars), str(time), "A1 A2"] for user, item, time, stars in USERS_2023]
    text = "\n".join(map(delimiter.join, rows))
    (tmp_path / "All_Beauty.csv.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "meta_All_Beauty.jsonl").write_text("\n".join(map(json.dumps, META_2023)))
    assert rated(read_amazon(tmp_path).events) == sorted(USERS_2023, key=lambda row: (row[0], row[2]))


@pytest.mark.parametrize("form", [float, str, "{}.0".format, lambda seconds: seconds * 1000, "{:e}".format])
def test_times_of_reviews_are_whole_numbers_in_any_form(tmp_path, form):
    seconds = 15_000 * 86_400
    write(tmp_path, [review("u1", "A1", 15_000) | {"unixReviewTime": form(seconds), "overall": math.nan}])
    assert set(read_amazon(tmp_path).events["timestamp"].to_pylist()) == {seconds * 1000}
