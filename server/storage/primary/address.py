"""Which Redis takes commands: what Sentinels say, and what a server says of itself.

Sentinels are asked all at once; of those that answer, the newest (by its configuration's epoch) is believed. While none
answers, the address that was known last is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, cast

import redis as blocking
from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry as BlockingRetry

from server.core.settings.sentinel_url import SentinelUrl
from server.storage.primary.asking import ask_all

__all__ = ["LOOK_SECONDS", "Address", "PrimaryAddress", "PrimaryUnknown", "find_primary", "is_replica"]

LOOK_SECONDS = 5.0
"""In which a connection to a server that is no primary any more, and used, is found and given up."""
ANSWER_SECONDS = 0.5  # of one Sentinel
PATIENCE_SECONDS = 0.1  # with an address that is known and did not fail


class Address(NamedTuple):
    host: str
    port: int


class PrimaryUnknown(RedisConnectionError):
    """No Sentinel names a primary, or the one that they name says that it is a replica."""


State = Mapping[str, Any]
Answer = Mapping[str, State] | Exception
"""The state of each service that a Sentinel monitors, or why it does not say."""


class PrimaryAddress:
    """The address of a service's primary. It is asked for in the background, so that no caller's time limit ends it."""

    def __init__(self, url: SentinelUrl) -> None:
        self._url = url
        self._sentinels = [
            Redis.from_url(
                one,
                socket_timeout=ANSWER_SECONDS,
                socket_connect_timeout=ANSWER_SECONDS,
                retry=Retry(NoBackoff(), 0),
            )
            for one in url.sentinels
        ]
        self._asking: asyncio.Task[Address] | None = None
        self._asked = -LOOK_SECONDS
        self._doubted = False
        self._failure: BaseException | None = None
        self.known: Address | None = None

    async def find(self) -> Address:
        """For a new connection. Raises PrimaryUnknown."""
        asking = self._ask()
        if self.known is None:
            await asyncio.wait({asking}, timeout=PATIENCE_SECONDS if self._failure else None)
        else:
            await asyncio.wait({asking}, timeout=None if self._doubted else PATIENCE_SECONDS)
        if self.known is None:
            raise PrimaryUnknown(str(self._failure or asking.exception()))
        return self.known

    def look(self) -> None:
        """Asks again, without waiting for it, where the last answer is LOOK_SECONDS old."""
        if asyncio.get_running_loop().time() - self._asked > LOOK_SECONDS:
            self._ask()

    def doubt(self) -> None:
        """The known address failed, or is no primary's: the next connection waits for what the Sentinels say."""
        self._doubted = True

    async def close(self) -> None:
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
        for sentinel in self._sentinels:
            await sentinel.aclose()

    def _ask(self) -> asyncio.Task[Address]:
        if self._asking is None or self._asking.done():
            self._asked = asyncio.get_running_loop().time()
            self._asking = asyncio.create_task(self._ask_all())
            self._asking.add_done_callback(self._keep)
        return self._asking

    def _keep(self, asked: asyncio.Task[Address]) -> None:
        if not asked.cancelled():
            self._doubted, self._failure = False, asked.exception()
            if self._failure is None:
                self.known = asked.result()

    async def _ask_all(self) -> Address:
        questions = [_states(one) for one in self._sentinels]
        found = await ask_all(questions, lambda answer: _is_up(answer, self._url.service))
        answers = [TimeoutError("no answer in time") if answer is None else answer for answer in found]
        return _newest(self._url, answers)


async def _states(sentinel: Redis) -> Answer:
    try:
        async with asyncio.timeout(2 * ANSWER_SECONDS):
            states: Any = await sentinel.sentinel_masters()
            return cast("Answer", states)
    except (RedisError, OSError) as error:  # TimeoutError is an OSError
        return error


def find_primary(url: SentinelUrl) -> Address:
    """The same for programs without an event loop, which ask the Sentinels one after another."""
    answers: list[Answer] = []
    for one in url.sentinels:
        times = {"socket_timeout": ANSWER_SECONDS, "socket_connect_timeout": ANSWER_SECONDS}
        with blocking.Redis.from_url(one, retry=BlockingRetry(NoBackoff(), 0), **times) as sentinel:
            try:
                answers.append(cast("Answer", sentinel.sentinel_masters()))
            except (RedisError, OSError) as error:
                answers.append(error)
    return _newest(url, answers)


def _newest(url: SentinelUrl, answers: Sequence[Answer]) -> Address:
    """Raises PrimaryUnknown, which says what each Sentinel said and what to do."""
    up = [
        answer[url.service] for answer in answers if not isinstance(answer, Exception) and _is_up(answer, url.service)
    ]
    if up:
        state = max(up, key=lambda state: int(state.get("config-epoch", 0)))
        return Address(str(state["ip"]), int(state["port"]))
    said = "; ".join(f"{name}: {_said(answer, url.service)}" for name, answer in zip(url.names, answers, strict=True))
    raise PrimaryUnknown(f"no Sentinel names a primary of {url.service!r} ({said})")


def _is_up(answer: Answer, service: str) -> bool:
    state = None if isinstance(answer, Exception) else answer.get(service)
    return state is not None and bool(state["is_master"]) and not (state["is_sdown"] or state["is_odown"])


def _said(answer: Answer, service: str) -> str:
    if isinstance(answer, Exception):
        text = str(answer) or type(answer).__name__
        wants = any(word in text.lower() for word in ("authenticat", "noauth", "noperm", "password"))
        if wants:
            remedy = "set sentinel_password=… behind the URL's ?"
        elif "CERTIFICATE" in text:
            remedy = "name the authority that signed its certificate by ssl_ca_certs=FILE behind the URL's ?"
        elif "closed" in text.lower() or "reset" in text.lower():
            remedy = "start it, correct its HOST:PORT, or write rediss+sentinel:// where it wants TLS"
        else:
            remedy = "start it, or correct its HOST:PORT"
        return f"{text.rstrip('.')}: {remedy}"
    if service not in answer:
        known = ", ".join(sorted(answer)) or "none"
        return f"knows no service of that name, only {known}: write the right one behind the URL's hosts"
    return "says that it is down, and has no other yet"


async def is_replica(connection: AbstractConnection) -> bool | None:
    """What the server at the other end says by ROLE, which it answers while it loads too; None where it may not say."""
    await connection.send_command("ROLE", check_health=False)
    try:
        role = await connection.read_response()
    except ResponseError:
        return None
    return not (isinstance(role, list | tuple) and role and role[0] in {b"master", "master"})
