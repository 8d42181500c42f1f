"""Bytes to and from a server, below what any HTTP client would send."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

PATIENCE_SECONDS = 60


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    def problem(self) -> str:
        """Its code. Every error must look so."""
        assert self.headers["content-type"] == "application/problem+json", self
        problem = self.json()
        assert problem["status"] == self.status
        assert problem["type"] == f"urn:gemserve:problem:{problem['code']}"
        assert problem["request_id"] == self.headers["x-request-id"]
        return str(problem["code"])


class Wire:
    """One connection."""

    def __init__(self, port: int, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE_SECONDS)
        self.socket.connect(("127.0.0.1", port))
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def send(self, data: bytes) -> Self:
        self.socket.sendall(data)
        return self

    def answer(self) -> Answer:
        """The next one. Raises http.client.HTTPException where what comes is none."""
        response = http.client.HTTPResponse(_Shared(self._file), method="GET")  # type: ignore[arg-type]
        response.begin()
        return Answer(response.status, response.headers, response.read())

    def answers(self) -> Iterator[Answer]:
        """All until the server closes."""
        while self._file.peek(1):  # type: ignore[attr-defined]
            yield self.answer()

    def closed(self) -> bool:
        """Waits for the end; whether nothing more came."""
        try:
            return self._file.read(1) == b""
        except ConnectionResetError:
            return True


class _Shared:
    """What HTTPResponse takes for a socket, with the one buffer of the connection."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def makefile(self, _: str) -> Any:
        return _Unclosed(self._file)


class _Unclosed:
    def __init__(self, file: Any) -> None:
        self._file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def close(self) -> None:
        """The connection goes on."""

    def flush(self) -> None:
        """Nothing is written."""


@contextmanager
def several(port: int, count: int) -> Iterator[list[Wire]]:
    wires = [Wire(port) for _ in range(count)]
    try:
        yield wires
    finally:
        for wire in wires:
            wire.__exit__()
