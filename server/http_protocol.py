"""uvicorn's HTTP/1.1, with a bound on a request's head, and problem+json for what never reaches the application.

Left to itself it reads a head of any size, and answers one that it cannot read in plain text.
"""

import uuid

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from server import errors
from server.errors import PROBLEM_JSON, Problem, problem_body
from server.headers import API

__all__ = ["LONGEST_URL", "HttpProtocol"]

LONGEST_URL = 16_384  # bytes; the middleware holds requests to it that arrive whole
LARGEST_HEAD = 65_536  # bytes, request line and headers
LINGER_SECONDS = 2.0  # how long what a refused client still sends is thrown away, so that it gets to read why


class HttpProtocol(HttpToolsProtocol):
    """One connection."""

    _head_bytes = 0
    _in_head = True
    _refused = False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > LARGEST_HEAD and not self._refused:
            self.send_400_response("")

    def on_message_begin(self) -> None:
        self._in_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._in_head = False

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0

    def send_400_response(self, msg: str) -> None:
        """Refuses a request that cannot be read; `msg` is uvicorn's word for it."""
        request_id = uuid.uuid4().hex
        problem = self._problem()
        body = problem_body(problem, request_id)
        headers = API | {
            "Content-Type": PROBLEM_JSON,
            "Content-Length": str(len(body)),
            "X-Request-ID": request_id,
            "Connection": "close",
        }
        head = "".join(f"{name.lower()}: {value}\r\n" for name, value in headers.items()) + "\r\n"
        self.transport.write(STATUS_LINE[problem.kind.status] + head.encode() + body)
        self._refused = True
        self.loop.call_later(LINGER_SECONDS, self.transport.close)

    def _problem(self) -> Problem:
        if len(getattr(self, "url", b"")) > LONGEST_URL:
            return Problem(errors.URL_TOO_LONG, f"the URL is over {LONGEST_URL:,} bytes: shorten what it asks for")
        if self._in_head and self._head_bytes > LARGEST_HEAD:
            return Problem(errors.HEAD_TOO_LARGE, f"the headers are over {LARGEST_HEAD:,} bytes: send less")
        return Problem(errors.MALFORMED_HTTP, "the request is not HTTP/1.1: check what is talking to this port")
