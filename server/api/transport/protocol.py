"""uvicorn's HTTP/1.1, with bounds on what one client may hold, and problem+json for what never reaches the application.

Left to itself it reads a head of any size, waits for the rest of a request and for a reader of its answer as long as
they like, takes any number of connections, and answers what it cannot read in plain text, in the middle of another
answer if need be.
"""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from server.api.problems import PROBLEM_JSON, problem_body
from server.api.transport.disconnect import notify_disconnect
from server.api.transport.gathered_writes import GatheredWrites
from server.api.transport.request_target import unencoded_address
from server.api.transport.security_headers import API
from server.core import errors, metrics
from server.core.dependency_checks import require_members
from server.core.errors import RETRY_LATER, Problem

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application

__all__ = ["MAX_URL_BYTES", "Bounds", "HttpProtocol", "check_uvicorn", "protocol_within"]

MAX_URL_BYTES = 16_384  # bytes; the middleware holds requests to it that arrive whole
MAX_HEADER_BYTES = 65_536  # bytes, request line and headers
MAX_HEADERS = 100
MAX_PIPELINED = 32  # requests of one connection that wait for the answers before them
LINGER_SECONDS = 2.0  # how long what a refused client still sends is thrown away, so that it gets to read why
MAX_REFUSALS = 64  # connections above the most, which are told so; those above are closed without a word


@dataclass(frozen=True, slots=True)
class Bounds:
    """connections: at a time, of all clients together.

    Longest times in seconds: of a request's head from its first byte (the first request's: from the connection) to its
    last, of its body after that, and of a client that takes nothing of its answer.
    """

    connections: int = 1_000
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    send_timeout: float = 30.0


Part = Literal["head", "body"]


def check_uvicorn() -> None:
    """Raises StartupError where the uvicorn that is installed lacks what HttpProtocol overrides and uses of it."""
    methods = {
        "connection_made": ("transport",),
        "connection_lost": ("exc",),
        "pause_writing": (),
        "resume_writing": (),
        "timeout_keep_alive_handler": (),
        "data_received": ("data",),
        "on_message_begin": (),
        "on_header": ("name", "value"),
        "on_headers_complete": (),
        "on_message_complete": (),
        "on_response_complete": (),
        "send_400_response": ("msg",),
        "_start_asgi_task": ("cycle", "app"),
        "_unset_keepalive_if_required": (),
    }
    of_protocol = ("connections", "cycle", "flow", "headers", "loop", "parser", "pipeline", "transport")
    require_members("uvicorn", HttpToolsProtocol, methods=methods, attributes=of_protocol)
    of_cycle = ("disconnected", "message_event", "response_complete", "response_started", "scope")
    require_members("uvicorn", RequestResponseCycle, attributes=of_cycle)
    require_members("uvicorn", FlowControl, attributes=("read_paused",))


