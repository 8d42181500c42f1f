"""What a client was told once and both kinds of client need: the address, the key, timeouts, retries."""

from __future__ import annotations

import gzip
import json
import random
import sys
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any

import httpx

from gemserve_client.batch import NDJSON, REQUEST_ID
from gemserve_client.endpoints import Call
from gemserve_client.errors import InvalidArgument, InvalidKey
from gemserve_client.retries import Attempts, Retries

__all__ = ["TIMEOUTS", "ClientConfig", "Timeouts", "new_request_id"]

MIN_COMPRESSED = 1_000  # bytes of a body that is worth it
PYTHON = ".".join(map(str, sys.version_info[:2]))


def new_request_id() -> str:
    return uuid.uuid4().hex


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds: until a connection stands, and until (more of) an answer comes.

    A server gives up on an answer after 30 seconds unless it was started with another `--answer-timeout-seconds`.
    """

    connect: float = 2.0
    read: float = 35.0


TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """`compress` has large bodies sent with gzip. `request_id` names the next request, `random` returns numbers in
    [0, 1), `clock` counts seconds."""

    url: str
    key: str | None = field(repr=False)
    timeouts: Timeouts
    retries: Retries
    compress: bool = False
    request_id: Callable[[], str] = field(default=new_request_id, repr=False)
    random: Callable[[], float] = field(default=random.random, repr=False)
    clock: Callable[[], float] = field(default=time.monotonic, repr=False)

    def __post_init__(self) -> None:
        end = next((character for character in "?#" if isinstance(self.url, str) and character in self.url), None)
        if end is not None:
            advice = "give the server's address with its path alone, such as https://shop.example/gemserve"
            raise InvalidArgument(f"the address has {end} in it: {advice}")
        strange = [character for character in self.key or "" if not "!" <= character <= "~"]
        if strange:
            advice = "give it whole, as `gemserve keys create` printed it"
            raise InvalidKey(f"the key has {strange[0]!a} in it, which no key has: {advice}")

    def attempts(self, call: Call[Any]) -> Attempts:
        return Attempts(self.retries, call.repeat, clock=self.clock, random=self.random)

    def headers(self) -> dict[str, str]:
        """Those of every request."""
        authorization = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        agent = f"gemserve-client/{version('gemserve-client')} Python/{PYTHON}"
        return {"User-Agent": agent, "Accept": "application/json", **authorization}

    def timeout(self, call: Call[Any]) -> httpx.Timeout:
        read = self.timeouts.read if call.read_seconds is None else max(call.read_seconds, self.timeouts.read)
        return httpx.Timeout(read, connect=self.timeouts.connect)

    def request(self, call: Call[Any], request_id: str) -> dict[str, Any]:
        """What `build_request` of either kind of httpx client is given."""
        headers = {REQUEST_ID: request_id}
        content = None
        if isinstance(call.body, bytes):
            content = call.body
            headers |= {"Content-Type": NDJSON, "Accept": NDJSON}
        elif call.body is not None:
            content = json.dumps(call.body, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        if content is not None and self.compress and len(content) >= MIN_COMPRESSED:
            content = gzip.compress(content, compresslevel=5, mtime=0)
            headers["Content-Encoding"] = "gzip"
        return {
            "method": call.method,
            "url": call.path,
            "params": call.query or None,
            "headers": headers,
            "content": content,
            "timeout": self.timeout(call),
        }
