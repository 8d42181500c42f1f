import asyncio

from hypothesis import given
from hypothesis import strategies as st

from server.auth import rate_limit as rate_limit_module
from server.auth.rate_limit import RateLimit, RateLimiter, TokenBucket
from server.core.errors import HistoryUnavailable


class Clock:
    now = 1_000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    bucket = TokenBucket("key:a", RateLimit(per_second=2.0, burst=3), clock)
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]
    clock.now += 0.25
    assert bucket.take() == 0.25
    clock.now += 0.25
    assert bucket.take() == 0.0
    clock.now += 1_000
    assert [bucket.take() for _ in range(4)] == [0.0, 0.0, 0.0, 0.5]


@given(
    rate=st.floats(0.1, 50),
    burst=st.integers(1, 20),
    pauses=st.lists(st.floats(0, 3), min_size=1, max_size=60),
)
def test_never_more_than_the_burst_and_the_rate_allow(rate: float, burst: int, pauses: list[float]) -> None:
    clock = Clock()
    bucket, start, taken = TokenBucket("key:a", RateLimit(rate, burst), clock), clock.now, 0
    for pause in pauses:
        clock.now += pause
        wait = bucket.take()
        taken += wait == 0
        assert taken <= burst + (clock.now - start) * rate + 1e-6
        assert 0 <= wait <= 1 / rate + 1e-9


def test_without_limits_nothing_is_counted_away() -> None:
    bucket = TokenBucket("key:a", RateLimit(), Clock())
    assert not any(bucket.take() for _ in range(1_000))
    assert all(bucket.enter() for _ in range(1_000))


def test_requests_in_flight() -> None:
    bucket = TokenBucket("key:a", RateLimit(concurrency=2), Clock())
    assert [bucket.enter(), bucket.enter(), bucket.enter()] == [True, True, False]
    bucket.leave()
    assert [bucket.enter(), bucket.enter()] == [True, False]


def test_a_key_has_its_own_limits_and_else_the_servers() -> None:
    default = RateLimit(10.0, 50, 4)
    assert RateLimit().over(default) == default
    assert RateLimit(2.0).over(default) == RateLimit(2.0, None, 4)
    assert RateLimit(2.0).over(default).capacity == 2
    assert RateLimit(0.5).over(default).capacity == 1
    assert RateLimit(burst=7, concurrency=1).over(default) == RateLimit(10.0, 7, 1)


def test_keys_and_addresses_do_not_share() -> None:
    limiter = RateLimiter(RateLimit(1.0, 1), Clock())
    assert limiter.bucket_of_key("a", RateLimit()).take() == 0
    assert limiter.bucket_of_address("a").take() == 0
    assert limiter.bucket_of_key("a", RateLimit()).take() > 0
    assert limiter.bucket_of_key("b", RateLimit()).take() == 0


def test_a_network_of_ipv6_is_one_caller_and_an_address_of_ipv4_is_one() -> None:
    limiter = RateLimiter(RateLimit(1.0, 1), Clock())
    assert limiter.bucket_of_address("2001:db8:1:2::1") is limiter.bucket_of_address("2001:db8:1:2:ffff::9")
    assert limiter.bucket_of_address("2001:db8:1:2::1") is not limiter.bucket_of_address("2001:db8:1:3::1")
    assert limiter.bucket_of_address("10.0.0.1") is not limiter.bucket_of_address("10.0.0.2")
    assert limiter.bucket_of_address("::ffff:10.0.0.1") is not limiter.bucket_of_address("::ffff:10.0.0.2")
    assert limiter.bucket_of_address("unknown") is limiter.bucket_of_address("unknown")


def test_only_the_latest_addresses_are_remembered(monkeypatch) -> None:
    monkeypatch.setattr(rate_limit_module, "MAX_BUCKETS", 3)
    limiter = RateLimiter(RateLimit(1.0, 1), Clock())
    first, key = limiter.bucket_of_address("1"), limiter.bucket_of_key("k", RateLimit())
    for name in "234":
        limiter.bucket_of_address(name)
    assert limiter.bucket_of_address("4") is limiter.bucket_of_address("4")
    assert limiter.bucket_of_address("1") is not first
    assert limiter.bucket_of_key("k", RateLimit()) is key


def test_new_limits_of_a_key_count_at_once() -> None:
    limiter = RateLimiter(RateLimit(), Clock())
    assert limiter.bucket_of_key("a", RateLimit()).take() == 0
    assert limiter.bucket_of_key("a", RateLimit(1.0, 1)).take() == 0
    assert limiter.bucket_of_key("a", RateLimit(1.0, 1)).take() == 1.0


class Store:
    """The buckets of a fleet: it gives what `waits` says, or is away."""

    def __init__(self) -> None:
        self.away = False
        self.waits = 0.0
        self.asked: list[tuple[str, float, float]] = []

    async def take(self, caller: str, per_second: float, capacity: float) -> float:
        self.asked.append((caller, per_second, capacity))
        await asyncio.sleep(0)
        if self.away:
            raise HistoryUnavailable("away")
        return self.waits

    async def close(self) -> None: ...


async def test_a_fleet_decides_where_there_is_one() -> None:
    store = Store()
    limiter = RateLimiter(RateLimit(2.0, 3), Clock(), shared=store)
    key, address = limiter.bucket_of_key("a", RateLimit(0.5)), limiter.bucket_of_address("2001:db8:1:2::1")
    assert [await limiter.take(key) for _ in range(3)] == [0, 0, 0], "though this server alone would allow one"
    store.waits = 1.5
    assert await limiter.take(address) == 1.5
    assert store.asked == [("key:a", 0.5, 1.0)] * 3 + [("address:2001:db8:1:2::", 2.0, 3.0)]


async def test_who_has_no_rate_costs_no_round_trip() -> None:
    store = Store()
    limiter = RateLimiter(RateLimit(concurrency=1), Clock(), shared=store)
    assert await limiter.take(limiter.bucket_of_address("10.0.0.1")) == 0
    assert store.asked == []


async def test_while_the_fleets_store_is_away_one_request_a_second_asks_it_and_this_server_counts() -> None:
    clock, store = Clock(), Store()
    limiter = RateLimiter(RateLimit(0.1, 5), clock, shared=store)
    bucket = limiter.bucket_of_address("10.0.0.1")
    assert await limiter.take(bucket) == 0
    store.away = True
    assert [await limiter.take(bucket) for _ in range(5)] == [0, 0, 0, 0, 10.0], "one of the five was the fleet's"
    assert len(store.asked) == 2
    clock.now += 1.0
    assert all(await asyncio.gather(*(limiter.take(bucket) for _ in range(8)))), "0.1 tokens came meanwhile"
    assert len(store.asked) == 3
    store.away = False
    clock.now += 1.0
    assert await limiter.take(bucket) == await limiter.take(bucket) == 0
    assert len(store.asked) == 5
