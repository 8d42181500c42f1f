"""The application under uvicorn: a socket, an event loop, signals, and an orderly end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Iterator

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

from server.api.dependencies import Parts
from server.api.transport.protocol import Bounds, check_uvicorn, protocol_within
from server.core.dependency_checks import require_members
from server.core.errors import StartupError
from server.core.process import gc_freeze
from server.core.settings import Settings
from server.storage.primary import check_redis

__all__ = ["Server", "bind", "check_libraries", "ready_line", "runner", "serve", "uvicorn_config"]

SIGNALS = (signal.SIGTERM, signal.SIGINT)

log = structlog.get_logger(__name__)


class Server(uvicorn.Server):
    """A uvicorn server that leaves signals to `serve` and prints a line when it listens."""

    def __init__(self, config: uvicorn.Config, ready_line: str) -> None:
        super().__init__(config)
        self._ready_line = ready_line

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        print(self._ready_line, flush=True)


def check_libraries() -> None:
    """Raises StartupError where an installed library lacks what is used of it beyond what it documents."""
    check_uvicorn()
    methods = {"startup": ("sockets",), "serve": ("sockets",), "capture_signals": ()}
    require_members("uvicorn", uvicorn.Server, methods=methods, attributes=("should_exit", "force_exit"))
    check_redis()


def runner() -> asyncio.Runner:
    """An event loop of uvloop's, closed at the end of the block."""
    return asyncio.Runner(loop_factory=uvloop.new_event_loop)


def bind(settings: Settings) -> socket.socket:
    """A socket bound to the server's address. Nobody can connect until uvicorn listens on it. Raises StartupError."""
    listener = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        where = f"{settings.host} port {settings.port}"
        raise StartupError(f"cannot listen on {where}: {error.strerror}; choose another --port") from error
    return listener


async def serve(app: FastAPI, settings: Settings) -> None:
    """Serves until SIGTERM or SIGINT.

    Then the server is not ready for `shutdown_delay` seconds, in which it goes on answering; after that it finishes the
    requests in flight and closes everything. A second signal ends the delay and the requests.
    """
    starting = asyncio.current_task()
    assert starting is not None
    _on_signals(starting.cancel)
    # Bound after the engine has started, because its processes would hold on to an open port.
    async with app.router.lifespan_context(app):
        listener = bind(settings)
        parts: Parts = app.state.parts
        server = Server(uvicorn_config(app, settings), ready_line(parts, listener))

        def stop() -> None:
            log.info("stopping", shutdown_delay=settings.shutdown_delay)
            if parts.health.draining:
                server.should_exit = server.force_exit = True
            parts.health.drain()
            asyncio.get_running_loop().call_later(settings.shutdown_delay, setattr, server, "should_exit", True)

        _on_signals(stop)
        gc_freeze()
        await server.serve(sockets=[listener])


def uvicorn_config(app: FastAPI, settings: Settings) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="off",  # `serve` enters it itself, so that a bundle's error is a message and not a traceback
        http=protocol_within(
            Bounds(settings.connections, settings.header_timeout, settings.body_timeout, settings.send_timeout)
        ),
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=settings.shutdown_seconds,
    )


def ready_line(parts: Parts, listener: socket.socket) -> str:
    """What people and programs wait for: the address, the model's version and the number of items."""
    host, port = listener.getsockname()[:2]
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    deployment = parts.deployments.router.current
    items = deployment.catalog.searcher.eligible.present
    return f"gemserve: ready on http://{address} (model {deployment.version}, {items} items)"


def _on_signals(act: Callable[[], object]) -> None:
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, act)
