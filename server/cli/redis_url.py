"""Where a server keeps its events, for commands that run in its environment but need none of its other settings."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import redis
from pydantic import ValidationError, create_model

from server.core.errors import SettingsError
from server.core.settings import Settings, StorageSettings
from server.core.settings.addresses import check_redis_url
from server.core.settings.former_names import current_variables
from server.core.settings.service_links import without_service_links
from server.core.settings.variables import PREFIX, refuse_misspelt_variables
from server.core.settings.yaml_file import settings_in
from server.storage.keyspace import check_namespace
from server.storage.managed_redis import url_of
from server.storage.primary import ClusterUnknown, PrimaryUnknown

__all__ = ["add_redis_argument", "server_namespace", "server_redis", "server_storage", "where_redis_may_be"]

LIKE_THE_SERVERS = (
    "redis_read_timeout_ms",
    "redis_write_timeout_ms",
    "redis_connections",
    "redis_buckets",
    "history_length",
    "history_days",
    "event_ids",
    "event_id_days",
    "event_log_length",
)
FIELDS: dict[str, Any] = {
    name: (field.annotation, field) for name, field in Settings.model_fields.items() if name in LIKE_THE_SERVERS
}
BOUNDS = create_model("Bounds", **FIELDS)
"""The settings of a server that say how much is kept, and how long Redis is waited for."""


def add_redis_argument(parser: argparse.ArgumentParser) -> None:
    """`--redis URL` and `--namespace NAME`; None where they are left out, which `server_redis` and `server_namespace`
    then answer."""
    parser.add_argument(
        "--redis",
        metavar="URL",
        help="the server's Redis (default: what GEMSERVE_REDIS, GEMSERVE_MANAGED_REDIS or the file of GEMSERVE_CONFIG"
        " says, else a local one)",
    )
    parser.add_argument(
        "--namespace",
        metavar="NAME",
        help="the server's, where several catalogs share a Redis (default: what GEMSERVE_NAMESPACE or the file says)",
    )


def where_redis_may_be(error: BaseException) -> str:
    """What to add to the message of an error where nobody answers at an address: how the Redis that a server runs by
    itself is found. Nothing for other errors."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, ConnectionError | redis.ConnectionError):
        cause = cause.__cause__
    if cause is None or isinstance(cause, PrimaryUnknown | ClusterUnknown):
        return ""
    return (
        ". A server that runs its own Redis (--managed-redis FOLDER; `make serve`: var/redis) has it at another port"
        " each time: leave out --redis and set GEMSERVE_MANAGED_REDIS=FOLDER"
    )


def server_redis(given: str | None = None, environment: Mapping[str, str] = os.environ) -> str:
    """The URL that was given, or that of the Redis of a server in this environment.

    A variable wins over the settings file, and a URL over the folder of a Redis that a server runs.
    Raises SettingsError for what a server would not start with either: a misspelt variable or key of the file, an empty
    value, a file that cannot be read, no URL. It looks at the values of no other setting. Raises StartupError for a
    folder whose Redis does not run.
    """
    if given is not None:
        return _checked(given)
    for source in _sources(environment):
        if "redis" in source:
            return _checked(source["redis"])
        if "managed_redis" in source:
            return url_of(Path(source["managed_redis"]))
    return StorageSettings().url


def server_namespace(given: str | None = None, environment: Mapping[str, str] = os.environ) -> str | None:
    """The namespace that was given, or that of a server in this environment; None for the usual one.

    Raises SettingsError as `server_redis` does, and for what is no namespace.
    """
    found = given
    if given is None:
        found = next((source["namespace"] for source in _sources(environment) if "namespace" in source), None)
    try:
        return None if found is None else check_namespace(found)
    except ValueError as error:
        raise SettingsError(f"--namespace: {error}") from error


def server_storage(
    redis: str | None = None, namespace: str | None = None, environment: Mapping[str, str] = os.environ
) -> StorageSettings:
    """All settings of the storage, as a server in this environment has them, so that what is written keeps to the
    server's bounds. redis, namespace: that were given. Raises as `server_redis` and `server_namespace` do."""
    url, name = server_redis(redis, environment), server_namespace(namespace, environment)
    variables, file = _sources(environment)
    given = {name: value for name, value in {**file, **variables}.items() if name in BOUNDS.model_fields}
    try:
        bounds = BOUNDS.model_validate(given).model_dump()
    except ValidationError as error:
        faults = [f"--{str(e['loc'][0]).replace('_', '-')}: {e['msg']}" for e in error.errors()]
        raise SettingsError("; ".join(faults)) from error
    return Settings.model_construct(**bounds, redis=url, namespace=name).storage


def _sources(environment: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
    """What variables say, and then what the settings file does."""
    refuse_misspelt_variables(environment, Settings)
    prefix, own = PREFIX.lower(), without_service_links(environment)
    lower = {name.lower(): value for name, value in own.items() if name.lower().startswith(prefix)}
    variables = {name.removeprefix(prefix): value for name, value in current_variables(lower, prefix).items()}
    _refuse_empty(variables)
    file = settings_in(Path(variables["config"]), Settings) if "config" in variables else {}
    _refuse_empty(file)
    return iter((variables, file))


def _refuse_empty(values: Mapping[str, object]) -> None:
    for name in ("config", "redis", "managed_redis", "namespace"):
        value = values.get(name, "-")
        if not isinstance(value, str) or not value.strip():
            raise SettingsError(f"--{name.replace('_', '-')}: is empty, or no text: give it a value, or leave it out")


def _checked(url: str) -> str:
    try:
        check_redis_url(url)
    except ValueError as error:
        raise SettingsError(f"--redis: {error}") from error
    return url
