"""A hook of mkdocs: links from the documentation to files of the repository, which are not part of the site.

A link such as `[limits](../server/auth/rate_limit.py)` works where the repository is browsed. On the site it becomes
the path in code, or a link to the source where mkdocs.yml has a `repo_url`. A file that does not exist is a warning,
which `mkdocs build --strict` makes an error.
"""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
LINK = re.compile(r"\[(?P<text>[^\]]*)\]\(\.\./(?P<path>[^)#\s]+)(?P<anchor>#[^)\s]*)?\)")
log = logging.getLogger("mkdocs.hooks.docs_links")


def on_page_markdown(markdown: str, *, page: Any, config: Any, files: Any) -> str:
    """Returns the page's text with those links rewritten."""
    source = config.repo_url and f"{config.repo_url.rstrip('/')}/blob/main/"

    def rewrite(link: re.Match[str]) -> str:
        text, path = link["text"], link["path"]
        if not (ROOT / path).exists():
            log.warning("%s links to %s, which is not in the repository", page.file.src_path, path)
        if source:
            return f"[{text}]({source}{path}{link['anchor'] or ''})"
        return f"`{path}`" if text.strip("`") == path else f"{text} (`{path}`)"

    return LINK.sub(rewrite, markdown)
