"""Names that columns of items cannot keep, because answers put something else there, or nobody could write them.

A column of such a name is renamed when its file is read: `score` becomes `score_`. Whoever imports is told.
"""

import re
from collections.abc import Collection, Iterable

from catalog.data.validation_report import MARK

__all__ = ["RESERVED_NAMES", "kept_name"]

RESERVED_NAMES = (
    "explanation",
    "highlights",
    "id",
    "matched",
    "reason",
    "relevance",
    "score",
)
"""What answers say of an item beside its columns, and `id`, which is `item_id` over HTTP."""

PANDAS_INDEX = re.compile(r"__index_level_\d+__")  # a data frame's index, which pandas writes as a column
UNWRITABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029,]+")  # controls, and the comma between names of `fields`


def kept_name(name: str, taken: Collection[str], reserved: Iterable[str] = RESERVED_NAMES) -> str:
    """The name under which a column is kept: its own, unless that is reserved or cannot be written in a request.

    taken: the names of the other columns, which stay theirs.
    """
    kept = " ".join(UNWRITABLE.sub(" ", name).split()).lstrip(MARK)
    if PANDAS_INDEX.fullmatch(kept):
        kept = kept.strip("_")
    if kept in reserved or not kept:
        kept += "_"
    while kept != name and kept in taken:
        kept += "_"
    return kept
