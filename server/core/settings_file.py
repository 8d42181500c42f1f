"""The settings' file: YAML whose keys are the settings' names.

It is the last of the sources, so flags and variables have already said which file it is.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import PydanticBaseSettingsSource

from server.core.errors import SettingsError
from server.core.renamed_settings import current_keys

__all__ = ["SettingsFile", "nearest"]


class SettingsFile(PydanticBaseSettingsSource):
    """What the file of `config` says; nothing where there is none."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("the file is read as a whole")

    def __call__(self) -> dict[str, Any]:
        """Raises SettingsError for a file that cannot be read or has a key that is no setting."""
        path = self.current_state.get("config")
        if path is None:
            return {}
        values = current_keys(_read(Path(path)))
        _check_names(values, self.settings_cls, "", path)
        if "config" in values:
            raise SettingsError(f"{path}: config is for flags and variables: a settings file names no other one")
        return values


def nearest(name: str, known: Iterable[str]) -> str:
    """Text for a message, with a blank before it: which known name was meant; empty where none is near."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f" (did you mean {found[0]}?)" if found else ""


def _read(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise SettingsError(f"{path} is a {type(values).__name__}: write one setting a line, as `port: 8000`")
    return values


def _check_names(values: dict[Any, Any], model: type[BaseModel], within: str, path: object) -> None:
    for name, value in values.items():
        field = model.model_fields.get(name)
        if field is None:
            hint = nearest(str(name), model.model_fields)
            raise SettingsError(f"{path}: no setting is named {within}{name}{hint}; --help lists them")
        part = field.annotation
        if isinstance(value, dict) and isinstance(part, type) and issubclass(part, BaseModel):
            _check_names(value, part, f"{name}.", path)
