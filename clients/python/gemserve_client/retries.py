"""When a call is made again: with exponential back-off and full jitter, within a number of attempts and a time.

Nothing here sleeps, reads a clock or sends; `Attempts` is told what came of an attempt and says how long to wait.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from gemserve_client.endpoints import Repeat
from gemserve_client.errors import ApiError, ConnectionFailed, GemserveError, TimedOut, UnexpectedAnswer, api_error
from gemserve_client.values.decode import parse

__all__ = ["RETRIES", "Attempts", "Retries", "failure", "problem_of"]

UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
NOT_WORTH_A_REPEAT = (httpx.ReadTimeout, httpx.WriteTimeout, httpx.UnsupportedProtocol, httpx.LocalProtocolError)


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and how long to try again after a failed connection and the statuses 429 and 503.

    Before attempt n + 1 it waits a random time of up to `first_seconds` · 2^(n-1), at most `longest_seconds`; where the
    server says `Retry-After`, that long and the random time on top. No attempt begins later than `total_seconds`
    after the first. `attempts=1` never tries again.
    """

    attempts: int = 4
    first_seconds: float = 0.1
    longest_seconds: float = 5.0
    total_seconds: float = 30.0

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"attempts is {self.attempts}: at least one is needed")

    def pause(self, attempt: int, random: float) -> float:
        """Seconds after the given attempt, the first being 1; `random` in [0, 1)."""
        return random * min(self.longest_seconds, self.first_seconds * 2.0 ** min(attempt - 1, 62))


RETRIES = Retries()


class Attempts:
    """The attempts at one call."""

    def __init__(
        self, retries: Retries, repeat: Repeat, *, clock: Callable[[], float], random: Callable[[], float]
    ) -> None:
        self._retries = retries
        self._repeat = repeat
        self._clock = clock
        self._random = random
        self._begun = clock()
        self._made = 0

    def pause_after(self, outcome: httpx.Response | httpx.RequestError, request_id: str) -> float | None:
        """Seconds until the next attempt; None where the response, which has to be read if it is an error, is the end.

        Raises the GemserveError of the outcome where there shall be no other attempt.
        """
        self._made += 1
        if isinstance(outcome, httpx.Response) and outcome.is_success:
            return None
        error = _error_of(outcome, request_id)
        if self._made >= self._retries.attempts or not self._may_repeat(outcome):
            raise error
        pause = self._retries.pause(self._made, self._random())
        if isinstance(error, ApiError) and error.retry_after is not None:
            pause += error.retry_after
        if self._clock() - self._begun + pause > self._retries.total_seconds:
            raise error
        return pause

    def _may_repeat(self, outcome: httpx.Response | httpx.RequestError) -> bool:
        if self._repeat is Repeat.NEVER:
            return False
        if isinstance(outcome, httpx.Response):
            return outcome.status_code == 429 or (outcome.status_code == 503 and self._repeat is Repeat.HARMLESS)
        if isinstance(outcome, UNSENT):
            return True
        return self._repeat is Repeat.HARMLESS and not isinstance(outcome, NOT_WORTH_A_REPEAT)


def problem_of(status: int, body: Any, request_id: str = "", retry_after: float | None = None) -> ApiError:
    """The error of a problem's JSON, whatever it turned out to be."""
    problem = body if isinstance(body, dict) else {}
    return api_error(status, problem, request_id=request_id, retry_after=retry_after)


def failure(error: httpx.RequestError, request_id: str) -> GemserveError:
    """Our error in place of httpx's."""
    reason = f"{str(error) or type(error).__name__}, request {request_id}"
    if isinstance(error, UNSENT):
        kind = TimedOut if isinstance(error, httpx.TimeoutException) else ConnectionFailed
        return kind(f"no connection: {reason}")
    if isinstance(error, httpx.TimeoutException):
        return TimedOut(f"no answer in time: {reason}")
    return ConnectionFailed(f"the connection broke: {reason}")


def _error_of(outcome: httpx.Response | httpx.RequestError, request_id: str) -> GemserveError:
    if isinstance(outcome, httpx.RequestError):
        error = failure(outcome, request_id)
        error.__cause__ = outcome
        return error
    after = _seconds(outcome.headers.get("Retry-After"))
    return problem_of(outcome.status_code, _json(outcome), request_id, after)


def _json(response: httpx.Response) -> Any:
    """A problem's JSON; None for what something between us and the server has written."""
    try:
        return parse(response.content)
    except UnexpectedAnswer:
        return None


def _seconds(header: str | None) -> float | None:
    """A Retry-After header: seconds, or a date."""
    if header is None:
        return None
    if header.strip().isdecimal():
        return float(header)
    try:
        date = parsedate_to_datetime(header)
    except (ValueError, OverflowError):
        return None
    now = datetime.datetime.now(datetime.UTC)
    return max(0.0, (date - now).total_seconds()) if date.tzinfo else None
