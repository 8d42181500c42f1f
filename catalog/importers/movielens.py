"""MovieLens (ml-latest-small and its larger and older sisters; GroupLens, https://grouplens.org/datasets/movielens/).

The importer reads `movies.csv`, `ratings.csv` and `tags.csv` (20M and later; `movie.csv` and so on as Kaggle names
them), `movies.dat`, `ratings.dat` and `tags.dat` with `::` between the cells (1M, which has no tags, and 10M), or
`u.item`, `u.data` and `u.genre` (100K, without tags), plain or compressed. Ratings become recommendation events with
the stars in the column `rating`. Low ratings are kept, too, because the film was watched. Tags become searches, events
of type click: a user who tags a film "dystopia" could have found it by this word. Some tags say nothing about the film,
such as "in netflix queue"; those of `junk_tags` are left out.

People rate in bulk, so many events of one person have the same second. They keep the order of the files, which is by
film number, with ratings before tags, because nothing finer is known. Films without a rating or a tag are kept.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from catalog.data.events import VALUE, EventType
from catalog.data.validation_report import ValidationReport
from catalog.importers.dataset import Dataset, assemble
from catalog.importers.delimited import decimals, find_file, has_file, read_columns, times

__all__ = ["JUNK_TAGS", "plain_title", "read_movielens"]

JUNK_TAGS = ("in netflix queue",)


def read_movielens(source: Path, *, junk_tags: Collection[str] = JUNK_TAGS) -> Dataset:
    """The films, ratings and tags in the folder `source`.

    junk_tags: tags that are left out, in upper or lower case.
    Raises DatasetError if a file is missing or has another form than MovieLens's.
    """
    items_report, events_report = ValidationReport("items"), ValidationReport("events")
    release = _release(source)
    items = _films(release, items_report)
    events = [_ratings(release, events_report)]
    if release.tags is None:
        events_report.notes.append("there are no tags, so there are no searches: this release has none")
    else:
        events.append(_tags(release.tags, release, junk_tags, events_report))
    return assemble(items, pa.concat_tables(events, promote_options="default"), items_report, events_report)


def plain_title(listed: str) -> tuple[str, int | None]:
    """The title and the year, or None, of a listed title: ("The Matrix", 1999) of "Matrix, The (1999)"."""
    listed = listed.strip()
    dated = re.fullmatch(r"(.*?)\s*\((\d{4})(?:[-–]\d{0,4})?\)", listed, re.DOTALL)
    title, year = (dated[1], int(dated[2])) if dated else (listed, None)
    return _ARTICLE_LAST.sub(_article_first, title), year


_ARTICLES = "The|A|An|Le|La|Les|L'|Un|Une|Il|Lo|El|Los|Las|Der|Die|Das|Den|Det|En|Ett|De|O|Os"
_ARTICLE_LAST = re.compile(rf"(^|\()([^()]+), ({_ARTICLES})(?=\s*(?:[()]|$))")


def _article_first(title: re.Match[str]) -> str:
    before, rest, article = title.groups()
    return f"{before}{article}{_gap(article)}{rest}"


def _gap(article: str) -> str:
    return "" if article.endswith("'") else " "


@dataclass(frozen=True, slots=True)
class _Release:
    """The files of a release, and how they are written.

    tags: None for a release without.
    header: whether the files begin with the names of their columns.
    genres: of 100K, whose films have a column for every genre.
    """

    films: Path
    ratings: Path
    tags: Path | None
    delimiter: str = ","
    header: bool = True
    genres: tuple[str, ...] = ()

    def read(self, path: Path, columns: Sequence[str], report: ValidationReport) -> pa.Table:
        if self.header:
            return read_columns(path, columns, report, delimiter=self.delimiter)
        delimiter = "|" if self.genres and path == self.films else self.delimiter
        return read_columns(path, columns, report, delimiter=delimiter, quoted=False, header=columns)


def _release(source: Path) -> _Release:
    if has_file(source, "movies.dat"):
        tags = find_file(source, "tags.dat") if has_file(source, "tags.dat") else None
        films, ratings = (find_file(source, name) for name in ("movies.dat", "ratings.dat"))
        return _Release(films, ratings, tags, "::", header=False)
    if has_file(source, "u.item"):
        films, ratings = (find_file(source, name) for name in ("u.item", "u.data"))
        return _Release(films, ratings, None, "\t", header=False, genres=GENRES_OF_100K)
    films, ratings, tags = (find_file(source, f"{name}s.csv", f"{name}.csv") for name in ("movie", "rating", "tag"))
    return _Release(films, ratings, tags)


GENRES_OF_100K = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"),
    *("Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


def _films(release: _Release, report: ValidationReport) -> pa.Table:
    mine = ValidationReport("items", place=f"{release.films.name} line")
    if release.genres:
        table = release.read(release.films, ("movieId", "title", "released", "video", "url", *release.genres), mine)
        flags = zip(*(table[genre].to_pylist() for genre in release.genres), strict=True)
        genres = [
            [genre for genre, flag in zip(release.genres[1:], own[1:], strict=True) if flag == "1"] for own in flags
        ]
    else:
        table = release.read(release.films, ("movieId", "title", "genres"), mine)
        genres = [
            [] if listed == "(no genres listed)" else [genre for genre in listed.split("|") if genre]
            for listed in table["genres"].to_pylist()
        ]
    titles = [plain_title(title) for title in table["title"].to_pylist()]
    report.merge(mine)
    return pa.table(
        {
            "item_id": table["movieId"],
            "title": pa.array([title or None for title, _ in titles], pa.string()),
            "categories": pa.array(genres, pa.list_(pa.string())),
            "year": pa.array([year for _, year in titles], pa.int64()),
        }
    )


def _ratings(release: _Release, report: ValidationReport) -> pa.Table:
    path = release.ratings
    mine = ValidationReport("events", place=f"{path.name} line")
    columns = ("userId", "movieId", "rating", "timestamp")
    table = _timed(release.read(path, columns, mine), mine)
    wordy = pc.is_null(decimals(table["rating"]))
    table = mine.drop(table, wordy, "rating that is no number", show=columns)
    report.merge(mine)
    return _events(table, EventType.RATING).append_column(VALUE, decimals(table["rating"]))


def _tags(path: Path, release: _Release, junk_tags: Collection[str], report: ValidationReport) -> pa.Table:
    mine = ValidationReport("events", place=f"{path.name} line")
    columns = ("userId", "movieId", "tag", "timestamp")
    table = _timed(release.read(path, columns, mine), mine)
    tags = pc.utf8_lower(pc.utf8_trim_whitespace(table["tag"]))
    junk = pc.is_in(tags, pa.array(["", *(tag.strip().lower() for tag in junk_tags)]))
    table = mine.drop(table, junk, "junk tag", show=columns, fault=False)
    report.merge(mine)
    return _events(table, EventType.CLICK).append_column("query", pc.utf8_trim_whitespace(table["tag"]))


def _timed(table: pa.Table, report: ValidationReport) -> pa.Table:
    """The rows that have a time, which becomes Unix milliseconds."""
    unix_ms = times(table["timestamp"], seconds=True)
    kept = report.drop(table, pc.is_null(unix_ms), "broken timestamp", show=("userId", "movieId", "timestamp"))
    place = kept.column_names.index("timestamp")
    return kept.set_column(place, "timestamp", unix_ms.drop_null())


def _events(table: pa.Table, kind: EventType) -> pa.Table:
    return pa.table(
        {
            "user_id": table["userId"],
            "item_id": table["movieId"],
            "timestamp": table["timestamp"],
            "type": pa.array([kind.value] * len(table), pa.string()),
        }
    )
