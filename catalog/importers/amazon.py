"""Amazon product reviews with product metadata (McAuley et al.; the releases of 2014, 2018 and 2023).

The importer reads one reviews file and one metadata file, plain or compressed, with one record a line: JSON, or the
printed Python dicts of the 2014 metadata. Until 2018 they are the 5-core `reviews_…_5.json.gz` or `…_5.json.gz`, and
`meta_….json.gz`. In 2023 they are `All_Beauty.jsonl.gz`, or one of its cores, `All_Beauty.csv.gz`, and
`meta_All_Beauty.jsonl.gz`; products are told by `parent_asin`, of which an `asin` is one colour or size.

The data have no searches. They are constructed as research on product search does (Ai, Zhang, Bi, Chen, Croft:
"Learning a Hierarchical Embedding Model for Personalized Product Search", SIGIR 2017, after Van Gysel, de Rijke,
Kanoulas: CIKM 2016), and as the GEMS paper does for Amazon. A review counts as a purchase, and the query that led to it
is the product's category path in lower-case words, without stop words and repetitions, of which the last is kept, in
the more specific category. A path of one category is too general to be a query.

So a review becomes a recommendation event of type rating, with the stars in the column `rating`. If its product has a
query, a search event of type purchase precedes it, with the same user, item and timestamp. So the two are one encounter
(`trainer/data/splits.py`), which is asked for both, and neither stands in the history of the other. A product with
several paths has several queries, and each review draws one of them. Times are days, so a user's reviews of one day are
in no order; training shuffles them.
"""

import math
import random
import re
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa

from catalog.data.events import VALUE, EventType
from catalog.data.reading.encoding import EncodingError, LineEncodings, encoding_error
from catalog.data.reading.names import bare_name
from catalog.data.reading.stream import DAMAGED, opened
from catalog.data.reading.timestamps import in_milliseconds
from catalog.data.validation_report import LINE, ValidationReport
from catalog.errors import DatasetError
from catalog.importers.dataset import Dataset, assemble
from catalog.importers.delimited import SECONDS_BELOW, read_columns, whole_numbers
from catalog.importers.records import parse_record
from catalog.text.markup import plain_column

__all__ = ["category_query", "read_amazon"]

# fmt: off
STOP_WORDS = frozenset({
    "a", "all", "an", "and", "are", "as", "at", "be", "by", "for", "from", "in", "into", "is", "it",
    "its", "more", "no", "not", "of", "on", "or", "other", "others", "our", "s", "such", "that", "the",
    "their", "these", "this", "to", "up", "us", "was", "we", "with", "you", "your",
})
# fmt: on

_ITEM_SCHEMA = pa.schema(
    {
        "item_id": pa.string(),
        "title": pa.string(),
        "description": pa.string(),
        "brand": pa.string(),
        "categories": pa.list_(pa.string()),
        "price": pa.float64(),
    }
)
_EVENT_SCHEMA = pa.schema(
    {
        "user_id": pa.string(),
        "item_id": pa.string(),
        "timestamp": pa.int64(),
        "type": pa.string(),
        "query": pa.string(),
        VALUE: pa.float64(),
    }
)


def read_amazon(source: Path, *, seed: int = 0, all_items: bool = False) -> Dataset:
    """The reviews and products in the folder `source`.

    seed: decides which of a product's queries led to which review.
    all_items: whether products without a review are kept.
    Raises DatasetError if a file is missing or ambiguous.
    """
    reviews_path, meta_path = _find(source)
    items_report, events_report = ValidationReport("items"), ValidationReport("events")
    reviews = _reviews(reviews_path, events_report)
    wanted = None if all_items else {review.item for review in reviews}
    items, queries = _products(meta_path, wanted, items_report)
    events = _events(reviews, queries, random.Random(seed))
    events_report.read += len(events) - len(reviews)  # The constructed searches.
    return assemble(items, events, items_report, events_report)


def category_query(path: Sequence[str]) -> str | None:
    """The query of a category path, or None if the path is too short or has only stop words.

    ["Camera & Photo", "Digital Camera Lenses"] gives "photo digital camera lenses".
    """
    if len(path) < 2:
        return None
    words = [word for name in path for word in re.findall(r"[^\W_]+", name.lower().replace("'s", ""))]
    words = [word for word in words if word not in STOP_WORDS]
    specific_last = list(dict.fromkeys(reversed(words)))[::-1]
    return " ".join(specific_last) or None


