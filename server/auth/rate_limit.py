"""How much one caller may ask at once: a token bucket and a cap on requests under way, per key or per address.

Counted in this process: two servers allow twice as much. Addresses are as many as their callers like, so only the
latest are remembered; all of an IPv6 network of 64 bits, which one caller usually has, count as one.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

__all__ = ["Limits", "RateLimit", "TokenBucket"]

MOST_METERS = 10_000


@dataclass(frozen=True, slots=True)
class RateLimit:
    """None: without limit. A bucket whose burst is None holds one second's requests."""

    per_second: float | None = None
    burst: int | None = None
    concurrency: int | None = None

    @property
    def capacity(self) -> float:
        """Tokens that a full bucket holds."""
        return float(self.burst or max(1, math.ceil(self.per_second or 1)))

    def over(self, default: RateLimit) -> RateLimit:
        """This one, with what it leaves open from `default`. A burst belongs to the rate it came with."""
        rate = self.per_second is not None
        return RateLimit(
            self.per_second if rate else default.per_second,
            self.burst if rate else self.burst or default.burst,
            default.concurrency if self.concurrency is None else self.concurrency,
        )


class TokenBucket:
    """What one caller has used."""

    __slots__ = ("_clock", "_filled", "_tokens", "allowance", "under_way")

    def __init__(self, allowance: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self.allowance = allowance
        self.under_way = 0
        self._clock = clock
        self._tokens = allowance.capacity
        self._filled = clock()

    def take(self) -> float:
        """Takes a token and returns 0, or else the seconds until there is one."""
        rate = self.allowance.per_second
        if rate is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self.allowance.capacity, self._tokens + (now - self._filled) * rate)
        self._filled = now
        if self._tokens < 1:
            return (1 - self._tokens) / rate
        self._tokens -= 1
        return 0.0

    def enter(self) -> bool:
        """Counts a request as under way, unless there are too many; `leave` ends it."""
        most = self.allowance.concurrency
        if most is not None and self.under_way >= most:
            return False
        self.under_way += 1
        return True

    def leave(self) -> None:
        self.under_way -= 1


class Limits:
    """The meters of all callers. Those of keys and of addresses are apart, so that no crowd pushes a key out."""

    def __init__(self, default: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self._default = default
        self._clock = clock
        self._keys: OrderedDict[str, TokenBucket] = OrderedDict()
        self._addresses: OrderedDict[str, TokenBucket] = OrderedDict()

    def of_key(self, key_id: str, allowance: RateLimit) -> TokenBucket:
        return self._meter(self._keys, key_id, allowance.over(self._default))

    def of_address(self, address: str) -> TokenBucket:
        return self._meter(self._addresses, _network(address), self._default)

    def _meter(self, meters: OrderedDict[str, TokenBucket], name: str, allowance: RateLimit) -> TokenBucket:
        meter = meters.get(name)
        if meter is None or meter.allowance != allowance:
            meter = meters[name] = TokenBucket(allowance, self._clock)
        meters.move_to_end(name)
        if len(meters) > MOST_METERS:
            meters.popitem(last=False)
        return meter


@lru_cache(MOST_METERS)
def _network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # no address at all behind a Unix socket, or whatever a trusted proxy wrote
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    return str(ip.ipv4_mapped or ipaddress.IPv6Address(int(ip) >> 64 << 64))
