"""Tables in Markdown that a command writes, between `<!-- results: NAME -->` and `<!-- /results -->`.

What stands between `<!-- until: FILE.json -->` and `<!-- /until -->` is left out as soon as docs/measurements has the
file: words, or an older table, for the time before it is measured.
"""

from __future__ import annotations

import re
from collections.abc import Callable

__all__ = ["names_in", "rendered"]

BLOCK = re.compile(r"(?P<head><!-- results: (?P<name>[\w.-]+) -->\n).*?(?P<tail><!-- /results -->)", re.DOTALL)
UNTIL = re.compile(r"<!-- until: (?P<file>[\w.-]+) -->\n.*?<!-- /until -->\n+", re.DOTALL)
MARK = re.compile(r"<!-- /?(?:results|until)\b.*?-->")


def names_in(text: str) -> list[str]:
    """The names of the tables of a document, in order."""
    return [found["name"] for found in BLOCK.finditer(text)]


def rendered(text: str, table: Callable[[str], str], has: Callable[[str], bool]) -> str:
    """The document with its tables as they are now.

    table: the Markdown of a table, by its name.
    has: whether docs/measurements has a file.
    Raises ValueError where a mark has no other end.
    """
    lost = MARK.findall(UNTIL.sub("", BLOCK.sub("", text)))
    if lost:
        raise ValueError(f"a mark without its other end: {lost[0]}")
    kept = UNTIL.sub(lambda found: "" if has(found["file"]) else found[0], text)
    return BLOCK.sub(lambda found: f"{found['head']}\n{table(found['name'])}\n\n{found['tail']}", kept)
