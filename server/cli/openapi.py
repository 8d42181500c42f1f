"""Writes the OpenAPI document, from which clients are made; it depends on no setting and no bundle:

    gemserve openapi docs/openapi.json

A running server has the same document at /openapi.json. `python -m server.cli.openapi` is the same command. Read on in
docs/api.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["main"]

REFUSED = 2


def main(arguments: Sequence[str] | None = None, program: str = "python -m server.cli.openapi") -> int:
    """The process's exit status. program: how it is called, for its help."""
    parser = argparse.ArgumentParser(program, description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path, help="the JSON file to write")
    path: Path = parser.parse_args(arguments).file

    # The application takes seconds to import, for which help should not wait.
    from server.api.openapi.document import text_of
    from server.app import create_app
    from server.core.settings import Settings

    document = text_of(create_app(Settings.model_construct(bundles=Path())).openapi())  # no variable has a say in it
    try:
        path.write_text(document, encoding="utf-8")
    except OSError as error:
        print(f"gemserve openapi: {path} cannot be written: {error.strerror}", file=sys.stderr)
        return REFUSED
    return 0


if __name__ == "__main__":
    sys.exit(main())
