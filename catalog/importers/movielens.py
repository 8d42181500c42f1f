"""MovieLens (ml-latest-small and its larger sisters; GroupLens, https://grouplens.org/datasets/movielens/).

The importer reads `movies.csv`, `ratings.csv` and `tags.csv`, plain or gzipped. Ratings become recommendation events
with the stars in the column `rating`. Low ratings are kept, too, because the film was watched. Tags become searches,
events of type click: a user who tags a film "dystopia" could have found it by this word. Some tags say nothing about
the film, such as "in netflix queue"; those of `junk_tags` are left out.

People rate in bulk, so many events of one person have the same second. They keep the order of the files, which is by
film number, with ratings before tags, because nothing finer is known. Films without a rating or a tag are kept.
"""

import re
from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.events import EventType
from catalog.data.validation_report import ValidationReport
from catalog.importers.dataset import Dataset, assemble
from catalog.importers.delimited import decimals, find_file, read_columns, whole_numbers

__all__ = ["JUNK_TAGS", "plain_title", "read_movielens"]

JUNK_TAGS = ("in netflix queue",)


def read_movielens(source: Path, *, junk_tags: Collection[str] = JUNK_TAGS) -> Dataset:
    """The films, ratings and tags in the folder `source`.

    junk_tags: tags that are left out, in upper or lower case.
    Raises DatasetError if a file is missing or has another form than MovieLens's.
    """
    files = {name: find_file(source, f"{name}.csv") for name in ("movies", "ratings", "tags")}
    items_report, events_report = ValidationReport("items"), ValidationReport("events")
    items = _films(files["movies"], items_report)
    ratings = _ratings(files["ratings"], events_report)
    tags = _tags(files["tags"], junk_tags, events_report)
    events = pa.concat_tables([ratings, tags], promote_options="default")
    return assemble(items, events, items_report, events_report)


def plain_title(listed: str) -> tuple[str, int | None]:
    """The title and the year, or None, of a listed title: ("The Matrix", 1999) of "Matrix, The (1999)"."""
    listed = listed.strip()
    dated = re.fullmatch(r"(.*?)\s*\((\d{4})(?:[-–]\d{0,4})?\)", listed)
    title, year = (dated[1], int(dated[2])) if dated else (listed, None)
    return _ARTICLE_LAST.sub(_article_first, title), year


_ARTICLES = "The|A|An|Le|La|Les|L'|Un|Une|Il|Lo|El|Los|Las|Der|Die|Das|Den|Det|En|Ett|De|O|Os"
_ARTICLE_LAST = re.compile(rf"(^|\()([^()]+), ({_ARTICLES})(?=\s*(?:[()]|$))")


def _article_first(title: re.Match[str]) -> str:
    before, rest, article = title.groups()
    return f"{before}{article}{_gap(article)}{rest}"


def _gap(article: str) -> str:
    return "" if article.endswith("'") else " "


def _films(path: Path, report: ValidationReport) -> pa.Table:
    mine = ValidationReport("items", place=f"{path.name} line")
    table = read_columns(path, ("movieId", "title", "genres"), mine)
    titles = [plain_title(title) for title in table["title"].to_pylist()]
    genres = [
        [] if listed == "(no genres listed)" else [genre for genre in listed.split("|") if genre]
        for listed in table["genres"].to_pylist()
    ]
    report.merge(mine)
    return pa.table(
        {
            "item_id": table["movieId"],
            "title": pa.array([title or None for title, _ in titles], pa.string()),
            "categories": pa.array(genres, pa.list_(pa.string())),
            "year": pa.array([year for _, year in titles], pa.int64()),
        }
    )


def _ratings(path: Path, report: ValidationReport) -> pa.Table:
    mine = ValidationReport("events", place=f"{path.name} line")
    columns = ("userId", "movieId", "rating", "timestamp")
    table = _timed(read_columns(path, columns, mine), mine)
    wordy = pc.is_null(decimals(table["rating"]))
    table = mine.drop(table, wordy, "rating that is no number", show=columns)
    report.merge(mine)
    return _events(table, EventType.RATING).append_column("rating", decimals(table["rating"]))


def _tags(path: Path, junk_tags: Collection[str], report: ValidationReport) -> pa.Table:
    mine = ValidationReport("events", place=f"{path.name} line")
    columns = ("userId", "movieId", "tag", "timestamp")
    table = _timed(read_columns(path, columns, mine), mine)
    tags = pc.utf8_lower(pc.utf8_trim_whitespace(table["tag"]))
    junk = pc.is_in(tags, pa.array(["", *(tag.strip().lower() for tag in junk_tags)]))
    table = mine.drop(table, junk, "junk tag", show=columns, fault=False)
    report.merge(mine)
    return _events(table, EventType.CLICK).append_column("query", pc.utf8_trim_whitespace(table["tag"]))


def _timed(table: pa.Table, report: ValidationReport) -> pa.Table:
    timeless = pc.is_null(whole_numbers(table["timestamp"]))
    return report.drop(table, timeless, "broken timestamp", show=("userId", "movieId", "timestamp"))


def _events(table: pa.Table, kind: EventType) -> pa.Table:
    return pa.table(
        {
            "user_id": table["userId"],
            "item_id": table["movieId"],
            "timestamp": pc.multiply(whole_numbers(table["timestamp"]), 1000),
            "type": pa.array([kind.value] * len(table), pa.string()),
        }
    )
