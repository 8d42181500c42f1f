"""Writes the OpenAPI document, from which clients are made; it depends on no setting and no bundle:

python -m server.cli.openapi docs/openapi.json
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from server.api.openapi.document import text_of
from server.app import create_app
from server.core.settings import Settings

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status of the process."""
    parser = argparse.ArgumentParser("python -m server.cli.openapi", description="Writes the OpenAPI document.")
    parser.add_argument("file", type=Path)
    path: Path = parser.parse_args(arguments).file
    path.write_text(text_of(create_app(Settings.model_construct(bundles=Path())).openapi()), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
