"""The examples of the documentation: every fenced block with a language, and what stands above it."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

from tests.support.paths import ROOT

DOCUMENTS = sorted(
    path.relative_to(ROOT) for path in (ROOT / "README.md", *ROOT.glob("docs/*.md"), *ROOT.glob("clients/*/README.md"))
)
NOT_RUN = re.compile(r"<!-- not run: (?P<reason>.+?) -->\s*")


@dataclass(frozen=True, slots=True)
class Example:
    """A fenced block.

    not_run: the reason, from a comment `<!-- not run: … -->` directly above; None where it is run.
    """

    document: Path
    line: int
    language: str
    text: str
    not_run: str | None

    def __str__(self) -> str:
        return f"{self.document}:{self.line}"


def examples_of(document: Path) -> list[Example]:
    """In the order in which they stand."""
    return list(_examples(document, (ROOT / document).read_text(encoding="utf-8")))


def _examples(document: Path, text: str) -> Iterator[Example]:
    reason: str | None = None
    for token in MarkdownIt("commonmark").parse(text):
        if token.type == "fence" and token.map is not None:
            yield Example(document, token.map[0] + 1, token.info.strip(), token.content, reason)
        comment = NOT_RUN.fullmatch(token.content) if token.type == "html_block" else None
        reason = None if comment is None else comment["reason"]