def protocol_within(bounds: Bounds) -> type[HttpProtocol]:
    """The class for uvicorn to make connections of."""

    class BoundedHttpProtocol(HttpProtocol):
        _bounds = bounds

    return BoundedHttpProtocol


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    _bounds = Bounds()
    _head_bytes = 0
    _head = b""  # what came last of it, for the message where it cannot be read
    _in_head = True
    _in_message = False
    _trailers = 0
    _refused = False
    _fault: Problem | None = None  # why a callback stopped the parser
    _running: RequestResponseCycle
    _farewell: Problem | None = None  # to be sent after the answers that are still owed
    _awaited: Part | None = None
    _was_paused = False  # since the time for what is awaited began
    _arrival: asyncio.TimerHandle | None = None
    _departure: asyncio.TimerHandle | None = None

    # --- the connection ----------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheredWrites(transport, self.loop))  # type: ignore[arg-type]
        over = len(self.connections) - self._bounds.connections
        if over > MAX_REFUSALS:
            self._refused = True
            transport.abort()
        elif over > 0:
            most = f"this server has {self._bounds.connections:,} connections, the most it takes"
            detail = f"{most}: use fewer at a time and keep them, or ask another server"
            self._refuse(Problem(errors.TOO_MANY_CONNECTIONS, detail, headers=RETRY_LATER))
        else:
            self._await("head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._await(None)
        self._stop_departure()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        super().connection_lost(exc)
        if self.cycle is not None:
            self._running.disconnected = True  # uvicorn tells the newest request alone
            self._running.message_event.set()
            notify_disconnect(self._running.scope)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._depart_in_time()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            self._stop_departure()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        self._close()

    # --- what arrives ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._head_bytes += len(data)
        self._head = (self._head + data)[-MAX_URL_BYTES:] if self._in_head else data[-MAX_URL_BYTES:]
        super().data_received(data)
        self._was_paused |= self.flow.read_paused
        if not (self._in_head and (self._in_message or self._head_bytes)):
            self._head = b""
        if self._refused or self.transport.is_closing():
            return
        if self._in_head and self._head_bytes > MAX_HEADER_BYTES:
            self.send_400_response("")
        elif self._in_message or self._head_bytes:
            self._await("head" if self._in_head else "body")
        else:
            self._await(None)

    def on_message_begin(self) -> None:
        self._in_message = self._in_head = True
        self._trailers = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Headers behind the body are nobody's business: the application has read those before it."""
        if self._in_head:
            super().on_header(name, value)
        else:
            self._trailers += 1
        if len(self.headers) + self._trailers > MAX_HEADERS:
            self._fault = Problem(errors.HEAD_TOO_LARGE, f"there are over {MAX_HEADERS} headers: send fewer")
            raise ValueError("too many headers")

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINED:
            detail = f"{MAX_PIPELINED} requests wait on this connection: await their answers before you send more"
            self._fault = Problem(errors.TOO_MANY_CONCURRENT, detail, headers=RETRY_LATER)
            raise ValueError("too many requests")
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            raise ValueError("another version of HTTP")
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._in_message = False
        self._head_bytes = 0

    def _await(self, part: Part | None) -> None:
        """From now on this part of a request must arrive in time."""
        if part == self._awaited:
            return
        if self._arrival is not None:
            self._arrival.cancel()
        self._awaited, self._arrival, self._was_paused = part, None, False
        if part is not None:
            self._arrival = self.loop.call_later(self._seconds(part), self._give_up)

    def _seconds(self, part: Part) -> float:
        return self._bounds.header_timeout if part == "head" else self._bounds.body_timeout

    def _give_up(self) -> None:
        part = self._awaited
        if part is None or self.transport.is_closing():
            return
        if self.flow.read_paused or self._was_paused:  # it is the server that does not read
            self._was_paused = False
            self._arrival = self.loop.call_later(self._seconds(part), self._give_up)
            return
        if part == "head" and not self._head_bytes and self.cycle is None:
            self._close()  # a connection in reserve, as browsers open them
            return
        what = f"the {part} of the request did not arrive within {self._seconds(part):g} s"
        self._refuse(Problem(errors.REQUEST_TIMEOUT, f"{what}: send it in one go"))

    # --- what is refused ---------------------------------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Refuses a request that cannot be read; `msg` is uvicorn's word for it."""
        if not self._refused:
            self._refuse(self._problem())

    def _problem(self) -> Problem:
        if self._fault is not None:
            return self._fault
        if len(getattr(self, "url", b"")) > MAX_URL_BYTES:
            return Problem(errors.URL_TOO_LONG, f"the URL is over {MAX_URL_BYTES:,} bytes: shorten what it asks for")
        if self._in_head and self._head_bytes > MAX_HEADER_BYTES:
            return Problem(errors.HEAD_TOO_LARGE, f"the headers are over {MAX_HEADER_BYTES:,} bytes: send less")
        if (address := unencoded_address(self._head)) is not None:
            detail = f"the address has characters that no address may have: encode the address, as in {address}"
            return Problem(errors.MALFORMED_URL, detail)
        return Problem(errors.MALFORMED_HTTP, "the request is not HTTP/1.1: check what is talking to this port")

    def _refuse(self, problem: Problem) -> None:
        """Ends the connection with this problem, behind the answers to whole requests before it."""
        self._refused = True
        self._await(None)
        if self._in_message and not self._in_head and not self._drop_unfinished():
            self._close()
        elif self.cycle is None or self.cycle.response_complete or self.cycle.disconnected:
            self._send(problem)
        else:
            self._farewell = problem

    def _drop_unfinished(self) -> bool:
        """Has nobody wait for a body that will not come. False if its request is being answered already."""
        if self.pipeline:  # it is the newest of those that wait; the others are whole
            self.pipeline.popleft()
            self.cycle = self._running
            return True
        if self.cycle.response_started:
            return False
        self.cycle.disconnected = True
        self.cycle.message_event.set()
        return True

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        owed = bool(self.pipeline)
        super().on_response_complete()
        if self.transport.is_closing():
            self._depart_in_time()
        elif self._farewell is not None and not owed:
            self._unset_keepalive_if_required()
            self._send(self._farewell)

    def _send(self, problem: Problem) -> None:
        metrics.PROBLEMS.labels(problem.kind.code).inc()
        request_id = uuid.uuid4().hex
        body = problem_body(problem, request_id)
        headers = (
            API
            | dict(problem.headers or {})
            | {
                "Content-Type": PROBLEM_JSON,
                "Content-Length": str(len(body)),
                "X-Request-ID": request_id,
                "Connection": "close",
            }
        )
        head = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self.transport.write(STATUS_LINE[problem.kind.status] + head.encode() + body)
        self.loop.call_later(LINGER_SECONDS, self._close)

    # --- what is not fetched -----------------------------------------------------------------------------------------

    def _close(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()
            self._depart_in_time()

    def _depart_in_time(self) -> None:
        """From now on something of the answer must be taken in time, or all of it where the connection is closing."""
        if self._departure is None:
            self._departure = self.loop.call_later(self._bounds.send_timeout, self._abort)

    def _abort(self) -> None:
        """A client that still sends the request which is being answered need not read: few do both at a time."""
        self._departure = None
        is_sending = self._awaited == "body" and not self.pipeline and not self._running.response_complete
        if is_sending and not self.transport.is_closing():
            self._depart_in_time()
        else:
            self.transport.abort()

    def _stop_departure(self) -> None:
        if self._departure is not None:
            self._departure.cancel()
            self._departure = None