def _find(source: Path) -> tuple[Path, Path]:
    if not source.is_dir():
        raise DatasetError(f"{source} is not a folder; expected one with *_5.json.gz and meta*.json.gz")
    files = sorted(path for path in source.iterdir() if path.is_file() and bare_name(path).endswith(NAMES))
    metas = [path for path in files if path.name.startswith("meta")]
    others = [path for path in files if path not in metas]
    cores = [path for path in others if "_5." in path.name]
    named = [path for path in others if "review" in path.name.lower()]
    of_meta = [path for path in others if _stem(path) in {_stem(meta).removeprefix("meta_") for meta in metas}]
    reviews = cores or named or of_meta
    for expected, found in (("*reviews*.json.gz or *_5.json.gz", reviews), ("meta*.json.gz", metas)):
        if not found:
            raise DatasetError(f"{source}: expected a file {expected}, and there is none")
        if len(found) > 1:
            names = ", ".join(path.name for path in found)
            raise DatasetError(f"{source}: expected one file {expected}, and there are several: {names}")
    return reviews[0], metas[0]


NAMES = (".json", ".jsonl", ".csv")


def _stem(path: Path) -> str:
    return Path(bare_name(path)).stem


def _records(path: Path, report: ValidationReport) -> Iterator[tuple[int, dict[str, Any]]]:
    """The line number and the record of every line. Unreadable lines are counted as faults."""
    encodings = LineEncodings()
    try:
        with opened(path) as stream:
            for number, line in enumerate(stream, start=1):
                encodings.add(number, line)
                if not line.strip():
                    continue
                report.read += 1
                record = parse_record(line)
                if record is None:
                    shown = line[:300].decode("utf-8", "backslashreplace").rstrip()
                    example = f"{path.name} line {number}: {line[:60]!r}"
                    report.count("line that is no record", 1, [example], row=partial(str, shown))
                else:
                    yield number, record
        if encodings.is_other:
            raise encoding_error(path, encodings)
    except EncodingError as fault:
        raise DatasetError(str(fault)) from fault
    except DAMAGED as fault:
        raise DatasetError(f"{path}: not a whole file, or a damaged one ({fault})") from fault


_Row = tuple[str, Any, Any, Any, Any]
"""Where a review stands, its user, product and time, and its stars."""


class _Review(NamedTuple):
    user: str
    item: str
    milliseconds: int
    stars: float | None


def _reviews(path: Path, report: ValidationReport) -> list[_Review]:
    rows = _reviews_of_csv(path, report) if bare_name(path).endswith(".csv") else _reviews_of_json(path, report)
    reviews: list[_Review] = []
    unix: list[int] = []
    for where, user, item, time, stars in rows:
        moment = _time(time)
        if not (isinstance(user, str) and isinstance(item, str)):
            report.count("review without reviewerID or asin (in 2023 user_id or parent_asin)", 1, [where])
        elif moment is None:
            report.count("broken timestamp", 1, [where])
        else:
            reviews.append(_Review(user, item, moment, _stars(stars)))
            unix.append(moment)
    milliseconds, unit = in_milliseconds(pa.chunked_array([pa.array(unix, pa.int64())]))
    factor = 1000 if unit is None and max(unix, default=0) < SECONDS_BELOW else 1
    moments = milliseconds.to_pylist()
    return [review._replace(milliseconds=time * factor) for review, time in zip(reviews, moments, strict=True)]


def _reviews_of_json(path: Path, report: ValidationReport) -> Iterator[_Row]:
    for number, record in _records(path, report):
        user = record.get("reviewerID", record.get("user_id"))
        item = record.get("parent_asin") or record.get("asin")
        time = record.get("unixReviewTime", record.get("timestamp"))
        where = f"{path.name} line {number}: user={user!r}, product={item!r}, time={time!r}"
        yield where, user, item, time, record.get("overall", record.get("rating"))


def _reviews_of_csv(path: Path, report: ValidationReport) -> Iterator[_Row]:
    mine = ValidationReport(report.subject, place=f"{path.name} line")
    table = read_columns(path, ("user_id", "parent_asin", "timestamp", "rating"), mine)
    report.merge(mine)
    for row in table.to_pylist():
        user, item, time = row["user_id"] or None, row["parent_asin"] or None, row["timestamp"]
        where = f"{path.name} line {row[LINE]}: user={user!r}, product={item!r}, time={time!r}"
        yield where, user, item, time, row["rating"]


