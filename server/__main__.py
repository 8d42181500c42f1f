"""Serves the current bundle:

    gemserve serve --bundles FOLDER --redis redis://127.0.0.1:6379/0 --port 8000
    gemserve serve --bundles FOLDER --managed-redis FOLDER

`python -m server` is the same. `--help` lists every setting. Status 2 means that it refused to start; the reason is on
standard error.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Iterator, Sequence

import structlog

from catalog.bundle.disk import access_reason
from catalog.errors import CatalogError
from catalog.terminal_escapes import printable
from gemserve.caches import provided
from server.core.errors import SettingsError, StartupError
from server.core.logging import configure_logging
from server.core.process import raise_fd_limit
from server.core.settings import Settings, read_settings
from server.engine.errors import EngineError
from server.storage.managed_redis import managed_redis

REFUSED = 2

log = structlog.get_logger(__name__)


def main(arguments: Sequence[str] | None = None, program: str = "python -m server") -> int:
    """The process's exit status. program: how it is called, for its help."""
    try:
        configure_logging("info")  # for what there is to say about the settings themselves
        settings = read_settings(sys.argv[1:] if arguments is None else arguments, program=program)
        configure_logging(settings.log_level)
        if (caches := provided()) is not None:
            log.warning("caches_in_temporary_folder", folder=str(caches.folder), variables=sorted(caches.variables))

        # What answers takes seconds to import, for which neither help nor a misspelled setting should wait.
        from server.app import create_app
        from server.app.uvicorn_server import bind, check_libraries, runner, serve

        check_libraries()
        raise_fd_limit(settings.connections)
        bind(settings).close()  # a port in use is told now, not after a model was loaded
        with redis_of(settings) as settings, runner() as loop:
            loop.run(serve(create_app(settings), settings))
    except (SettingsError, StartupError, CatalogError, EngineError) as error:
        print(f"gemserve: {printable(error)}", file=sys.stderr)
        return REFUSED
    except OSError as error:
        if (reason := access_reason(error)) is None:
            raise
        print(f"gemserve: {printable(reason)}", file=sys.stderr)
        return REFUSED
    except (asyncio.CancelledError, KeyboardInterrupt):
        print("gemserve: stopped before it was ready", file=sys.stderr)
    return 0


@contextlib.contextmanager
def redis_of(settings: Settings) -> Iterator[Settings]:
    """The settings, with the URL of the managed Redis where there is one. It runs until the block ends."""
    if settings.managed_redis is None:
        yield settings
        return
    with managed_redis(settings.managed_redis, settings.managed_redis_port) as url:
        yield settings.model_copy(update={"redis": url})


if __name__ == "__main__":
    sys.exit(main())
