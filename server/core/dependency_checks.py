"""What is used of other packages beyond what they document, and the check of it when the server starts.

Such members may change in any release. So each package below has an upper bound in pyproject.toml (and in
requirements/runtime.in, from which `make lock` goes), and whoever raises one looks through its row.

| package | used | by | checked |
|---|---|---|---|
| uvicorn | members of its HTTP protocol and its server | api/transport/protocol.py, __main__.py | at the start |
| redis | its idle connections, `ensure_connection`, `_connect` | storage/primary/pool.py | at the start |
| vllm | its model runner, scheduler and pooler; the processes and sockets of an engine | engine/vllm | when an engine \
starts: `Runner` and `ItemScheduler` refuse what they do not know; tests/integration runs a real one |
| transformers | its caches; the layers of Qwen2, Llama and T5 | catalog/search/transformers.py, trainer/model, \
trainer/gems | tests of each |
| fastapi | `SecurityBase`, `get_openapi` and a route's `scope` | api/dependencies.py, api/openapi | tests/server/api |
| starlette | `GZipMiddleware` compresses in threads, `StaticFiles.is_not_modified`, `NotModifiedResponse` | \
api/transport/compression.py, api/routes/static.py | tests/server/api |
| pydantic-settings | the constructor's `_cli_settings_source`, arguments of `CliSettingsSource` | core/settings | \
tests/server/core/settings |
| tokenizers | the parts that a tokenizer of our own is made of | trainer/model/backbone.py | tests/trainer |
| backports.zstd | what `compression.zstd` of Python 3.14 has | api/transport/request_body.py, \
catalog/data/reading/stream.py | their tests |
"""

from __future__ import annotations

import dis
import inspect
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import version

from server.core.errors import StartupError

__all__ = ["require_members"]


def require_members(
    distribution: str,
    owner: type,
    *,
    methods: Mapping[str, Sequence[str]] | None = None,
    attributes: Collection[str] = (),
) -> None:
    """Raises StartupError that names all members which a class of an installed distribution lacks.

    methods: by name, the parameters that each has to have, without `self`, in order.
    attributes: those of an instance, which the class or its `__init__` sets.
    """
    faults = [fault for name, wanted in (methods or {}).items() for fault in _method_faults(owner, name, tuple(wanted))]
    there = _assigned(owner) | set(dir(owner))
    faults += [f"it has no attribute {name}" for name in attributes if name not in there]
    if faults:
        where = f"{owner.__module__}.{owner.__qualname__}"
        installed = f"{distribution} {version(distribution)}"
        raise StartupError(
            f"{installed} is not one that this server knows: of {where}, {'; '.join(faults)}. "
            "Install the version that requirements/cpu.txt or gpu.txt names"
        )


def _method_faults(owner: type, name: str, wanted: tuple[str, ...]) -> list[str]:
    method = getattr(owner, name, None)
    if not callable(method):
        return [f"it has no method {name}"]
    _, *found = inspect.signature(method).parameters
    return [] if tuple(found) == wanted else [f"{name} takes ({', '.join(found)}) and not ({', '.join(wanted)})"]


def _assigned(owner: type) -> set[str]:
    """The names that are assigned to `self` when an instance is made."""
    makers = [vars(kind)["__init__"] for kind in owner.__mro__ if inspect.isfunction(vars(kind).get("__init__"))]
    return {str(step.argval) for maker in makers for step in dis.get_instructions(maker) if step.opname == "STORE_ATTR"}
