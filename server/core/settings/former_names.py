"""Former names of settings: still understood as flags, variables and keys of a file, and logged as renamed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TypeVar

import structlog

from server.core.errors import SettingsError

__all__ = ["FORMER_NAMES", "FORMER_VALUES", "current_flags", "current_keys", "current_value", "current_variables"]

FORMER_NAMES: Mapping[str, str] = {
    "activation": "rollout",
    "body_seconds": "body_timeout",
    "concurrent_answers": "max_concurrency",
    "drain_seconds": "shutdown_delay",
    "head_seconds": "header_timeout",
    "own_redis": "managed_redis",
    "own_redis_port": "managed_redis_port",
    "queue_length": "max_queue",
    "read_seconds": "send_timeout",
}
"""The present name of every setting that had another one."""

FORMER_VALUES: Mapping[str, Mapping[str, str]] = {"rollout": {"beside": "surge", "in_place": "recreate"}}
"""By setting: the present word for every value that had another one."""

log = structlog.get_logger(__name__)

Value = TypeVar("Value")


def current_flags(arguments: Sequence[str]) -> list[str]:
    """The command line with present names. Raises SettingsError where a setting has both its names."""
    names = {f"--{_kebab(former)}": f"--{_kebab(name)}" for former, name in FORMER_NAMES.items()}
    parts = [argument.partition("=") for argument in arguments]
    _report({flag for flag, _, _ in parts}, names)
    return [f"{names.get(flag, flag)}{equals}{value}" for flag, equals, value in parts]


def current_variables(variables: Mapping[str, Value], prefix: str) -> dict[str, Value]:
    """Variables of the environment, in lower case, with present names behind `prefix`. Raises as `current_flags`."""
    names = {f"{prefix}{former}": f"{prefix}{name}" for former, name in FORMER_NAMES.items()}
    _report({name.upper() for name in variables}, {former.upper(): name.upper() for former, name in names.items()})
    return {names.get(name, name): value for name, value in variables.items()}


def current_keys(values: Mapping[str, Value]) -> dict[str, Value]:
    """The keys of a settings file with present names. Raises as `current_flags`."""
    _report(values.keys(), FORMER_NAMES)
    return {FORMER_NAMES.get(key, key): value for key, value in values.items()}


def current_value(name: str, value: object) -> object:
    """The present word for a setting's value; the value itself where it never had another."""
    words = FORMER_VALUES.get(name, {})
    if not isinstance(value, str) or value not in words:
        return value
    log.warning("renamed", former=f"{name}: {value}", now=f"{name}: {words[value]}")
    return words[value]


def _report(given: Set[str], names: Mapping[str, str]) -> None:
    for former, name in names.items():
        if former not in given:
            continue
        if name in given:
            raise SettingsError(f"{former} is the former name of {name}, and both are given: leave out {former}")
        log.warning("renamed", former=former, now=name)


def _kebab(name: str) -> str:
    return name.replace("_", "-")
