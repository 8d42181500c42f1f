"""Reads the settings from flags, variables and a file, and says what is wrong with a name that is no setting.

A misspelt name is always an error: a server that passed over `GEMSERVER_KEYS` would let everybody in.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_settings import CliSettingsSource
from rapidfuzz.distance import OSA

from catalog.nearest import did_you_mean, nearest_name
from server.core.errors import SettingsError
from server.core.settings.former_names import FORMER_NAMES, current_flags
from server.core.settings.server import NESTED, NO_VALUE, PREFIX, Settings

__all__ = ["read_settings"]

MAX_SLIPS = 2
"""Letters by which a variable's prefix may differ from GEMSERVE to be taken for it."""

DESCRIPTION = """\
Serves the current bundle: /search, /recommend and /similar over HTTP, answered by one language model.

  {program} --bundles bundles --managed-redis var/redis
  {program} --bundles bundles --redis redis://127.0.0.1:6379/0 --host 0.0.0.0 --keys keys.json
  {program} --config gemserve.yaml
"""
EPILOG = """\
A flag wins over its variable (--history-days, GEMSERVE_HISTORY_DAYS), and a variable over the file of --config
(history_days: 30). The status is 2 where it cannot start. Read on in docs/operations.md;
docs/gemserve.example.yaml is a file of settings for a public server.
"""


def read_settings(
    arguments: Sequence[str], environment: Mapping[str, str] = os.environ, program: str = "python -m server"
) -> Settings:
    """The settings of command-line flags, the environment, and the file that one of them names.

    program: how the command is called, for its help. Raises SettingsError that lists all that is wrong; an unknown flag
    ends the program with usage and status 2.
    """
    if unknown := list(_unknown_variables(environment)):
        raise SettingsError(f"no setting is named {', '.join(unknown)}: correct or unset it; --help lists them")
    flags: CliSettingsSource[Settings] = CliSettingsSource(
        Settings,
        root_parser=_parser(program),
        parse_args_method=SettingsParser.parse_args,
        add_argument_method=_add_argument,
    )
    try:
        return Settings(_cli_settings_source=flags(args=current_flags(arguments)))
    except ValidationError as error:
        problems = [f"{_flag(e['loc'])}{e['msg'].removeprefix('Value error, ')}" for e in error.errors()]
        raise SettingsError("; ".join(problems)) from error


class SettingsParser(argparse.ArgumentParser):
    """Says which flag was probably meant by an unknown one."""

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        options, unknown = self.parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown[0])
        return options

    def _refuse(self, unknown: str) -> NoReturn:
        if not unknown.startswith("-"):
            self.error(f"{unknown!r} belongs to no flag")
        flag = unknown.partition("=")[0]
        nearest = nearest_name(flag, self._option_string_actions)
        self.error(f"no flag is named {flag}{did_you_mean(nearest)}; --help lists them")


def _parser(program: str) -> SettingsParser:
    return SettingsParser(
        prog=program,
        usage=f"{program} --bundles FOLDER [--SETTING VALUE …]",
        description=DESCRIPTION.format(program=program),
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )


def _add_argument(parser: argparse.ArgumentParser, *names: str, **options: Any) -> argparse.Action:
    """Leaves out of a flag's help that its default is to be absent."""
    if "help" in options:
        options["help"] = options["help"].removesuffix(f" (default: {NO_VALUE})")
    return argparse.ArgumentParser.add_argument(parser, *names, **options)


def _unknown_variables(environment: Mapping[str, str]) -> Iterator[str]:
    """Variables that name no setting, each with the one that was probably meant."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    for variable, value in sorted(environment.items()):
        name = variable.upper()  # pydantic-settings takes variables in any case
        if name.startswith(PREFIX):
            if not _is_setting(name.removeprefix(PREFIX)):
                yield f"{variable}{did_you_mean(nearest_name(name, known))}"
        elif (meant := _other_prefix(name)) and not value.startswith("tcp://"):  # Kubernetes' links to a service
            yield f"{variable}{did_you_mean(meant)}"


def _other_prefix(name: str) -> str | None:
    """The variable that was meant by one whose prefix is misspelt, as in GEMSERVER_KEYS; None for any other one."""
    for place, letter in enumerate(name):
        start, setting = name[:place], name[place + 1 :]
        if letter == "_" and _is_setting(setting) and OSA.distance(start, PREFIX.rstrip("_")) <= MAX_SLIPS:
            return PREFIX + setting
    return None


def _is_setting(name: str) -> bool:
    field = name.split(NESTED, maxsplit=1)[0].lower()
    return field in Settings.model_fields or field in FORMER_NAMES


def _flag(location: tuple[int | str, ...]) -> str:
    name = ".".join(str(part) for part in location).replace("_", "-")
    return f"--{name}: " if name else ""
