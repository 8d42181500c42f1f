"""Where a server keeps its events, for commands that run in its environment but need none of its other settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from server.core.settings import StorageSettings
from server.core.settings.former_names import current_keys, current_variables
from server.core.settings.yaml_file import _readable as readable
from server.storage.managed_redis import url_of

__all__ = ["add_redis_argument", "server_redis"]

PREFIX = "gemserve_"


def add_redis_argument(parser: argparse.ArgumentParser) -> None:
    """`--redis URL`; None where it is left out, which `server_redis` then answers."""
    parser.add_argument(
        "--redis",
        metavar="URL",
        help="the server's Redis (default: what GEMSERVE_REDIS, GEMSERVE_MANAGED_REDIS or the file of GEMSERVE_CONFIG"
        " says, else a local one)",
    )


def server_redis(given: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """The URL that was given, or that of the Redis of a server in this environment.

    A variable wins over the settings file, and a URL over the folder of a Redis that a server runs.
    Raises SettingsError for a settings file that cannot be read, StartupError for a folder whose Redis does not run.
    """
    if given is not None:
        return given
    lower = {name.lower(): value for name, value in environment.items() if name.lower().startswith(PREFIX)}
    variables = {name.removeprefix(PREFIX): value for name, value in current_variables(lower, PREFIX).items()}
    for source in (variables, _file(variables.get("config"))):
        if source.get("redis"):
            return str(source["redis"])
        if source.get("managed_redis"):
            return url_of(Path(source["managed_redis"]))
    return StorageSettings().url


def _file(path: str | None) -> dict[str, Any]:
    if not path:
        return {}
    with readable(path):
        values = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    return current_keys(values) if isinstance(values, dict) else {}