def _time(value: Any) -> int | None:
    """The whole number that a time is, also as a float or as text."""
    if isinstance(value, str):
        read = whole_numbers(pa.chunked_array([[value]]))[0].as_py()
        return None if read is None else int(read)
    return int(value) if type(value) in {int, float} and value == value // 1 and abs(value) < 2**62 else None


def _stars(value: Any) -> float | None:
    try:
        return float(value) if isinstance(value, str | int | float) and math.isfinite(float(value)) else None
    except ValueError:
        return None


def _events(reviews: Sequence[_Review], queries: dict[str, list[str]], chance: random.Random) -> pa.Table:
    columns: dict[str, list[Any]] = {name: [] for name in _EVENT_SCHEMA.names}

    def add(review: _Review, kind: EventType, query: str | None, stars: float | None) -> None:
        values = (review.user, review.item, review.milliseconds, kind.value, query, stars)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)

    for review in reviews:
        possible = queries.get(review.item)
        if possible:
            add(review, EventType.PURCHASE, possible[chance.randrange(len(possible))], None)
        add(review, EventType.RATING, None, review.stars)
    return pa.table(columns, schema=_EVENT_SCHEMA)


def _products(path: Path, wanted: set[str] | None, report: ValidationReport) -> tuple[pa.Table, dict[str, list[str]]]:
    """The products as an items table, and the queries of each."""
    products: list[dict[str, Any]] = []
    for number, record in _records(path, report):
        item = record.get("parent_asin") or record.get("asin")
        if not isinstance(item, str):
            report.count("product without asin", 1, [f"{path.name} line {number}: asin={item!r}"])
        elif wanted is not None and item not in wanted:
            report.count("product nobody reviewed", 1, fault=False)
        else:
            products.append({"item_id": item, **_product(record)})
    paths_N = _plain_paths([product.pop("paths") for product in products])
    queries = {
        product["item_id"]: list(dict.fromkeys(query for path in paths if (query := category_query(path))))
        for product, paths in zip(products, paths_N, strict=True)
    }
    columns = {name: [product[name] for product in products] for name in ("item_id", *_TEXTS, "price")}
    columns |= {name: plain_column(columns[name]) for name in _TEXTS}
    columns["categories"] = [list(dict.fromkeys(name for path in paths for name in path)) for paths in paths_N]
    return pa.table(columns, schema=_ITEM_SCHEMA), queries


_TEXTS = ("title", "description", "brand")


def _product(record: dict[str, Any]) -> dict[str, Any]:
    """The columns of a product, its texts and its paths of categories still with mark-up."""
    texts = {
        "title": _joined(record.get("title")),
        "description": _joined(record.get("description")) or _joined(record.get("features")),  # many of 2023 have one
        "brand": _joined(record.get("brand")) or _joined(record.get("store")),
    }
    return {**texts, "paths": _category_paths(record), "price": _price(record.get("price"))}


def _category_paths(record: dict[str, Any]) -> list[list[str]]:
    """The paths of a product: `categories` is a list of paths (2014) or one (2023), `category` is one path (2018).

    Products of 2023 without a path have the department as `main_category`, as all have.
    """
    listed = record.get("categories") or record.get("category") or [record.get("main_category")]
    if not isinstance(listed, list):
        return []
    paths = listed if all(isinstance(path, list) for path in listed) else [listed]
    return [[name for name in path if isinstance(name, str)] for path in paths]


def _plain_paths(paths_N: list[list[list[str]]]) -> list[list[list[str]]]:
    """The paths of all products without mark-up and empty names."""
    names = list(dict.fromkeys(name for paths in paths_N for path in paths for name in path))
    plain = dict(zip(names, plain_column(names), strict=True))
    return [[[name for listed in path if (name := plain[listed])] for path in paths] for paths in paths_N]


def _joined(value: Any) -> str | None:
    """A text, or the paragraphs of one, as in 2018; None for anything else."""
    if isinstance(value, list):
        return "<p>".join(part for part in value if isinstance(part, str))
    return value if isinstance(value, str) else None


def _price(value: Any) -> float | None:
    """The price of a number or of a text such as "$1,299.00"; None for ranges and anything else."""
    if type(value) in {int, float}:
        return float(value)
    matched = re.fullmatch(r"\$?\s*(\d[\d,]*(?:\.\d+)?)", value.strip()) if isinstance(value, str) else None
    return float(matched[1].replace(",", "")) if matched else None
