"""The settings' file: YAML whose keys are the settings' names.

pydantic-settings reads the values. Before it does, `_check` looks through the text, because pydantic-settings passes
over a file that does not exist, and tells neither the line of a mistake nor the setting that was meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, YamlConfigSettingsSource

from catalog.bundle.disk import remedy
from catalog.nearest import did_you_mean, nearest_name
from server.core.errors import SettingsError
from server.core.settings.former_names import FORMER_NAMES, current_keys
from server.core.settings.variables import behind

__all__ = ["YamlFile", "settings_in"]


class YamlFile(PydanticBaseSettingsSource):
    """What the file that `config` names says; nothing where it names none.

    It is the last of the sources, so flags and variables have already said which file it is.
    """

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        raise NotImplementedError("the file is read as a whole")

    def __call__(self) -> dict[str, Any]:
        """Raises SettingsError for a file that cannot be read, or that has a line which sets nothing."""
        path = self.current_state.get("config")
        if path is None or not str(path).strip():  # an empty name is refused with the other settings
            return {}
        return behind(self.current_state, settings_in(Path(path), self.settings_cls))


def settings_in(path: Path, model: type[BaseSettings]) -> dict[str, Any]:
    """What a file says, under the settings' present names. Raises SettingsError as `YamlFile` does."""
    with _readable(path):
        _check(path, model)
        return current_keys(YamlConfigSettingsSource(model, path)())


@contextmanager
def _readable(path: object) -> Iterator[None]:
    """Raises SettingsError, naming the file, where it cannot be read inside or is no YAML."""
    try:
        yield
    except OSError as error:
        raise SettingsError(f"{path} cannot be read: {error.strerror}; {remedy(error)}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path} is not YAML: {error}") from error


def _check(path: Path, model: type[BaseModel]) -> None:
    root = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    if root is None:
        return
    if not isinstance(root, yaml.MappingNode):
        kind = "list" if isinstance(root, yaml.SequenceNode) else "text"
        raise SettingsError(f"{path} is a {kind}: write one setting a line, as `port: 8000`")
    fields = {name: field for name, field in model.model_fields.items() if name != "config"}
    fields |= {former: fields[name] for former, name in FORMER_NAMES.items()}
    for mistake, line in _mistakes(root, fields, ""):
        raise SettingsError(f"{path}, line {line}: {mistake}")


def _mistakes(node: yaml.MappingNode, fields: Mapping[str, FieldInfo], within: str) -> Iterator[tuple[str, int]]:
    """What is wrong with the keys of a mapping and of those inside it, each with its line."""
    seen: set[str] = set()
    for key, value in node.value:
        line = key.start_mark.line + 1
        name = key.value if isinstance(key, yaml.ScalarNode) else "a list or mapping"
        if name not in fields:
            yield _unknown(f"{within}{name}", nearest_name(name, fields)), line
        elif name in seen:
            yield f"{within}{name} is set a second time: leave one of them", line
        elif value.tag == "tag:yaml.org,2002:null":
            yield f"{within}{name} has no value: give it one, or leave the line out", line
        seen.add(name)
        part = fields[name].annotation if name in fields else None
        if isinstance(value, yaml.MappingNode) and isinstance(part, type) and issubclass(part, BaseModel):
            yield from _mistakes(value, part.model_fields, f"{name}.")


def _unknown(name: str, nearest: str | None) -> str:
    if name == "config":
        return "config is for flags and variables: a settings file names no other one"
    return f"no setting is named {name}{did_you_mean(nearest)}; --help lists them"
