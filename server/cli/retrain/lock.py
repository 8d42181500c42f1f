"""The lock by which one retraining of a catalog is under way at a time, whatever machine it runs on: a lease in Redis.

It is renewed in the background for as long as a retraining lasts, and a machine that dies has it until the lease is
over. Every renewal looks anew where Redis is, which may change meanwhile: by a failover, or as a server that runs its
own is started again.
"""

from __future__ import annotations

import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Self

from redis.exceptions import LockNotOwnedError, RedisError
from redis.lock import Lock

from catalog.terminal_escapes import printable
from server.core.errors import ServerError
from server.storage.keyspace import SharedKeys
from server.storage.primary import open_redis

__all__ = ["AlreadyRetraining", "LockLost", "RetrainLock"]

LEASE_SECONDS = 60.0
RENEWALS = 3
"""In the time of a lease."""
REDIS_SECONDS = 5.0
"""For one step, after which Redis counts as away."""
PAUSE_SECONDS = 1.0
"""Before Redis is asked again whether the lock is still held."""

AWAY = (RedisError, ServerError, OSError)
"""What asking Redis may raise; ServerError where a Redis that a server runs has no address now."""


class AlreadyRetraining(ServerError):
    """Another retraining of this catalog is under way, or its machine died within a lease."""


class LockLost(ServerError):
    """Another retraining may have begun since."""


class RetrainLock:
    """Entered while nobody else retrains this catalog.

    find_redis: the URL of its Redis as it is now.
    """

    def __init__(self, find_redis: Callable[[], str], namespace: str | None) -> None:
        self._find_redis, self._name = find_redis, SharedKeys(namespace).retraining
        began = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self._token = f"{socket.gethostname()} {os.getpid()} {began} {uuid.uuid4().hex}"
        self._ended = threading.Event()
        self._renewing = threading.Thread(target=self._renew, name="retrain-lock", daemon=True)

    def __enter__(self) -> Self:
        """Raises AlreadyRetraining, RedisError, and what `find_redis` raises."""
        with self._open() as lock:
            # A try that was answered too late has been repeated and found itself.
            while not (lock.acquire(blocking=False, token=self._token) or lock.owned()):
                holder = lock.redis.get(self._name)
                if holder is not None:
                    raise AlreadyRetraining(_who_has_it(holder))
        self._renewing.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._renewing.join()
        with suppress(*AWAY), self._open() as lock:  # else it ends with its lease
            lock.release()

    def confirm(self) -> None:
        """Have Redis say that it is still held, for a whole lease from now on.

        While Redis is away it is asked again, for as long as a lease. Raises LockLost.
        """
        until = time.monotonic() + LEASE_SECONDS
        while True:
            try:
                with self._open() as lock:
                    lock.reacquire()
                return
            except LockNotOwnedError as error:
                raise LockLost("Redis has lost the lock of this retraining, and another may have begun") from error
            except AWAY as error:
                if time.monotonic() > until:
                    raise LockLost(f"Redis does not say whether another retraining has begun ({error})") from error
            time.sleep(PAUSE_SECONDS)

    @contextmanager
    def _open(self) -> Iterator[Lock]:
        with open_redis(self._find_redis(), REDIS_SECONDS) as redis:
            lock = Lock(redis, self._name, timeout=LEASE_SECONDS, thread_local=False)
            lock.local.token = self._token.encode()
            yield lock

    def _renew(self) -> None:
        while not self._ended.wait(LEASE_SECONDS / RENEWALS):
            try:
                with self._open() as lock:
                    lock.reacquire()
            except LockNotOwnedError:
                said = "Redis was away for too long, or lost its memory: what is trained is published and not activated"
                print(f"retrain: {said}", file=sys.stderr, flush=True)
                return
            except AWAY:
                pass  # it may be back before the lease is over


def _who_has_it(token: bytes) -> str:
    host, process, began, *_ = (*printable(token.decode(errors="replace")).split(), "?", "?", "?")
    return (
        f"another retraining of this catalog is under way, on {host} since {began} (process {process}). If that machine"
        f" died, the lock ends within {LEASE_SECONDS:.0f} s: try again then"
    )
