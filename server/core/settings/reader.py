"""Reads the settings from flags, variables and a file, and says what is wrong with them."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from pydantic import ValidationError
from pydantic_settings import CliSettingsSource
from pydantic_settings import SettingsError as UnreadableValue

from catalog.nearest import did_you_mean, nearest_name
from server.core.errors import SettingsError
from server.core.settings.former_names import current_flags
from server.core.settings.server import NO_VALUE, Settings
from server.core.settings.service_links import log_service_links
from server.core.settings.variables import NESTED, PREFIX, refuse_misspelt_variables

__all__ = ["read_settings"]

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
    refuse_misspelt_variables(environment, Settings)
    log_service_links(environment, PREFIX)
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
    except UnreadableValue as error:
        parts = f"--engine.max-width 300, {PREFIX}ENGINE{NESTED}MAX_WIDTH=300"
        raise SettingsError(f"--engine: is no mapping in JSON; set its parts one by one, as {parts}") from error


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


def _flag(location: tuple[int | str, ...]) -> str:
    name = ".".join(str(part) for part in location).replace("_", "-")
    return f"--{name}: " if name else ""
