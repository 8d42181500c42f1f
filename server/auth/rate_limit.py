"""Rate limits: a token bucket and a count of requests in flight, for every key and every address.

Counts are kept in this process, so two servers allow twice as much, but for those of a fleet: their token buckets are
in Redis. Callers can use any number of addresses, so only the latest are remembered here; all of an IPv6 network of 64
bits, which one caller usually has, count as one.
"""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import structlog

from server.core.errors import HistoryUnavailable
from server.storage.protocol import TokenStore

__all__ = ["RateLimit", "RateLimiter", "TokenBucket"]

log = structlog.get_logger(__name__)

AWAY_SECONDS = 1.0
"""For so long one failed call says that the shared token buckets are away; then one request tries them again."""
MAX_BUCKETS = 10_000
"""Token buckets kept of keys, and as many of addresses."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """How much one caller may ask for; what is None has no limit."""

    per_second: float | None = None
    """Requests a second, on average."""
    burst: int | None = None
    """Requests at once before the rate counts; None for those of one second."""
    concurrency: int | None = None
    """Requests in flight at a time."""

    @property
    def capacity(self) -> float:
        """Tokens that a full bucket holds."""
        return float(self.burst or max(1, math.ceil(self.per_second or 1)))

    def over(self, default: RateLimit) -> RateLimit:
        """This limit, with what it leaves open taken from `default`. A burst belongs to the rate it came with."""
        rate = self.per_second is not None
        return RateLimit(
            self.per_second if rate else default.per_second,
            self.burst if rate else self.burst or default.burst,
            default.concurrency if self.concurrency is None else self.concurrency,
        )


class TokenBucket:
    """What one caller, `key:…` or `address:…`, has used of a rate limit at this server."""

    __slots__ = ("_clock", "_filled_at", "_tokens", "caller", "in_flight", "limit")

    def __init__(self, caller: str, limit: RateLimit, clock: Callable[[], float] = time.monotonic) -> None:
        self.caller = caller
        self.limit = limit
        self.in_flight = 0
        self._clock = clock
        self._tokens = limit.capacity
        self._filled_at = clock()

    def take(self) -> float:
        """Takes a token and returns 0; where there is none, returns the seconds until there is one."""
        rate = self.limit.per_second
        if rate is None:
            return 0.0
        now = self._clock()
        self._tokens = min(self.limit.capacity, self._tokens + (now - self._filled_at) * rate)
        self._filled_at = now
        if self._tokens < 1:
            return (1 - self._tokens) / rate
        self._tokens -= 1
        return 0.0

    def enter(self) -> bool:
        """Counts a request as in flight until `leave`; False where there are too many."""
        most = self.limit.concurrency
        if most is not None and self.in_flight >= most:
            return False
        self.in_flight += 1
        return True

    def leave(self) -> None:
        self.in_flight -= 1


class RateLimiter:
    """The token buckets of all callers. Keys and addresses are kept apart, so that no crowd pushes a key out."""

    def __init__(
        self, default: RateLimit, clock: Callable[[], float] = time.monotonic, *, shared: TokenStore | None = None
    ) -> None:
        """shared: the token buckets of a fleet; those of this server count while that store is away."""
        self._default = default
        self._clock = clock
        self._shared = shared
        self._away_until: float | None = None  # by the clock; None while the store answers
        self._by_key: OrderedDict[str, TokenBucket] = OrderedDict()
        self._by_address: OrderedDict[str, TokenBucket] = OrderedDict()

    def bucket_of_key(self, key_id: str, limit: RateLimit) -> TokenBucket:
        """The bucket of a key with a limit of its own; a new one when that limit has changed."""
        return self._bucket(self._by_key, "key", key_id, limit.over(self._default))

    def bucket_of_address(self, address: str) -> TokenBucket:
        """The bucket of a client without a key."""
        return self._bucket(self._by_address, "address", _network(address), self._default)

    async def take(self, bucket: TokenBucket) -> float:
        """Takes a token of a bucket's caller, the fleet's where there is one, and answers as `TokenBucket.take`.

        What the fleet gives counts here too, so that nobody has a burst again because its store is away.
        """
        if self._shared is None or bucket.limit.per_second is None or not self._asks_store():
            return bucket.take()
        try:
            wait = await self._shared.take(bucket.caller, bucket.limit.per_second, bucket.limit.capacity)
        except HistoryUnavailable as error:
            if self._away_until is None:
                log.warning("rate_limits_of_this_server_alone", error=str(error))
            self._away_until = self._clock() + AWAY_SECONDS
            return bucket.take()
        if self._away_until is not None:
            self._away_until = None
            log.info("rate_limits_of_the_fleet_again")
        if not wait:
            bucket.take()
        return wait

    def _asks_store(self) -> bool:
        """False while it is thought to be away. One request asks when that time is over, and the others do not wait."""
        if self._away_until is None:
            return True
        now = self._clock()
        if now < self._away_until:
            return False
        self._away_until = now + AWAY_SECONDS
        return True

    def _bucket(self, buckets: OrderedDict[str, TokenBucket], kind: str, name: str, limit: RateLimit) -> TokenBucket:
        bucket = buckets.get(name)
        if bucket is None or bucket.limit != limit:
            bucket = buckets[name] = TokenBucket(f"{kind}:{name}", limit, self._clock)
        buckets.move_to_end(name)
        if len(buckets) > MAX_BUCKETS:
            buckets.popitem(last=False)
        return bucket


@lru_cache(MAX_BUCKETS)
def _network(address: str) -> str:
    """The name under which an address is counted."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # no address at all behind a Unix socket, or whatever a trusted proxy wrote
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return address
    return str(ip.ipv4_mapped or ipaddress.IPv6Address(int(ip) >> 64 << 64))
