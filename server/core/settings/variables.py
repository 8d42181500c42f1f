"""Variables of the environment: read as settings, and refused where one was probably meant and none is named.

A misspelt name is always an error: a server that passed over `GEMSERVER_KEYS` would let everybody in.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic_settings import EnvSettingsSource
from rapidfuzz.distance import OSA

from catalog.nearest import did_you_mean, nearest_name
from gemserve.caches import VARIABLE as CACHES
from server.core.errors import SettingsError
from server.core.settings.former_names import FORMER_NAMES, current_variables
from server.core.settings.service_links import is_service_link, without_service_links

__all__ = ["NESTED", "PREFIX", "Variables", "behind", "refuse_misspelt_variables"]

PREFIX = "GEMSERVE_"
NESTED = "__"
PROGRAM = PREFIX.rstrip("_")
MAX_SLIPS = 2
"""Letters by which a variable, or its prefix, may differ from a known one to be taken for it."""
MIN_ABBREVIATION = 4
"""Letters of GEMSERVE that a prefix such as GEMS_ or SERVE_ has to be taken for it."""
OWN = {CACHES}
"""Variables that are no settings: they are read before the settings are."""
COMMON = {"concurrency", "config", "connections", "engine", "host", "log_level", "port", "redis"}
"""Settings whose names other programs have too: SERVE_HOST may be somebody else's."""


class Variables(EnvSettingsSource):
    """The variables with the settings' present names, without what Kubernetes says of Services."""

    def _load_env_vars(self) -> Mapping[str, str | None]:
        own = {name.lower(): value for name, value in without_service_links(os.environ).items()}
        return current_variables(own, PREFIX.lower())

    def __call__(self) -> dict[str, Any]:
        return behind(self.current_state, super().__call__())


def behind(wins: Mapping[str, Any], values: dict[str, Any]) -> dict[str, Any]:
    """The values of a source, without those that a source before it has replaced by another setting.

    There is one Redis: whoever names it, or has one started, replaces what was said of either.
    """
    either = {"redis", "managed_redis"}
    return {name: value for name, value in values.items() if name not in either or not either & wins.keys()}


def refuse_misspelt_variables(environment: Mapping[str, str], model: type[BaseModel]) -> None:
    """Raises SettingsError that lists the variables which name no setting of `model`, each with the one meant."""
    if unknown := list(_unknown(environment, model)):
        raise SettingsError(f"no setting is named {', '.join(unknown)}: correct or unset it; --help lists them")


def _unknown(environment: Mapping[str, str], model: type[BaseModel]) -> Iterator[str]:
    known = _known(model)
    for variable, value in sorted(environment.items()):
        if is_service_link(variable, value):
            continue
        name = variable.upper()  # pydantic-settings takes variables in any case
        if variable in OWN:
            continue
        if name.startswith(PREFIX):
            if not _is_setting(name.removeprefix(PREFIX), model):
                yield f"{variable}{did_you_mean(nearest_name(name, known))}"
        elif meant := _meant(name, known, model):
            yield f"{variable}{did_you_mean(meant)}"


def _known(model: type[BaseModel]) -> list[str]:
    names = [*model.model_fields]
    for name, part in _parts(model).items():
        names += [f"{name}{NESTED}{inner}" for inner in part.model_fields]
    return [*(PREFIX + name.upper() for name in names), *sorted(OWN)]


def _parts(model: type[BaseModel]) -> dict[str, type[BaseModel]]:
    """The settings that hold settings of their own."""
    kinds = {name: field.annotation for name, field in model.model_fields.items()}
    return {name: kind for name, kind in kinds.items() if isinstance(kind, type) and issubclass(kind, BaseModel)}


def _meant(name: str, known: list[str], model: type[BaseModel]) -> str | None:
    """The variable that was meant by one without the prefix, as in GEMSERVER_KEYS and GEMS_KEYS; None for others."""
    for place, letter in enumerate(name):
        start, setting = name[:place], name[place + 1 :]
        if letter == "_" and _is_setting(setting, model) and _is_prefix(start, setting):
            return PREFIX + setting
    return next((full for full in known if OSA.distance(name, full, score_cutoff=MAX_SLIPS) <= MAX_SLIPS), None)


def _is_prefix(start: str, setting: str) -> bool:
    """Whether a misspelt or shortened GEMSERVE stands before a setting's name."""
    if OSA.distance(start, PROGRAM) <= MAX_SLIPS:
        return True
    shortened = len(start) >= MIN_ABBREVIATION and (PROGRAM.startswith(start) or PROGRAM.endswith(start))
    return shortened and setting.lower() not in COMMON


def _is_setting(name: str, model: type[BaseModel]) -> bool:
    field, nested, _ = name.lower().partition(NESTED)
    if nested:
        return field in _parts(model)  # which refuses names inside it that it does not have
    return field in model.model_fields or field in FORMER_NAMES
